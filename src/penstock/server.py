"""The ASGI application: finds the route, lets the dialect read and write, catches errors, remembers what was shown.

Pages for people and machines that are no dialect's (health, metrics, documents, the task page) are `console.pages`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from penstock.access import Keys, Limits
from penstock.access.admission import check_address, check_scope, may
from penstock.canonical.commands import Call, Command, Fetch, Quote, Respond, Submit
from penstock.canonical.task import TaskId
from penstock.canonical.who import READ, RELAY, Caller
from penstock.console import pages
from penstock.context import Context
from penstock.dialects._base import Dialect, Incoming, Links, Outgoing, Route
from penstock.dialects._installed import dialects
from penstock.errors import CallerError, GatewayError, MethodNotAllowed, PenstockError, Unauthenticated
from penstock.exchange import Exchange, Headers, Receive, Scope, Send, request_id
from penstock.gateway import perform
from penstock.log import logger
from penstock.router import Bound, Router, chosen
from penstock.routing import Channels
from penstock.tasks.events import Bells
from penstock.wire.forwarded import client_address

NOBODY = Caller("", "", "", "")
"""Who asks where a capability in the URL stands for a key."""
LOOKS = frozenset({"GET", "HEAD", "QUERY"})
"""Methods that change nothing: a key that may only read may use them."""
SHOWN_MOST = 20_000
SHOWN_BYTES = 32 << 10


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
            address = client_address(scope, self.ctx.settings.trusted_proxies)
            scope.update({"penstock.request": exchange.id, "penstock.address": address})
            return await self._pages(scope, receive, exchange.send)
        await self._answer(exchange, *found)
        return None

    async def _answer(self, exchange: Exchange, methods: dict[str, list[Bound]], values: list[str]) -> None:
        http = exchange.incoming({}, self.links)
        bounds = methods.get(exchange.method) or (methods.get("GET") if exchange.method == "HEAD" else None)
        if bounds is None:
            dialect = chosen(next(iter(methods.values())), http).dialect
            words = f"This path takes {', '.join(methods)}."
            out = _refused(dialect, MethodNotAllowed(words), exchange.id)
            out.headers["allow"] = ", ".join(methods)
            return await exchange.write(_numbered(out, dialect, exchange.id))
        dialect, route, names = chosen(bounds, http)
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
            credential = dialect.credential(http)
            caller = self._keys.remembered(credential) or await self._keys.caller(credential)
            self._admit(caller, exchange, route)
        elif "secret" in http.path and self._channels.by_secret(http.path["secret"]) is None:
            raise Unauthenticated()  # before its body is read
        if route.streams:
            http.chunks = exchange.chunks(self.ctx.settings.max_output)
        elif exchange.method not in ("GET", "HEAD"):
            http.body = await exchange.body(self.ctx.settings.max_body)
        command = route.read(dialect, http)
        if http.dry:
            return dialect.quote(await perform(self.ctx, caller, _quote(command)))
        call = command.call if isinstance(command, Respond) else command
        if isinstance(call, Call):
            call.request = exchange.id
            if call.stream:
                exchange.watch()
        if isinstance(command, Fetch):
            return await self._fetch(dialect, route, caller, command, http)
        return route.write(dialect, await perform(self.ctx, caller, command), http)

    def _admit(self, caller: Caller, exchange: Exchange, route: Route) -> None:
        """Raises AddressForbidden, ScopeMissing, LimitReached."""
        if caller.networks:
            check_address(caller, client_address(exchange.scope, self.ctx.settings.trusted_proxies))
        scope = route.scope or (READ if exchange.method in LOOKS else RELAY)
        if scope not in caller.scopes:
            check_scope(caller, scope)
        if route.counts:
            self._limits.admit(caller)

    async def _fetch(self, dialect: Dialect, route: Route, caller: Caller, command: Fetch, http: Incoming) -> Outgoing:
        """What was shown here once, `at_once` shows again, as long as it is true."""
        seen = None if http.query_string else self._shown.at(http.target)
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
        if caller is None or body is None or caller.networks or not may(caller, READ):
            return None
        if self.ctx.settings.cors_origins and http.header("origin"):
            return None
        try:
            self._limits.admit(caller)
        except PenstockError:
            return None
        seen.count()
        head = b"x-request-id: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return head % (request_id().encode(), len(body)) + body


def _quote(command: Command) -> Quote:
    """Raises CallerError for what costs nothing: it would be done in earnest."""
    if not isinstance(command, Submit | Call | Respond):
        raise CallerError("dry_run asks what a request would cost, and this one costs nothing: nothing was done")
    return Quote(command)


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
    if not error.retry:
        out.headers.setdefault("x-should-retry", "false")
    return out


async def _lifespan(receive: Receive, send: Send) -> None:
    """The gateway is opened before the server and closed after it (see `serving`), so there is nothing to do."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
