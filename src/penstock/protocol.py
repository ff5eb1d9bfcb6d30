"""uvicorn's HTTP protocol with bounds on what a request's head may take, and a short cut: what memory alone can answer
is written as soon as its head was read.

Such an answer costs a third of one that goes through an ASGI cycle and an asyncio task of its own. Everything else, and
whatever is unusual about a request, takes uvicorn's own way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

AtOnce = Callable[[bytes, list[tuple[bytes, bytes]]], bytes | None]
"""Target and headers of a GET → the reply from its own headers on, or None."""

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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

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
        self.transport.write(_head(tuple(self.server_state.default_headers)) + reply)
        self.on_response_complete()
        return None

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


@lru_cache(2)
def _head(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The status line and uvicorn's own headers, which change with the date, once a second."""
    return b"HTTP/1.1 200 OK\r\n" + b"".join([b"%b: %b\r\n" % header for header in headers])
