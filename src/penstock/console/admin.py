"""The admin API: every act at `/v1/admin/<noun>/<verb>`, for live keys with the scope `admin`."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from penstock.access import Keys, Limits
from penstock.access.admission import check_address, check_scope
from penstock.canonical.who import ADMIN, LIVE, Caller
from penstock.console.acts import ACTS, do
from penstock.console.describing import HOME
from penstock.context import Context
from penstock.dialects._base import JSON, Incoming
from penstock.dialects.penstock import Penstock
from penstock.errors import CallerError, GatewayError, MethodNotAllowed, PenstockError, ScopeMissing, TooLarge
from penstock.log import logger, redact

WORDS = Penstock()


def route(ctx: Context) -> Route:
    async def answer(request: Request) -> Response:
        id = request.scope["penstock.request"]
        more: dict[str, str] = {}
        try:
            status, body = 200, await _done(ctx, request)
        except PenstockError as error:
            status, body, more = _refused(error, id)
        except Exception:  # noqa: BLE001  as in `server`: no traceback leaves
            logger("admin").exception("an act failed", request_id=id, path=request.url.path)
            words = "The gateway failed. Its log has the details of this request."
            status, body, more = _refused(GatewayError(words), id)
        ctx.metrics.requests.labels("admin", status).inc()
        return Response(body, status, {"cache-control": "no-store", "x-request-id": id, **more}, JSON)

    return Route(HOME + "/{act:path}", answer, methods=["GET", "POST"])


async def _done(ctx: Context, request: Request) -> bytes:
    actor = f"key/{(await _admitted(ctx, request)).key}"
    name = request.path_params["act"].replace("/", ".")
    if request.method == "POST":
        given = _object(await _body(request, ctx.settings.max_body))
    elif name in ACTS and not ACTS[name].by_query:
        raise MethodNotAllowed("This path takes POST.")
    else:
        given = _queried(request)
    result = await do(ctx, name, given, actor, afar=True, strict=request.method == "POST")
    return msgspec.json.encode({"result": result}) + b"\n"


async def _admitted(ctx: Context, request: Request) -> Caller:
    caller = await ctx.of(Keys).caller(Incoming(request.method, "", request.headers).bearer())
    check_address(caller, request.scope["penstock.address"])
    check_scope(caller, ADMIN)
    if caller.mode != LIVE:
        raise ScopeMissing("An admin key must be a live one: what it does is not confined to the test books.")
    ctx.of(Limits).admit(caller)
    return caller


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise TooLarge(f"The request body must be less than {limit >> 20 or 1}MB in size")
    except ClientDisconnect:
        raise GatewayError("the client left") from None
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    return Incoming("POST", "", {}, body=body).json_object() if body else {}


def _queried(request: Request) -> dict[str, Any]:
    """Arguments as text."""
    items = request.query_params.multi_items()
    if len(items) > len(dict(items)):
        raise CallerError("an argument is given twice; a list goes into the JSON of a POST")
    return dict(items)


def _refused(error: PenstockError, id: str) -> tuple[int, bytes, dict[str, str]]:
    error.request_id = id
    out = WORDS.error(error)
    if error.retry_after_s is not None:
        out.headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, MethodNotAllowed):
        out.headers["allow"] = "POST"
    return out.status, redact(out.encoded().decode()).encode(), out.headers  # it may quote what it was given
