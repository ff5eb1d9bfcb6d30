"""The ASGI application: finds the route, limits the body, lets the dialect read and write, streams, catches errors.

Pages for people and machines that are no dialect's (health, metrics, documents, the task page) are `console.pages`.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from penstock.access import Keys, Limits
from penstock.calls.pulse import Pulse
from penstock.canonical.commands import Call, Fetch, Respond
from penstock.canonical.task import TaskId
from penstock.canonical.who import Caller
from penstock.console import pages
from penstock.context import Context
from penstock.dialects._base import Dialect, Incoming, Links, Outgoing, Route
from penstock.dialects._installed import dialects
from penstock.errors import GatewayError, MethodNotAllowed, PenstockError, TooLarge, Unauthenticated
from penstock.gateway import perform
from penstock.ids import new_id
from penstock.log import logger
from penstock.routing import Channels
from penstock.tasks.events import Bells

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
NOBODY = Caller("", "", "", "")
"""Who asks where a capability in the URL stands for a key."""
SHOWN_MOST = 20_000
SHOWN_BYTES = 32 << 10


_process, _requests = new_id()[:16], itertools.count(1)


def request_id() -> str:
    """The process, and the number of the request in it: 26 characters, ten times cheaper than an id of its own."""
    return f"{_process}{next(_requests):010x}"


class Headers(Mapping[str, str]):
    """Request headers by lower-case name, decoded when asked for."""

    __slots__ = ("_raw",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        value: str | None = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        wanted = name.encode("latin-1")
        for known, value in self._raw:
            if known == wanted:
                return value.decode("latin-1")
        return default

    def __iter__(self) -> Iterator[str]:
        return iter([name.decode("latin-1") for name, _ in self._raw])

    def __len__(self) -> int:
        return len(self._raw)


REST = "{*}"
"""In the tree: a variable that takes all that is left of a path."""


class Bound(NamedTuple):
    """A route of a dialect, with the names of its variables."""

    dialect: Dialect
    route: Route
    names: tuple[str, ...]


class Router:
    """Paths without variables in a dict, the others in a tree of segments. Dialects may share a path: see `_chosen`."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, list[Bound]]] = {}
        self._tree: dict[str, Any] = {}

    def add(self, prefix: str, dialect: Dialect, route: Route) -> None:
        path = prefix + route.path
        if "{" not in path:
            self._exact.setdefault(path, {}).setdefault(route.method, []).append(Bound(dialect, route, ()))
            return
        node = self._tree
        names = []
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                rest = segment.endswith("*}")
                names.append(segment[1 : -2 if rest else -1])
                segment = REST if rest else "{}"
            node = node.setdefault(segment, {})
        node.setdefault("", {}).setdefault(route.method, []).append(Bound(dialect, route, tuple(names)))

    def find(self, path: str) -> tuple[dict[str, list[Bound]], list[str]] | None:
        """What answers this path, by method, and the values of its variables."""
        exact = self._exact.get(path) or (self._exact.get(path[:-1]) if path.endswith("/") else None)
        if exact is not None:
            return exact, []
        return _descend(self._tree, path.split("/")[1:], 0, [])


def _descend(
    node: dict[str, Any], segments: list[str], at: int, values: list[str]
) -> tuple[dict[str, Any], list[str]] | None:
    if at == len(segments):
        return (node[""], values) if "" in node else None
    segment = segments[at]
    if segment and segment in node and (found := _descend(node[segment], segments, at + 1, values)):
        return found
    if segment and "{}" in node and (found := _descend(node["{}"], segments, at + 1, [*values, segment])):
        return found
    if segment and REST in node:
        return node[REST][""], [*values, "/".join(segments[at:])]
    return None


def _chosen(bounds: list[Bound], http: Incoming) -> Bound:
    """Whose request this is, where several dialects have a route at one path; the last one takes what is nobody's."""
    if len(bounds) == 1:
        return bounds[0]
    return next((bound for bound in bounds if bound.dialect.claims(http)), bounds[-1])


@dataclass(frozen=True, slots=True)
class Seen:
    """One path that leads to a task, and its body as each (account, mode) is shown it."""

    dialect: Dialect
    count: Callable[[], None]
    bodies: dict[tuple[str, str], bytes]

    def body(self, caller: Caller) -> bytes | None:
        return self.bodies.get((caller.account, caller.mode))


class Shown:
    """Tasks as they were last shown, encoded. What is written to a task rings its bell, and then it is forgotten here.

    Only where this process is the one that writes, which a PostgreSQL database does not promise.
    """

    def __init__(self, ctx: Context) -> None:
        self._seen: dict[str, Seen] = {}
        self._paths: dict[TaskId, list[str]] = {}
        self._on = ctx.store.kind == "sqlite"
        self._requests = ctx.metrics.requests
        ctx.of(Bells).listeners.append(self._forget)

    def at(self, path: str) -> Seen | None:
        return self._seen.get(path)

    def keep(self, dialect: Dialect, caller: Caller, task: TaskId, path: str, body: bytes) -> None:
        if not self._on or len(body) > SHOWN_BYTES:
            return
        if len(self._seen) >= SHOWN_MOST:
            self._seen.clear()
            self._paths.clear()
        seen = self._seen.get(path)
        if seen is None:
            seen = self._seen[path] = Seen(dialect, self._requests.labels(dialect.name, 200).inc, {})
            self._paths.setdefault(task, []).append(path)
        seen.bodies[caller.account, caller.mode] = body

    def _forget(self, task: TaskId) -> None:
        for path in self._paths.pop(task, ()):
            self._seen.pop(path, None)


