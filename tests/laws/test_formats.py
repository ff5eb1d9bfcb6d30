"""Every format reads back what it writes; what one format loses is what its table of losses names; a stream may come in
any portions."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.canonical.chat import ChatRequest, JsonOutput, Media, Message, Reasoning, ToolCall, ToolResult
from penstock.canonical.events import (
    Completion,
    Counted,
    Embedded,
    Event,
    Finish,
    Finished,
    Frame,
    Started,
    TextDelta,
    collect,
)
from penstock.canonical.usage import Unit
from penstock.formats._base import Asked, Format, Operation, StreamReader
from penstock.formats._installed import formats
from tests.laws import losses
from tests.laws.speech import answers, conversations

RUNS = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
CHAT = [format for format in formats().values() if format.operation is Operation.CHAT]
COUNT = [format for format in formats().values() if format.operation is Operation.COUNT]
EMBED = [format for format in formats().values() if format.operation is Operation.EMBED]
PAIRS = list(itertools.permutations(CHAT, 2))
ASKED = Asked("m", "0a1b2c3d4e", 1_763_650_000)
MODELS = {"google": "gemini-3-pro", "anthropic": "claude-sonnet-4-5", "openai": "gpt-5"}
DEFAULT = ChatRequest()


def named(format: Format) -> str:
    return format.name


def written(format: Format, request: ChatRequest) -> tuple[bytes, tuple[str, ...]]:
    sent = format.write_request(request, MODELS[format.family])
    return sent.body, sent.dropped


def carried(format: Format, request: ChatRequest) -> ChatRequest:
    """The request as this format hands it on: written, and read again by its other half."""
    body, _ = written(format, request)
    read: Any = format.read_request(body)
    return msgspec.structs.replace(read, model=request.model, stream=request.stream, left_out=())


def without_losses(request: ChatRequest, *through: Format) -> ChatRequest:
    """The request less what these formats say that they lose."""
    for format in through:
        _, dropped = written(format, request)
        fields = {name.partition(".")[0] for name in dropped} & set(ChatRequest.__struct_fields__)
        assert fields <= {name.partition(".")[0] for name in format.loses}, "dropped, and not in the table of losses"
        request = msgspec.structs.replace(request, **{name: getattr(DEFAULT, name) for name in fields})
    return told(request)


def told(request: ChatRequest) -> ChatRequest:
    """Less what tells nothing: the name in a result (its id tells), a default spelt out, a schema's own name, how JSON
    is spelt. An object of a schema that says nothing of other members is closed where a vendor wants it so."""
    messages = tuple(Message(m.role, tuple(_told(part) for part in m.content)) for m in request.messages)
    choice = None if request.choice and (request.choice.mode, request.choice.names) == ("auto", ()) else request.choice
    output = JsonOutput(_closed(request.output.schema)) if request.output else None
    tools = tuple(
        msgspec.structs.replace(tool, strict=None) if hasattr(tool, "strict") else tool for tool in request.tools
    )
    stored = {"store": None, "left_out": (), "service_tier": None}
    return msgspec.structs.replace(request, messages=messages, choice=choice, output=output, tools=tools, **stored)


def _told(part: Any) -> Any:
    if isinstance(part, ToolResult):
        return msgspec.structs.replace(part, name="")
    if isinstance(part, ToolCall):
        return msgspec.structs.replace(part, arguments=json.dumps(json.loads(part.arguments)))
    if isinstance(part, Media):
        return msgspec.structs.replace(part, detail=None if part.detail == "auto" else part.detail)
    return part


def _closed(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    return schema and {"additionalProperties": False, **schema}


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two values differ, in words that fit on a screen."""
    one, other = (msgspec.to_builtins(each) for each in (one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [d for key in keys for d in differences(one.get(key), other.get(key), f"{path}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [d for n, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{path}[{n}]")]
    return [] if one == other else [f"{path}: {one!r} instead of {other!r}"]


@pytest.mark.parametrize("format", CHAT, ids=named)
@given(request=conversations())
@RUNS
def test_a_request_is_read_back_as_it_was_written(format: Format, request: ChatRequest) -> None:
    assert differences(told(carried(format, request)), without_losses(request, format)) == []


@pytest.mark.parametrize(("here", "there"), PAIRS, ids=lambda format: format.name)
@given(request=conversations())
@RUNS
def test_there_and_back_loses_what_the_tables_name(here: Format, there: Format, request: ChatRequest) -> None:
    back = carried(here, carried(there, carried(here, request)))
    assert differences(told(back), without_losses(request, here, there)) == []


@pytest.mark.parametrize("format", COUNT, ids=named)
@given(request=conversations())
@settings(RUNS, max_examples=15)
def test_what_is_counted_is_what_would_be_sent(format: Format, request: ChatRequest) -> None:
    assert carried(format, request).messages


def test_the_tables_of_losses_are_in_the_docs() -> None:
    assert losses.shown() == losses.table(), "run: python -m tests.laws.losses"


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def summed(events: list[Event]) -> Completion:
    """A whole answer, less what one format has and another has not: names that the vendor gave, zeros."""
    done = collect(events)
    done.id = done.model = done.words = ""
    done.usage = {unit: amount for unit, amount in done.usage.items() if amount}
    done.content = [_unsealed(_told(part)) for part in done.content]
    return done


def _unsealed(part: Any) -> Any:
    bare = {"signature": "", "sealed": "", "family": "", "id": ""}
    return msgspec.structs.replace(part, **bare) if isinstance(part, Reasoning) else part


@pytest.mark.parametrize("format", CHAT, ids=named)
@given(events=answers())
@RUNS
def test_a_whole_answer_is_read_back(format: Format, events: list[Event]) -> None:
    assert differences(summed(format.read_reply(format.write_reply(events, ASKED))), summed(events)) == []


def stream_of(format: Format, events: list[Event]) -> bytes:
    writer = format.writer(msgspec.structs.replace(ASKED, stream=True, options={"include_usage": True}))
    return b"".join([*(writer.write(Frame([event])) for event in events), writer.end()])


def frames_of(reader: StreamReader, pieces: list[bytes]) -> list[Frame]:
    found = [frame for piece in pieces for frame in reader.feed(piece)]
    return found + reader.end()


def events_of(frames: list[Frame]) -> list[Event]:
    return [event for frame in frames for event in frame.events]


@pytest.mark.parametrize("format", CHAT, ids=named)
@given(events=answers())
@RUNS
def test_a_streamed_answer_is_read_back(format: Format, events: list[Event]) -> None:
    read = events_of(frames_of(format.reader(), [stream_of(format, events)]))
    assert differences(summed(read), summed(events)) == []


@pytest.mark.parametrize("format", CHAT, ids=named)
@given(events=answers(), data=st.data())
@RUNS
def test_a_stream_may_come_in_any_portions(format: Format, events: list[Event], data: st.DataObject) -> None:
    stream = stream_of(format, events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]
    assert events_of(frames_of(format.reader(), pieces)) == events_of(frames_of(format.reader(), [stream]))
    bytewise = [stream[n : n + 1] for n in range(len(stream))]
    assert events_of(frames_of(format.reader(), bytewise)) == events_of(frames_of(format.reader(), [stream]))


@pytest.mark.parametrize("format", CHAT, ids=named)
@given(events=answers(), data=st.data())
@RUNS
def test_what_passes_is_every_byte_and_the_same_count(format: Format, events: list[Event], data: st.DataObject) -> None:
    stream = stream_of(format, events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]
    frames = frames_of(format.skimmer(), pieces)
    assert b"".join(frame.raw for frame in frames) == stream
    assert nonzero(collect(events_of(frames))) == nonzero(collect(events))
    assert any(isinstance(event, Finished) for event in events_of(frames))


@pytest.mark.parametrize("format", CHAT, ids=named)
@given(events=answers())
@settings(RUNS, max_examples=20)
def test_what_is_skimmed_of_a_whole_answer_is_its_count(format: Format, events: list[Event]) -> None:
    skimmed = format.skim_reply(format.write_reply(events, ASKED))
    assert nonzero(collect(skimmed)) == nonzero(collect(events))


@pytest.mark.parametrize("format", CHAT, ids=named)
def test_nothing_is_counted_where_the_vendor_counted_nothing(format: Format) -> None:
    events = [event for event in _one_answer() if not isinstance(event, Counted)]
    reader = format.reader()
    counted = [e for e in events_of(frames_of(reader, [stream_of(format, events)])) if isinstance(e, Counted)]
    assert all(not any(event.usage.values()) for event in counted)


def _one_answer() -> list[Event]:
    usage = {Unit.INPUT_TOKEN: 3, Unit.OUTPUT_TOKEN: 4}
    return [Started("up-1", "m"), TextDelta("Hello."), Finished(Finish.STOP), Counted(usage)]


def nonzero(done: Completion) -> dict[Unit, float]:
    return {unit: amount for unit, amount in done.usage.items() if amount}


@pytest.mark.parametrize("format", EMBED, ids=named)
@given(vectors=st.lists(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=4), min_size=1, max_size=1))
@settings(RUNS, max_examples=30)
def test_vectors_are_read_back(format: Format, vectors: list[list[float]]) -> None:
    events: list[Event] = [Embedded(vectors), Counted({Unit.INPUT_TOKEN: 7})]
    assert collect(format.read_reply(format.write_reply(events, ASKED))).vectors == vectors
