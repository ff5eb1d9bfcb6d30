"""Pages that are no dialect's: health, readiness, metrics."""

from __future__ import annotations

from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from penstock.context import Context


def app(ctx: Context) -> Starlette:
    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        """Ready while the store writes, the disk has room, and nobody asked us to stop."""
        if ctx.closing.is_set():
            return JSONResponse({"ready": False, "reason": "shutting down"}, 503)
        return JSONResponse({"ready": True})

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(ctx.metrics.registry), media_type="text/plain; version=0.0.4")

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
