"""multipart/form-data, read as it arrives: text fields as strings, files straight into a sink.

Source: RFC 7578. Quirk: Replicate's JavaScript client sends `metadata` as a file named `blob` of type application/json,
the Python one as a text field, so for some fields the name decides that they are text (`texts`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_to_bytes

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from penstock.errors import CallerError, TooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_EXTENDED_NAME = re.compile(rb"filename\*\s*=\s*([\w-]+)'[^']*'([^;\s]+)", re.IGNORECASE)
_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)


class Part(msgspec.Struct, frozen=True):
    """What a part says about itself. `filename` is without folders, and None where the part has none."""

    name: str
    filename: str | None = None
    content_type: str | None = None


class Sink(Protocol):
    """Where a file goes. The caller closes it; those of parts that never became whole too, when reading raises."""

    async def write(self, data: bytes, /) -> object: ...


async def read_form(
    receive_chunks: AsyncIterable[bytes],
    content_type: str,
    *,
    max_part_bytes: int,
    open_file: Callable[[Part], Sink],
    max_parts: int = 32,
    max_header_bytes: int = 8192,
    max_text_bytes: int = 1 << 20,
    texts: Collection[str] = ("metadata",),
) -> AsyncIterator[tuple[Part, str | Sink]]:
    """Each part when it is whole: a text field with its text, a file with the sink that `open_file` gave for it.

    Raises CallerError for what is malformed or cut short, TooLarge beyond a limit. The whole body is the caller's to
    bound.
    """
    lexer = _Lexer(content_type, max_header_bytes)
    caps = {True: min(max_text_bytes, max_part_bytes), False: max_part_bytes}
    parts = 0
    part, size, text, sink = Part(""), 0, bytearray(), None
    async for chunk in receive_chunks:
        for token in lexer.feed(chunk):
            if isinstance(token, Part):
                parts += 1
                if parts > max_parts:
                    raise TooLarge(f"The form has more than {max_parts} parts.")
                part, size, text = token, 0, bytearray()
                sink = None if part.filename is None or part.name in texts else open_file(part)
            elif token is not None:
                size += len(token)
                if size > caps[sink is None]:
                    raise TooLarge(f"The form's part {part.name!r} is too large.")
                if sink is None:
                    text += token
                else:
                    await sink.write(token)
            else:
                yield part, _text(text, part) if sink is None else sink
    if not lexer.ended:
        raise CallerError("The form was cut short.")


def _text(data: bytearray, part: Part) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CallerError(f"The form's field {part.name!r} is not UTF-8.") from None


class _Lexer:
    """Bytes in; out come a Part for each part's head, bytes of its body, and None for its end."""

    def __init__(self, content_type: str, max_header_bytes: int) -> None:
        kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise CallerError("The body must be multipart/form-data with a boundary.")
        self.ended = False
        self._tokens: list[Part | bytes | None] = []
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = bytearray(), bytearray()
        try:
            self._parser = MultipartParser(boundary, self._callbacks(), max_header_size=max_header_bytes)
        except FormParserError:
            raise CallerError("The form's boundary is too long.") from None

    def feed(self, chunk: bytes) -> list[Part | bytes | None]:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise CallerError("The form is malformed.") from None
        tokens, self._tokens = self._tokens, []
        return tokens

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": lambda: self._tokens.append(_part(self._headers)),
            "on_part_data": lambda data, start, end: self._tokens.append(bytes(data[start:end])),
            "on_part_end": lambda: self._tokens.append(None),
            "on_end": self._end,
        }

    def _header(self) -> None:
        self._headers[bytes(self._field).strip().lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True


def _part(headers: dict[bytes, bytes]) -> Part:
    disposition = headers.get(b"content-disposition", b"")
    kind, options = parse_options_header(disposition)
    if kind != b"form-data" or b"name" not in options:
        raise CallerError("A part of the form has no name.")
    content_type = headers.get(b"content-type")
    return Part(
        _words(options[b"name"]),
        _filename(options.get(b"filename"), disposition),
        _words(content_type) if content_type is not None else None,
    )


def _filename(plain: bytes | None, disposition: bytes) -> str | None:
    """Only some old clients send `filename*=UTF-8''…`; where that is all there is, it makes the part a file."""
    extended = _EXTENDED_NAME.search(disposition) if plain is None else None
    if extended:
        plain = unquote_to_bytes(extended[2])
    return None if plain is None else _FOLDERS.sub("", _words(plain))


def _words(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()
