"""uvicorn's HTTP protocol with bounds on what a request's head may take, and two short cuts: what memory alone can
answer is written as soon as its head was read, and a reply that is there whole is written at once.

An answer of the first kind costs a third of one that goes through an ASGI cycle and an asyncio task of its own; the
second saves half of what two ASGI messages cost. Whatever is unusual about a request takes uvicorn's own way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

AtOnce = Callable[[bytes, list[tuple[bytes, bytes]]], bytes | None]
"""Target and headers of a GET → the reply from its own headers on, or None."""

CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header may hold; a tab may be."""

UNUSUAL = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})

HEAD_MOST = 64 << 10
"""Bytes of a target and its headers; the parser itself would gather as much as comes."""
HEAD_S = 30.0
"""How long a head may take: from connecting, and later from its first byte."""


class Protocol(HttpToolsProtocol):
    def __init__(self, *args: Any, at_once: AtOnce, **options: Any) -> None:
        super().__init__(*args, **options)
        self._at_once = at_once
        self._answered = False
        self._in_head = False
        self._unread = 0  # bytes that came since the parser last made something of them
        self._arrived = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lost: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost()

    def on_lost(self, tell: Callable[[], object] | None) -> None:
        """Call this when the client of the current request leaves, or has left."""
        self._lost = tell
        if tell is not None and self.transport.is_closing():
            tell()

    def data_received(self, data: bytes) -> None:
        """A head that came in one piece costs nothing here. Trailers after a body are bounded as heads are."""
        self._arrived = len(data)
        self._unread += self._arrived
        super().data_received(data)
        if self._unread > HEAD_MOST:
            self._refuse("The request head is too large.")
        elif self._in_head and self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_S, self._too_slow)

    def on_message_begin(self) -> None:
        self._in_head, self._unread = True, 0
        super().on_message_begin()
        self._lost = None
        self.scope["penstock.whole"] = self.whole  # type: ignore[typeddict-unknown-key]
        self.scope["penstock.on_lost"] = self.on_lost  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        if self._unread + self._arrived > HEAD_MOST and _size(self.url, self.headers) > HEAD_MOST:
            raise ValueError("the request head is too large")  # the parser stops at it, and uvicorn answers 400
        self._in_head, self._unread = False, 0
        if self._timer is not None:
            self._disarm()
        reply = self._at_once(self.url, self.headers) if self._is_plain() else None
        if reply is None:
            return super().on_headers_complete()
        self._answered = True
        self.transport.write(_head(200, tuple(self.server_state.default_headers)) + reply)
        self.on_response_complete()
        return None

    def whole(
        self, scope: MutableMapping[str, Any], status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Answer this request with all of the reply. False where that takes uvicorn's own way, and nothing was done."""
        cycle = self.cycle
        lines = [b"%b: %b" % header for header in headers]
        if (
            cycle.scope is not scope  # another request waits behind it
            or cycle.response_started
            or cycle.disconnected
            or not cycle.keep_alive
            or self.flow.write_paused
            or CONTROL.search(b"".join(lines))
        ):
            return False
        head = _head(status, tuple(self.server_state.default_headers))
        self.transport.write(head + b"\r\n".join([*lines, b"", body]))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        self.on_response_complete()
        return True

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        if self._answered:
            self._answered = False
            return None
        return super().on_message_complete()

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse("The request head took too long.")

    def _refuse(self, words: str) -> None:
        """Say so and close; only close where another answer is being written."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.send_400_response(words)
        else:
            self.transport.close()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_plain(self) -> bool:
        """A GET without a body on a connection that stays and has nothing before it to answer or to send."""
        parser = self.parser
        return (
            parser.get_method() == b"GET"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and UNUSUAL.isdisjoint([name for name, _ in self.headers])
        )


def _size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


@lru_cache(20)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The status line and uvicorn's own headers, which change with the date, once a second."""
    return STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % header for header in headers])
