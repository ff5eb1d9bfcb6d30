from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UpstreamError
from penstock.wire.sse import COMMENT, Event, Reader, event

LINES = ["data: a", "data:b", "data", "data:  c ", "event: output", "event:", "id: 1", "id", "id: \0", "retry: 500"]
LINES += [": comment", "other: x", "data: ☃\u2028x", "", "", "\n", "\r\n", "\r", "\ufeff", "data: \ufeff"]
ENDS = ["\n", "\r", "\r\n"]
STREAMS = st.lists(st.builds(str.__add__, st.sampled_from(LINES), st.sampled_from(ENDS)), max_size=30).map("".join)


def read(*portions: bytes) -> list[Event]:
    reader = Reader()
    return [one for portion in portions for one in reader.feed(portion)] + reader.end()


def oracle(stream: str) -> list[tuple[str | None, str | None, str]]:
    """The specification, word by word, over the whole text."""
    events: list[tuple[str | None, str | None, str]] = []
    name: str | None = None
    last_id: str | None = None
    data: list[str] = []
    for line in [*re.split(r"\r\n|\r|\n", stream.removeprefix("\ufeff")), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((name, last_id, "\n".join(data)))
            name, data = None, []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value or None
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


@given(STREAMS, st.lists(st.integers(0, 400)))
def test_any_portions_give_the_events_of_the_specification(stream: str, cuts: list[int]) -> None:
    raw = stream.encode()
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    portions = [raw[a:b] for a, b in pairwise(edges)]
    events = read(*portions)
    assert events == read(raw) == read(*(raw[i : i + 1] for i in range(len(raw))))
    assert [(one.name, one.id, one.data) for one in events] == oracle(stream)
    assert raw.startswith(b"".join(one.raw for one in events))


@given(
    st.one_of(st.none(), st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1)),
    st.one_of(st.none(), st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_what_is_written_is_read_back(name: str | None, ident: str | None, data: str) -> None:
    raw = event(name, ident, data)
    assert Reader().feed(raw) == [Event(name, ident, re.sub(r"\r\n|\r", "\n", data), raw)]


def test_the_bytes_of_an_event() -> None:
    assert event("output", "1:0", "a\nb\r\n") == b"event: output\nid: 1:0\ndata: a\ndata: b\ndata: \n\n"
    assert event(None, None, b" x") == b"data:  x\n\n"
    assert event("done", None, "") == b"event: done\ndata: \n\n"


@pytest.mark.parametrize("field", ["a\nb", "a\rb", "a\0b"])
def test_a_name_or_id_cannot_break_out_of_its_line(field: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        event(field, None, "")
    with pytest.raises(ValueError, match="line end"):
        event(None, field, "")


def test_comments_are_passed_over_and_retry_is_kept() -> None:
    reader = Reader()
    assert reader.feed(COMMENT + b"retry: 1500\n\n") == []
    assert [one.raw for one in reader.feed(b"data: x\n\n")] == [COMMENT + b"retry: 1500\n\ndata: x\n\n"]
    assert reader.retry_ms == 1500


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    reader = Reader()
    assert [one.data for one in reader.feed(b"data: 1\n\ndata: 2\n")] == ["1"]
    assert [one.data for one in reader.feed(b"\n")] == ["2"]
    assert [one.data for one in reader.feed(b"data: 3\r\n\r\n")] == ["3"]


def test_an_endless_event_is_refused() -> None:
    reader = Reader(limit_bytes=100)
    with pytest.raises(UpstreamError):
        for _ in range(20):
            reader.feed(b"data: xxxxxxxxx\n")


def test_endless_comments_are_refused() -> None:
    reader = Reader(limit_bytes=100)
    with pytest.raises(UpstreamError):
        for _ in range(30):
            reader.feed(COMMENT)
