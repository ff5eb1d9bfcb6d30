"""The one pooled HTTP client for upstreams: bytes out, bytes in, and every failure as one of our own errors.

After a failed POST or PATCH the class of the error says what became of the request. The library's own classes do not:
it raises its ConnectError also for a reset after sending, its ConnectTimeoutError also for a reply that never came.

- `UpstreamUnreachable`: no connection came about, so nothing was sent. It may be sent again, here or elsewhere.
- `FateUnknown`: it may have arrived. Other methods may be repeated, so there it is UpstreamTimeout or UpstreamError.

Nothing is ever sent twice: a pooled connection that closes under a request ends in one of these. No redirects, cookies,
proxies, or referrers. A request whose caller is cancelled before the reply's head came goes on upstream until its
`timeout_s` (the library does not abort it); after the head, leaving closes the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import lru_cache
from types import TracebackType
from typing import Self

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response as Reply

from penstock import __version__
from penstock.errors import Crowded, FateUnknown, PenstockError, UpstreamError, UpstreamTimeout, UpstreamUnreachable

REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods for which sending again does no harm (RFC 9110, 9.2.2)."""

NOT_CONNECTED = "client error (Connect)"
"""What the library's chain of causes holds exactly when the connection itself failed: DNS, TCP, or TLS."""

MEGABYTE = 1 << 20


class Request(msgspec.Struct, frozen=True, gc=False):
    """`timeout_s` is for the whole exchange: connecting, the wait for the reply, and reading all of its body."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | AsyncIterable[bytes] | None = None
    timeout_s: float = 60.0


class Response(msgspec.Struct, frozen=True, gc=False):
    """`headers` ignores case and holds names in lower case; of a repeated header it gives the first value."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Streamed:
    """A reply whose body comes as it arrives: iterate over it once. Chunks are inflated, and at most some 400 kB."""

    __slots__ = ("_left", "_over", "_read", "headers", "status")

    def __init__(self, reply: Reply, cap_bytes: int, over: PenstockError) -> None:
        self.status = reply.status
        self.headers: Mapping[str, str] = reply.headers
        self._read = reply.body_reader.read_chunk
        self._left, self._over = cap_bytes, over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._read()
        except PyreqwestError as error:
            raise broken_off(error) from None
        if chunk is None:
            raise StopAsyncIteration
        self._left -= len(chunk)
        if self._left < 0:
            raise self._over
        return chunk.to_bytes()


class Http:
    """The pooled client. Open it once per process: `async with Http() as http`.

    At most `max_in_flight` requests run at once, and `max_streams` streams beside them; others wait up to
    `connect_timeout_s` for a place. A reply that stays silent for `stall_s` is given up. `roots_pem` is trusted besides
    the system's certificate authorities.
    """

    def __init__(
        self,
        max_in_flight: int = 1024,
        max_streams: int = 8192,
        connect_timeout_s: float = 10.0,
        idle_s: float = 30.0,
        stall_s: float = 600.0,
        roots_pem: bytes | None = None,
    ) -> None:
        self._places = asyncio.Semaphore(max_in_flight)
        self._streams = asyncio.Semaphore(max_streams)  # they last: whoever only polls must not wait for them
        self._patience_s = connect_timeout_s
        builder = plain_builder(connect_timeout_s, idle_s, roots_pem).read_timeout(timedelta(seconds=stall_s))
        self._client = builder.build()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._client.close()

    async def send(self, request: Request, limit: int = 16 * MEGABYTE) -> Response:
        """The whole reply, whatever its status.

        More than `limit` bytes (inflated) count as a lost reply: FateUnknown after a POST or PATCH, else UpstreamError.
        """
        prepared = prepare(self._client, request, whole=True)
        await self._take_place(self._places)
        try:
            async with prepared as reply:
                body = await reply.body_reader.read(limit + 1)
        except PyreqwestError as error:
            raise lost(request.method, error) from None
        finally:
            self._places.release()
        if body is not None and len(body) > limit:
            raise unread(request.method)
        return Response(reply.status, reply.headers, body.to_bytes() if body is not None else b"")

    @asynccontextmanager
    async def stream(self, request: Request, cap_bytes: int) -> AsyncIterator[Streamed]:
        """The reply as soon as its head is here. Leaving closes what was not read.

        Past the head the fate is known, so a body that breaks off is an UpstreamError or UpstreamTimeout for any
        method; so is one of more than `cap_bytes`.
        """
        prepared = prepare(self._client, request)
        await self._take_place(self._streams)
        try:
            async with opened(
                prepared, request.method, cap_bytes, UpstreamError("The upstream's answer is too large.")
            ) as reply:
                yield reply
        finally:
            self._streams.release()

    async def _take_place(self, places: asyncio.Semaphore) -> None:
        if not places.locked():  # the usual case costs no timer
            await places.acquire()
            return
        try:
            async with asyncio.timeout(self._patience_s):
                await places.acquire()
        except TimeoutError:
            raise Crowded() from None


