"""Server-sent events: a writer, and a reader without I/O.

Source: WHATWG HTML, 9.2 (the event stream format and its interpretation).
"""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec

from penstock.errors import UpstreamError

COMMENT = b": ka\n\n"
"""Keeps an idle stream alive; readers ignore it."""

LIMIT_BYTES = 64 << 20
"""Of one event; a vendor's event may hold a whole picture in base64."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_BOM = "\ufeff"


class Event(msgspec.Struct, frozen=True, gc=False):
    """`name` is None where the stream gave none; `id` is the last one that it gave; `raw` is all of its bytes.

    To `raw` belong comments and blank lines before the event and the blank line that ends it, so that the raws of a
    stream, one after the other, are the stream.
    """

    name: str | None
    id: str | None
    data: str
    raw: bytes = b""


def event(name: str | None, id: str | None, data: str | bytes) -> bytes:
    """One event; data of several lines becomes several `data:` lines. Raises ValueError for a line end in name or id.

    >>> event("output", "1:0", "Hi")
    b'event: output\\nid: 1:0\\ndata: Hi\\n\\n'
    """
    text = data if isinstance(data, str) else data.decode()
    if "\n" in text or "\r" in text:
        text = "\ndata: ".join(_LINE_END.split(text))
    return f"{_line('event', name)}{_line('id', id)}data: {text}\n\n".encode()


def _line(field: str, value: str | None) -> str:
    if value is None:
        return ""
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"a line end or NUL in an event's {field}")
    return f"{field}: {value}\n"


class Reader:
    """Feed it bytes in any portions; each call returns the events that became whole.

    A CR at the very end of a portion is held until the next byte shows whether an LF belongs to it.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.retry_ms: int | None = None
        self._buffer = bytearray()
        self._searched = 0  # no blank line begins before this
        self._limit_bytes = limit_bytes
        self._last_id: str | None = None
        self._skipped = b""  # blocks without data, which go into the next event's raw
        self._begun = False

    def feed(self, data: bytes) -> list[Event]:
        """Raises UpstreamError for an event larger than the limit."""
        events: list[Event] = []
        if not self._buffer and data.endswith(b"\n\n") and b"\r" not in data:  # as nearly every portion is
            for block in data.split(b"\n\n")[:-1]:
                self._take(block + b"\n\n", events)
        else:
            self._buffer += data
            self._take_whole(events)
        if len(self._buffer) + len(self._skipped) > self._limit_bytes:
            raise UpstreamError("The upstream sent an event that is too large.")
        return events

    def end(self) -> list[Event]:
        """The stream is over: an event that lacks only its blank line counts, as some vendors leave it out."""
        events: list[Event] = []
        if self._buffer:
            self._take(bytes(self._buffer), events)
            self._buffer.clear()
            self._searched = 0
        return events

    def _take_whole(self, events: list[Event]) -> None:
        """Take from the buffer the blocks that have their blank line."""
        ends = [match.end() for match in _BLANK_LINE.finditer(self._buffer, self._searched)]
        if ends and ends[-1] == len(self._buffer) and self._buffer[-1] == 0x0D:
            ends.pop()
        for start, end in pairwise((0, *ends)):
            self._take(bytes(self._buffer[start:end]), events)
        del self._buffer[: ends[-1] if ends else 0]
        self._searched = max(0, len(self._buffer) - 3)

    def _take(self, block: bytes, events: list[Event]) -> None:
        name, data = self._read(block)
        if self._skipped:
            block, self._skipped = self._skipped + block, b""
        if data is None:
            self._skipped = block
        else:
            events.append(Event(name, self._last_id, data, block))

    def _read(self, block: bytes) -> tuple[str | None, str | None]:
        """The event's name and data; data is None where the block holds none. Keeps `id` and `retry`."""
        text = block.decode("utf-8", "replace")
        if not self._begun:
            self._begun, text = True, text.removeprefix(_BOM)
        name: str | None = None
        data: list[str] = []
        for line in _LINE_END.split(text) if "\r" in text else text.split("\n"):
            if not line:
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                name = value or None
            elif field == "id" and "\0" not in value:
                self._last_id = value
            elif field == "retry" and value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return name, "\n".join(data) if data else None
