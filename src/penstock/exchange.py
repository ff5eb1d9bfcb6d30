"""One request and its reply, in ASGI's messages: headers, a bounded body, a stream that notices when its client leaves,
CORS."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any

from penstock.calls.pulse import Pulse
from penstock.context import Context
from penstock.dialects._base import Incoming, Links, Outgoing
from penstock.errors import GatewayError, PenstockError, TooLarge
from penstock.ids import new_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_process, _requests = new_id()[:16], itertools.count(1)


def request_id() -> str:
    """The process, and the number of the request in it: 26 characters, ten times cheaper than an id of its own."""
    return f"{_process}{next(_requests):010x}"


class Headers(Mapping[str, str]):
    """Request headers by lower-case name, decoded when asked for; of one that is repeated the first counts."""

    __slots__ = ("_first", "_raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._first = dict(reversed(raw))

    def __getitem__(self, name: str) -> str:
        value: str | None = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        value = self._first.get(name.encode("latin-1"))
        return default if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return iter([name.decode("latin-1") for name, _ in self._raw])

    def __len__(self) -> int:
        return len(self._raw)


class Exchange:
    """One request and its reply."""

    __slots__ = ("_ctx", "_receive", "_send", "headers", "id", "left", "method", "scope")

    def __init__(self, ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
        self._ctx, self.scope, self._receive, self._send = ctx, scope, receive, send
        self.method: str = scope["method"]
        self.headers = Headers(scope["headers"])
        self.id = request_id()
        self.left = False

    def incoming(self, path: dict[str, str], links: Links) -> Incoming:
        query = self.scope["query_string"].decode("latin-1")
        return Incoming(self.method, self.scope["path"], self.headers, query, path, links=links)

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises TooLarge, before reading where the client says how much it is."""
        message = await self._receive()
        if not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            return body
        return b"".join([chunk async for chunk in self._rest(message, limit)])

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        async for chunk in self._rest(await self._receive(), limit):
            yield chunk

    async def _rest(self, message: MutableMapping[str, Any], limit: int) -> AsyncIterator[bytes]:
        announced = self.headers.get("content-length") or ""
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise GatewayError("the client left")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            if chunk:
                yield chunk
            if not message.get("more_body"):
                return
            message = await self._receive()

    async def write(self, out: Outgoing) -> None:
        body = out.encoded() if out.stream is None else b""
        headers = [(b"x-request-id", self.id.encode())]
        if body or out.stream is not None or out.status not in (204, 304):
            headers.append((b"content-type", out.content_type.encode()))
        if out.stream is None and out.status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        headers += [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in out.headers.items()]
        if out.stream is None and self._sent_whole(out.status, headers, body):
            return
        await self.send({"type": "http.response.start", "status": out.status, "headers": headers})
        if out.stream is None or self.method == "HEAD":
            await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})
            return
        await self._stream(out)

    def _sent_whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Whether our own protocol took the reply at once."""
        whole = self.scope.get("penstock.whole")
        if whole is None or self.method == "HEAD":
            return False
        origin = self._origin()
        return bool(whole(self.scope, status, [*headers, *_cors(origin)] if origin else headers, body))

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """What goes out, with what CORS wants."""
        if message["type"] == "http.response.start" and (origin := self._origin()):
            message["headers"] = [*message["headers"], *_cors(origin)]
        await self._send(message)

    async def _stream(self, out: Outgoing) -> None:
        """Send what comes until it ends, or the client leaves. What goes wrong on the way is told in the dialect's
        words, if it has any."""
        stream = out.stream
        assert stream is not None
        beats, pulse = Beats(self._send, out.beat, self._ctx.settings.beat_s), self._ctx.of(Pulse)
        self.watch()
        if out.beat:
            pulse.watch(beats.look)
        try:
            async for piece in stream:
                if piece:
                    beats.sent_at = time.monotonic()
                    await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except PenstockError as error:
            if out.broken is None:
                raise
            await self._send({"type": "http.response.body", "body": out.broken(error), "more_body": True})
        finally:
            pulse.leave(beats.look)
            await beats.end()
        await self._send({"type": "http.response.body", "body": b""})

    def watch(self) -> None:
        """From now on, this task is cancelled when the client leaves; `left` tells that it was so."""
        on_lost, task = self.scope.get("penstock.on_lost"), asyncio.current_task()

        def leave() -> None:
            if task is not None and not self.left:
                self.left = True
                task.cancel()

        if on_lost is not None and not self.left:
            on_lost(leave)

    # CORS

    def _origin(self) -> str | None:
        allowed = self._ctx.settings.cors_origins
        origin = self.headers.get("origin") if allowed else None
        return origin if origin and (origin in allowed or "*" in allowed) else None

    def preflight(self) -> bool:
        return self._origin() is not None and "access-control-request-method" in self.headers


class Beats:
    """Signs of life for a stream that is idle."""

    def __init__(self, send: Send, beat: bytes, after_s: float) -> None:
        self._send, self._beat, self._after_s = send, beat, after_s
        self.sent_at = time.monotonic()
        self._beating: asyncio.Future[None] | None = None

    async def end(self) -> None:
        """After this nothing more is sent."""
        if self._beating is not None and not self._beating.done():
            await asyncio.wait([self._beating])

    def look(self, at: float) -> None:
        if at - self.sent_at >= self._after_s:
            self.sent_at = at
            beat = {"type": "http.response.body", "body": self._beat, "more_body": True}
            self._beating = asyncio.ensure_future(self._send(beat))


def _cors(origin: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, QUERY"),
        (
            b"access-control-allow-headers",
            b"authorization, content-type, prefer, cancel-after, idempotency-key, last-event-id, x-api-key, api-key,"
            b" x-goog-api-key, x-goog-api-client, anthropic-version, anthropic-beta,"
            b" anthropic-dangerous-direct-browser-access, x-stainless-arch, x-stainless-lang, x-stainless-os,"
            b" x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version,"
            b" x-stainless-timeout, x-stainless-helper-method",
        ),
        (
            b"access-control-expose-headers",
            b"x-request-id, request-id, retry-after, x-should-retry, location, x-penstock-dropped",
        ),
        (b"access-control-max-age", b"600"),
        (b"vary", b"origin"),
    ]


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body must be less than {limit >> 20 or 1}MB in size")