# ── shared with the guarded fetch ─────────────────────────────────────────────────────────────────────────────────────


def plain_builder(connect_timeout_s: float, idle_s: float, roots_pem: bytes | None) -> ClientBuilder:
    """A client that does what it is told and nothing else."""
    builder = (
        ClientBuilder()
        .follow_redirects(False)
        .default_cookie_store(False)
        .no_proxy()
        .referer(False)
        .user_agent(f"penstock/{__version__}")
        .connect_timeout(timedelta(seconds=connect_timeout_s))
        .pool_idle_timeout(timedelta(seconds=idle_s))
    )
    return builder.add_root_certificate_pem(roots_pem) if roots_pem else builder


def prepare(client: Client, request: Request, *, whole: bool = False) -> StreamRequest:
    """Nothing leaves yet. `whole`: the reply is wanted once it is there, not as it comes. Raises UpstreamUnreachable
    where the address or a header can't be written."""
    try:
        builder = client.request(request.method, request.url).headers(request.headers)
        if isinstance(request.body, bytes):
            builder = builder.body_bytes(request.body)
        elif request.body is not None:
            builder = builder.body_stream(request.body)
        builder = builder.timeout(_span(request.timeout_s))
        if not whole:  # with its default buffer the library hands a stream over only at its end
            builder = builder.streamed_read_buffer_limit(0)
        return builder.build_streamed()
    except ValueError:
        raise UpstreamUnreachable("The upstream's address or a header is not valid.") from None


@lru_cache(1000)
def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@asynccontextmanager
async def opened(prepared: StreamRequest, method: str, cap_bytes: int, over: PenstockError) -> AsyncIterator[Streamed]:
    """Send, and give the reply once its head is here; past `cap_bytes` of body `over` is raised."""
    try:
        reply = await prepared.__aenter__()
    except PyreqwestError as error:
        raise lost(method, error) from None
    try:
        yield Streamed(reply, cap_bytes, over)
    finally:
        await prepared.__aexit__(None, None, None)


def lost(method: str, error: PyreqwestError) -> UpstreamError:
    """A failure before the reply was whole. The library's words go in a note, for logs: its first names the URL."""
    causes = (
        [cause["message"] for cause in error.details["causes"] or ()]
        if isinstance(error, DetailedPyreqwestError)
        else []
    )
    if NOT_CONNECTED in causes:
        mapped: UpstreamError = UpstreamUnreachable()
    elif method not in REPEATABLE:
        mapped = FateUnknown()
    else:
        mapped = broken_off(error)
    if len(causes) > 1:
        mapped.add_note(causes[-1])
    return mapped


def broken_off(error: PyreqwestError) -> UpstreamError:
    if isinstance(error, TimeoutError):
        return UpstreamTimeout()
    return UpstreamError("The upstream's answer broke off.")


def unread(method: str) -> UpstreamError:
    """A reply too large to read: what was asked for may well have been done."""
    words = "The upstream's answer is too large."
    return UpstreamError(words) if method in REPEATABLE else FateUnknown(words)
