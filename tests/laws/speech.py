"""Requests and answers as hypothesis draws them: what every chat format can say."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from penstock.canonical.chat import (
    ChatRequest,
    JsonOutput,
    Media,
    Message,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from penstock.canonical.events import (
    Counted,
    Event,
    Finish,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
)
from penstock.canonical.usage import Unit

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=6).map(" ".join)
names = st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True)
values = st.one_of(texts, st.integers(-(10**6), 10**6), st.booleans())
arguments = st.dictionaries(names, values, max_size=3).map(lambda value: json.dumps(value, separators=(",", ":")))
schemas = st.dictionaries(names, st.sampled_from(["string", "integer", "boolean"]), min_size=1, max_size=3).map(
    lambda fields: {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
    }
)
tools = st.lists(
    st.builds(Tool, name=names, description=texts, parameters=schemas), max_size=3, unique_by=lambda tool: tool.name
)
pictures = st.just(Media("image", "image/png", PIXEL))


@st.composite
def conversations(draw: st.DrawFn) -> ChatRequest:
    """A dialogue with tools: every call is answered in the next turn, and the user has the last word."""
    offered = draw(tools)
    turns: list[Message] = [Message("system", (Text(draw(texts)),))] if draw(st.booleans()) else []
    pending: list[ToolCall] = []
    for round in range(draw(st.integers(1, 4))):
        said: list[Part] = [ToolResult(c.id, (Text(draw(texts)),), c.name) for c in pending]
        said += draw(st.lists(pictures, max_size=1))
        if not pending or draw(st.booleans()):
            said.append(Text(draw(texts)))
        turns.append(Message("user", tuple(said)))
        count = draw(st.integers(0, 2)) if offered else 0
        pending = [
            ToolCall(f"call_{round}_{n}", draw(st.sampled_from(offered)).name, draw(arguments)) for n in range(count)
        ]
        answer: list[Part] = [Text(draw(texts))] if draw(st.booleans()) or not pending else []
        turns.append(Message("assistant", (*answer, *pending)))
    if pending:
        turns.append(Message("user", tuple(ToolResult(c.id, (Text(draw(texts)),), c.name) for c in pending)))
    else:
        turns.append(Message("user", (Text(draw(texts)),)))
    return ChatRequest(
        "m",
        tuple(turns),
        max_tokens=draw(st.integers(16, 4096)),
        temperature=draw(st.sampled_from([None, 0.0, 0.5, 1.0])),
        top_p=None,
        stop=tuple(draw(st.lists(names, max_size=2, unique=True))),
        tools=tuple(offered),
        choice=draw(st.sampled_from([None, ToolChoice("auto"), ToolChoice("required")])) if offered else None,
        output=draw(st.one_of(st.none(), st.builds(JsonOutput, schema=schemas, name=st.just("response")))),
    )


counts = st.fixed_dictionaries(
    {Unit.INPUT_TOKEN: st.integers(0, 10**6), Unit.OUTPUT_TOKEN: st.integers(0, 10**6)},
    optional={Unit.CACHED_TOKEN: st.integers(1, 10**6), Unit.REASONING_TOKEN: st.integers(1, 10**6)},
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """A whole answer as events: thoughts, text, calls of tools, a finish, a count."""
    events: list[Event] = [Started("up-1", "m")]
    if draw(st.booleans()):
        events += [ReasoningDelta(piece) for piece in draw(st.lists(texts, min_size=1, max_size=3))]
    said = draw(st.lists(texts, max_size=4))
    events += [TextDelta(piece) for piece in said]
    calls = draw(st.integers(0 if said else 1, 2))
    for index in range(calls):
        events.append(ToolStarted(index, f"call_{index}", draw(names)))
        whole = draw(arguments)
        middle = draw(st.integers(0, len(whole)))
        events += [ToolDelta(index, piece) for piece in (whole[:middle], whole[middle:]) if piece]
    usage: dict[Unit, Any] = draw(counts)
    finish = Finish.TOOLS if calls else draw(st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.REFUSED]))
    return [*events, Finished(finish), Counted(usage)]
