"""How pages are made: templates that escape everything, static files with their digests, the headers of every page."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.context import Context
from penstock.ids import new_id

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",  # a page's own URL may hold a capability
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
FOREVER = "public, max-age=31536000, immutable"
BRIEFLY = "public, max-age=300"


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    content_type: str
    digest: str


class Pages:
    """The templates and static files of one gateway. Links in pages are relative to its host, so that they work under
    any name that it is reached by."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.root = urlsplit(ctx.settings.public_url).path.rstrip("/")
        self.assets = {file.name: _asset(file) for file in sorted((HERE / "static").iterdir()) if file.suffix != ".md"}
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(root=self.root, base=ctx.settings.public_url, asset=self.asset)

    def asset(self, name: str) -> str:
        """Where a static file is; the URL changes with its bytes, so browsers may keep it for ever."""
        return f"{self.root}/static/{name}?v={self.assets[name].digest}"

    def render(self, template: str, /, **given: Any) -> str:
        return self._templates.get_template(template).render(**given)

    def answer(self, template: str, status: int = 200, /, **given: Any) -> Response:
        return HTMLResponse(self.render(template, **given), status, {"cache-control": "no-store"})

    async def static(self, request: Request) -> Response:
        """A file of the pages'."""
        found = self.assets.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        etag = f'"{found.digest}"'
        headers = {"etag": etag, "cache-control": FOREVER if request.query_params.get("v") == found.digest else BRIEFLY}
        if request.headers.get("if-none-match") == etag:
            return Response(None, 304, headers)
        return Response(found.body, 200, headers, media_type=found.content_type)

    def refusal(self, request: Request, status: int, code: str, message: str) -> Response:
        """A page for browsers, JSON for all others."""
        if is_browser(request):
            return self.answer("refusal.html", status, status=status, message=message)
        return JSONResponse({"error": {"code": code, "message": message}}, status)


def is_browser(request: Request) -> bool:
    """Whether the answer is for a person's eyes."""
    return "text/html" in request.headers.get("accept", "")


def dressed(app: ASGIApp) -> ASGIApp:
    """The same application with our headers on every reply."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(message)]
            await send(message)

        await app(scope, receive, sending)

    return answer


def _headers(message: MutableMapping[str, Any]) -> list[tuple[bytes, bytes]]:
    ours = HEADERS | {"x-request-id": new_id()}
    present = {name for name, _ in message["headers"]}
    return [(name.encode(), value.encode()) for name, value in ours.items() if name.encode() not in present]


def _asset(file: Path) -> Asset:
    body = file.read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Asset(body, kind, hashlib.sha256(body).hexdigest()[:16])
