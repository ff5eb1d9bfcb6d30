"""Pages that are no dialect's: the landing page, a task's page, documents, health, readiness, metrics."""

from __future__ import annotations

from itertools import takewhile

from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from penstock import __version__
from penstock.console import admin
from penstock.console.openapi import document
from penstock.console.readiness import Readiness
from penstock.console.reference import reference
from penstock.console.rendering import Pages, dressed, is_browser
from penstock.console.task_page import TaskPage
from penstock.context import Context
from penstock.dialects._base import Dialect, Incoming
from penstock.dialects._installed import dialects
from penstock.errors import NotFound
from penstock.log import logger


def app(ctx: Context) -> ASGIApp:
    pages, readiness = Pages(ctx), Readiness(ctx)
    task = TaskPage(ctx, pages)
    described = document(dialects().values(), ctx.settings.public_url)

    async def landing(request: Request) -> Response:
        return pages.answer("landing.html", 200, version=__version__)

    async def docs(request: Request) -> Response:
        return pages.answer("docs.html", 200, **reference(described))

    async def openapi(request: Request) -> Response:
        return JSONResponse(described, headers={"cache-control": "no-cache", "access-control-allow-origin": "*"})

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        """Ready while the store writes, the disk has room, and nobody asked us to stop."""
        reason = await readiness.reason()
        return JSONResponse({"ready": False, "reason": reason} if reason else {"ready": True}, 503 if reason else 200)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(ctx.metrics.registry), media_type="text/plain; version=0.0.4")

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        response = _in_dialect(request, status) or pages.refusal(request, status, *REFUSALS[status])
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    async def failed(request: Request, error: Exception) -> Response:
        logger("pages").error("a page failed", path=request.url.path, error=repr(error))
        return await refused(request, error)

    routes = [
        Route("/", landing),
        Route("/docs", docs),
        Route("/openapi.json", openapi),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/static/{name}", pages.static),
        admin.route(ctx),
        Route("/p/{task}", task.page),
        Route("/p/{task}/live", task.live),
    ]
    handlers = {404: refused, 405: refused, Exception: failed}
    return dressed(Starlette(routes=routes, exception_handlers=handlers))


def _nearness(dialect: Dialect, path: str) -> tuple[int, int]:
    """How many segments of the path the dialect's nearest routes begin with, and how many routes those are."""
    asked = path.split("/")[1:]
    routes = [f"{prefix}{route.path}".split("/")[1:] for prefix in dialect.prefixes for route in dialect.routes()]
    shared = [
        sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(asked, route, strict=False))) for route in routes
    ]
    most = max(shared, default=0)
    return most, shared.count(most)


def _in_dialect(request: Request, status: int) -> Response | None:
    """A 404 in the words of the dialect whose routes are nearest to the path, for clients; None for all else."""
    if status != 404 or is_browser(request):
        return None
    path = request.url.path
    http = Incoming(request.method, path, request.headers, request.url.query)
    ranked = sorted(dialects().values(), key=lambda dialect: _nearness(dialect, path), reverse=True)
    for dialect in ranked:
        if _nearness(dialect, path)[0] and dialect.claims(http):
            out = dialect.error(NotFound())
            return Response(out.encoded(), out.status, out.headers, out.content_type)
    return None


REFUSALS = {
    404: ("not_found", "There is nothing at this address. It may be mistyped, or what was here has been removed."),
    405: ("method_not_allowed", "This address does not take requests of this kind."),
    500: ("internal_error", "The gateway failed. Its log has the details of this request."),
}
