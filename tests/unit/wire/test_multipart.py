from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CallerError, TooLarge
from penstock.wire.multipart import Part, Sink, read_form

pytestmark = pytest.mark.anyio

TYPE = "multipart/form-data; boundary=XbX"
FILE = b"\x89PNG\r\n--Xb\r\n--XbY\r\n" + bytes(range(256))


class Memory:
    def __init__(self, part: Part) -> None:
        self.part, self.held = part, io.BytesIO()

    async def write(self, data: bytes) -> None:
        self.held.write(data)


def part(disposition: str, body: bytes, content_type: str | None = None) -> bytes:
    head = f"Content-Disposition: form-data; {disposition}\r\n"
    head += f"Content-Type: {content_type}\r\n" if content_type else ""
    return b"--XbX\r\n" + head.encode() + b"\r\n" + body + b"\r\n"


async def portions(raw: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


async def read(raw: bytes, size: int = 1 << 16, kind: str = TYPE, **limits: Any) -> list[tuple[Part, str | bytes]]:
    limits.setdefault("max_part_bytes", 10_000)
    found: list[tuple[Part, str | bytes]] = []
    form: AsyncIterator[tuple[Part, str | Sink]] = read_form(portions(raw, size), kind, open_file=Memory, **limits)
    async for head, value in form:
        assert isinstance(value, str | Memory)
        found.append((head, value if isinstance(value, str) else value.held.getvalue()))
    return found


FORM = (
    part('name="prompt"', "a ☃".encode())
    + part('name="content"; filename="bo\\"at.png"', FILE, "image/png")
    + part('name="empty"', b"")
    + part('name="metadata"; filename="blob"', b'{"job":17}', "application/json")
    + b"--XbX--\r\n"
)
EXPECTED: list[tuple[Part, str | bytes]] = [
    (Part("prompt"), "a ☃"),
    (Part("content", 'bo"at.png', "image/png"), FILE),
    (Part("empty"), ""),
    (Part("metadata", "blob", "application/json"), '{"job":17}'),
]


async def test_fields_and_files_come_in_order() -> None:
    assert await read(FORM) == EXPECTED


@settings(max_examples=30)
@given(size=st.integers(1, 60))
async def test_portions_of_any_size_give_the_same_parts(size: int) -> None:
    assert await read(FORM, size) == EXPECTED


async def test_file_names_lose_their_folders_and_may_be_extended() -> None:
    raw = part('name="a"; filename="../../etc/passwd"', b"1") + part('name="b"; filename="C:\\fakepath\\x.png"', b"2")
    raw += part("name=c; filename*=UTF-8''b%C3%BC%2Fx.png", b"3") + part('name="d"; filename=""', b"4") + b"--XbX--"
    assert [head.filename for head, _ in await read(raw + b"\r\n")] == ["passwd", "x.png", "x.png", ""]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        FORM[:-10],
        FORM[:200],
        FORM.replace(b"form-data; name", b"form-data; nome", 1),
        b"--XbX\r\nno colon\r\n\r\n",
        part('name="a"', b"\xff\xfe") + b"--XbX--\r\n",
        b"--XbX\r\n" + b"A: b\r\n" * 500 + b"\r\n\r\n--XbX--\r\n",
    ],
)
async def test_what_is_malformed_is_the_callers_error(raw: bytes) -> None:
    with pytest.raises(CallerError) as caught:
        await read(raw)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", f"multipart/form-data; boundary={'b' * 500}"]
)
async def test_a_form_needs_its_media_type_and_boundary(kind: str) -> None:
    with pytest.raises(CallerError):
        await read(FORM, kind=kind)


async def test_sizes_are_bounded() -> None:
    with pytest.raises(TooLarge):
        await read(FORM, max_part_bytes=len(FILE) - 1)
    with pytest.raises(TooLarge):
        await read(FORM, max_parts=3)
    with pytest.raises(TooLarge):
        await read(FORM, max_text_bytes=4)
    with pytest.raises(CallerError):
        await read(FORM, max_header_bytes=20)
    assert len(await read(FORM, max_part_bytes=len(FILE), max_parts=4)) == 4