class App:
    """Answers requests on one gateway."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.links = Links(ctx.settings.public_url, ctx.signer)
        self.router = Router()
        self._keys, self._limits, self._channels = ctx.of(Keys), ctx.of(Limits), ctx.of(Channels)
        self._shown = Shown(ctx)
        self._counted = lru_cache(1000)(ctx.metrics.requests.labels)
        for dialect in dialects().values():
            for prefix in dialect.prefixes:
                for route in dialect.routes():
                    self.router.add(prefix, dialect, route)
        self._pages = pages.app(ctx)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["type"] != "http":
            return None
        exchange = Exchange(self.ctx, scope, receive, send)
        try:
            await self._exchange(exchange, scope, receive)
        except asyncio.CancelledError:
            if not exchange.left and not self.ctx.closing.is_set():
                raise

    async def _exchange(self, exchange: Exchange, scope: Scope, receive: Receive) -> None:
        if exchange.method == "OPTIONS" and exchange.preflight():
            return await exchange.write(Outgoing(204))
        found = self.router.find(scope["path"])
        if found is None:
            return await self._pages(scope, receive, exchange.send)
        await self._answer(exchange, *found)
        return None

    async def _answer(self, exchange: Exchange, methods: dict[str, list[Bound]], values: list[str]) -> None:
        http = exchange.incoming({}, self.links)
        bounds = methods.get(exchange.method) or (methods.get("GET") if exchange.method == "HEAD" else None)
        if bounds is None:
            dialect = _chosen(next(iter(methods.values())), http).dialect
            words = f"This path takes {', '.join(methods)}."
            out = _refused(dialect, MethodNotAllowed(words), exchange.id)
            out.headers["allow"] = ", ".join(methods)
            return await exchange.write(_numbered(out, dialect, exchange.id))
        dialect, route, names = _chosen(bounds, http)
        if values:
            http.path = dict(zip(names, values, strict=True))
        try:
            out = await self._perform(exchange, dialect, route, http)
        except PenstockError as error:
            out = _refused(dialect, error, exchange.id)
        except Exception:  # noqa: BLE001  the one place where anything else is caught: no traceback leaves
            logger("server").exception("request failed", request_id=exchange.id, path=route.path)
            words = "The gateway failed. Its log has the details of this request."
            out = _refused(dialect, GatewayError(words), exchange.id)
        self._counted(dialect.name, out.status).inc()
        try:
            await exchange.write(_numbered(out, dialect, exchange.id))
        finally:
            if out.stream is not None and hasattr(out.stream, "aclose"):
                await out.stream.aclose()

    async def _perform(self, exchange: Exchange, dialect: Dialect, route: Route, http: Incoming) -> Outgoing:
        caller = NOBODY
        if route.needs_key:
            caller = await self._keys.caller(dialect.credential(http))
            self._limits.admit(caller)
        elif "secret" in http.path and self._channels.by_secret(http.path["secret"]) is None:
            raise Unauthenticated()  # before its body is read
        if route.streams:
            http.chunks = exchange.chunks(self.ctx.settings.max_output)
        elif exchange.method not in ("GET", "HEAD"):
            http.body = await exchange.body(self.ctx.settings.max_body)
        command = route.read(dialect, http)
        call = command.call if isinstance(command, Respond) else command
        if isinstance(call, Call):
            call.request = exchange.id
            if call.stream:
                exchange.watch()
        if isinstance(command, Fetch):
            return await self._fetch(dialect, route, caller, command, http)
        return route.write(dialect, await perform(self.ctx, caller, command), http)

    async def _fetch(self, dialect: Dialect, route: Route, caller: Caller, command: Fetch, http: Incoming) -> Outgoing:
        """What was shown here once, `at_once` shows again, as long as it is true."""
        seen = self._shown.at(http.target)
        if seen is not None and (body := seen.body(caller)) is not None:
            return Outgoing(200, body)
        task = await perform(self.ctx, caller, command)
        out = route.write(dialect, task, http)
        if isinstance(out.body, bytes) and out.status == 200 and not http.query_string:
            self._shown.keep(dialect, caller, task.id, http.target, out.body)
        return out

    def at_once(self, target: bytes, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """The hottest of all, for clients poll: a task that was shown before, and has not changed, to a known key.

        The reply from its own headers on. None: it takes the long way, which also words every refusal.
        """
        path = target.decode("latin-1")
        seen = self._shown.at(path)
        if seen is None:
            return None
        http = Incoming("GET", path, Headers(headers))
        caller = self._keys.remembered(seen.dialect.credential(http))
        body = seen.body(caller) if caller else None
        if caller is None or body is None or (self.ctx.settings.cors_origins and http.header("origin")):
            return None
        try:
            self._limits.admit(caller)
        except PenstockError:
            return None
        seen.count()
        head = b"x-request-id: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return head % (request_id().encode(), len(body)) + body


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
        (b"access-control-expose-headers", b"x-request-id, request-id, retry-after, location, x-penstock-dropped"),
        (b"access-control-max-age", b"600"),
        (b"vary", b"origin"),
    ]


def _numbered(out: Outgoing, dialect: Dialect, request: str) -> Outgoing:
    """With the request's id where this API's clients look for it."""
    if dialect.id_header:
        out.headers[dialect.id_header] = request
    return out


def _refused(dialect: Dialect, error: PenstockError, request: str) -> Outgoing:
    error.request_id = request
    out = dialect.error(error)
    if error.retry_after_s is not None:
        out.headers.setdefault("retry-after", str(max(1, math.ceil(error.retry_after_s))))
    return out


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body must be less than {limit >> 20 or 1}MB in size")


async def _lifespan(receive: Receive, send: Send) -> None:
    """The gateway is opened before the server and closed after it (see `cli.serve`), so there is nothing to do."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
