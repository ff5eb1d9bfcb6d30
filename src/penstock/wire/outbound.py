"""Which URLs we may fetch, and the fetch itself: for every URL that a caller can influence.

A URL is read by the parser of the HTTP client itself, so that both see the same host however it is spelt. Its host is
resolved, every address must be public (or in a network that the operator opened), and the connection goes to the
address that was checked, whatever DNS says by then. TLS is still verified against the name.

Source: WHATWG URL, for the spellings of a host.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from pyreqwest.client import Client
from pyreqwest.http import Url

from penstock.errors import CallerError, TooLarge, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from penstock.wire.addresses import OTHER_PORTS, Address, Network, is_public, literal, unwrapped
from penstock.wire.http import Request, Streamed, opened, plain_builder, prepare

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → its addresses. Raises OSError where there are none."""

MAX_URL_CHARS = 8192
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ANSWER_BYTES = 4096
"""How much of a webhook receiver's answer is read, so that its connection can be used again."""


class UrlRefused(CallerError):
    """This URL may not be fetched."""

    code = "url_refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed as far as it can be judged without DNS; `address` is None where the host is a name."""

    url: str
    host: str
    port: int
    address: Address | None


@dataclass(slots=True)
class Pinned:
    """A client that can reach one address only."""

    client: Client
    users: int = 0
    used_at: float = 0.0


