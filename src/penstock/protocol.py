"""uvicorn's HTTP protocol with a short cut: what memory alone can answer is written as soon as its head was read.

Such an answer costs a third of one that goes through an ASGI cycle and an asyncio task of its own. Everything else, and
whatever is unusual about a request, takes uvicorn's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

AtOnce = Callable[[bytes, list[tuple[bytes, bytes]]], bytes | None]
"""Target and headers of a GET → the reply from its own headers on, or None."""

UNUSUAL = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


class Protocol(HttpToolsProtocol):
    def __init__(self, *args: Any, at_once: AtOnce, **options: Any) -> None:
        super().__init__(*args, **options)
        self._at_once = at_once
        self._answered = False

    def on_headers_complete(self) -> None:
        reply = self._at_once(self.url, self.headers) if self._is_plain() else None
        if reply is None:
            return super().on_headers_complete()
        self._answered = True
        self.transport.write(_head(tuple(self.server_state.default_headers)) + reply)
        self.on_response_complete()
        return None

    def on_message_complete(self) -> None:
        if self._answered:
            self._answered = False
            return None
        return super().on_message_complete()

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


@lru_cache(2)
def _head(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The status line and uvicorn's own headers, which change with the date, once a second."""
    return b"HTTP/1.1 200 OK\r\n" + b"".join([b"%b: %b\r\n" % header for header in headers])