async def system_dns(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


# ── the guard ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Guard:
    """The one way out for URLs of callers. Open it once per process: `async with Guard(allow) as guard`.

    `allow` are networks that the operator opened besides the public ones, on any port. Up to `keep` clients are kept
    for `keep_s`, so that a thousand webhooks to one receiver use a few connections.
    """

    def __init__(
        self,
        allow: tuple[Network, ...] = (),
        resolve: Resolve = system_dns,
        roots_pem: bytes | None = None,
        *,
        connect_timeout_s: float = 10.0,
        keep: int = 64,
        keep_s: float = 60.0,
    ) -> None:
        self._allow, self._resolve, self._roots_pem = allow, resolve, roots_pem
        self._connect_timeout_s, self._keep, self._keep_s = connect_timeout_s, keep, keep_s
        self._clients: OrderedDict[tuple[str, str, int], Pinned] = OrderedDict()  # least recently used first

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        while self._clients:
            await self._clients.popitem()[1].client.close()

    def check_literal(self, url: str) -> None:
        """All that can be said without DNS. Raises UrlRefused."""
        self._target(url)

    async def check(self, url: str) -> None:
        """Raises UrlRefused; UpstreamUnreachable where the name has no address now, which may change."""
        await self._addresses(self._target(url))

    @asynccontextmanager
    async def fetch(
        self, url: str, max_bytes: int, timeout_s: float, max_redirects: int = 3
    ) -> AsyncIterator[Streamed]:
        """GET, following redirects with the same checks at each; the caller judges the status.

        `timeout_s` is for everything, the body included. Raises UrlRefused, TooLarge beyond `max_bytes` (inflated),
        and UpstreamError with its kin.
        """
        deadline = time.monotonic() + timeout_s
        too_large = TooLarge(f"The file behind the URL is larger than {max_bytes} bytes.")
        for _ in range(max_redirects + 1):
            target = self._target(url)
            async with AsyncExitStack() as hop:
                reply = await self._open(hop, target, Request("GET", target.url), deadline, max_bytes, too_large)
                location = reply.headers.get("location") if reply.status in REDIRECTS else None
                if location is None:
                    yield reply
                    return
            url = _joined(target.url, location)
        raise UrlRefused("The URL redirects too often.")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> int:
        """POST once, without redirects, and give the status. Raises UrlRefused, or UpstreamError with its kin."""
        deadline, target = time.monotonic() + timeout_s, self._target(url)
        enough = TooLarge()
        async with AsyncExitStack() as hop:
            request = Request("POST", target.url, headers, body)
            reply = await self._open(hop, target, request, deadline, ANSWER_BYTES, enough)
            with suppress(UpstreamError, TooLarge):
                async for _ in reply:
                    pass
            return reply.status

    # ── judging ──

    def _target(self, url: str) -> Target:
        if len(url) > MAX_URL_CHARS:
            raise UrlRefused("The URL is too long.")
        try:
            parsed = Url(url)
        except ValueError:
            raise UrlRefused("The URL can't be read.") from None
        if parsed.scheme not in ("http", "https"):
            raise UrlRefused("The URL must begin with https:// or http://.")
        if parsed.username or parsed.password:
            raise UrlRefused("The URL must not hold a user name or password.")
        host, port = (parsed.host_str or "").rstrip("."), parsed.port_or_known_default or 0
        if not host:
            raise UrlRefused("The URL has no host.")
        address = literal(host)
        if address:
            self._judge(address, port)
        elif port in OTHER_PORTS and not self._allow:
            raise UrlRefused(f"Port {port} may not be reached.")
        # Without a trailing dot: the pin is found by the host's exact spelling, and DNS would be asked otherwise.
        exact = parsed.with_host(host).with_fragment(None)
        return Target(str(exact), host, port, address)

    def _judge(self, address: Address, port: int) -> None:
        reached = unwrapped(address)
        if any(reached in network for network in self._allow):
            return
        if not is_public(reached):
            raise UrlRefused("The URL's host is not on the public internet.")
        if port in OTHER_PORTS:
            raise UrlRefused(f"Port {port} may not be reached.")

    async def _addresses(self, target: Target) -> list[Address]:
        """Where the target may be reached, all of it judged: one private address among public ones refuses it."""
        if target.address:
            return [target.address]
        try:
            found = [ip_address(text) for text in await self._resolve(target.host, target.port)]
        except (OSError, ValueError):  # a name that IDNA or DNS can't write is a ValueError
            found = []
        if not found:
            raise UpstreamUnreachable("The URL's host has no address.")
        for address in found:
            self._judge(address, target.port)
        return list(dict.fromkeys(found))

    # ── connecting ──

    async def _open(
        self, hop: AsyncExitStack, target: Target, request: Request, deadline: float, cap_bytes: int, over: CallerError
    ) -> Streamed:
        """Send to the first address that takes a connection; what is open closes with `hop`."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                addresses = await self._addresses(target)
        except TimeoutError:
            raise UpstreamTimeout() from None
        failure: UpstreamError = UpstreamUnreachable()
        for address in addresses:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise UpstreamTimeout()
            client = await hop.enter_async_context(self._pinned(target.host, address, target.port))
            timed = Request(request.method, request.url, request.headers, request.body, left_s)
            try:
                return await hop.enter_async_context(opened(prepare(client, timed), request.method, cap_bytes, over))
            except UpstreamUnreachable as error:
                failure = error
        raise failure

    @asynccontextmanager
    async def _pinned(self, host: str, address: Address, port: int) -> AsyncIterator[Client]:
        key = (host, str(address), port)
        if key not in self._clients:
            built = await asyncio.to_thread(self._build, *key)  # some 8 ms: it reads the system's authorities
            if self._clients.setdefault(key, Pinned(built)).client is not built:
                await built.close()
        entry = self._clients[key]
        self._clients.move_to_end(key)
        entry.users += 1
        try:
            yield entry.client
        finally:
            entry.users -= 1
            entry.used_at = time.monotonic()
            await self._trim()

    def _build(self, host: str, address: str, port: int) -> Client:
        builder = plain_builder(self._connect_timeout_s, self._keep_s, self._roots_pem)
        return builder.resolve(host, address, port).build()

    async def _trim(self) -> None:
        now, surplus = time.monotonic(), len(self._clients) - self._keep
        for key, entry in list(self._clients.items()):
            if entry.users == 0 and (surplus > 0 or now - entry.used_at > self._keep_s):
                del self._clients[key]
                surplus -= 1
                await entry.client.close()


def _joined(base: str, location: str) -> str:
    try:
        return str(Url(base).join(location))
    except ValueError:
        raise UrlRefused("The URL redirects to one that can't be read.") from None
