"""OpenAI's count of the tokens of a responses request, which is not answered.

Source: types of the `openai` SDK 3.52 (`InputTokenCountParams`, `InputTokenCountResponse`); read 2026-11-21.
Bills: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.canonical.chat import ChatRequest
from penstock.canonical.events import Counted, Event
from penstock.canonical.usage import INPUT_UNITS, Unit, total
from penstock.formats._base import Asked, Operation, Written, answered, with_fields
from penstock.formats.openai_responses import OpenAIResponses, fields_of

COUNTED = frozenset(
    {"model", "input", "instructions", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools"}
)
"""The fields that may make a difference; the others are no part of this operation."""


class Count(msgspec.Struct):
    input_tokens: int


class OpenAIInputTokens(OpenAIResponses):
    name = "openai_input_tokens"
    operation = Operation.COUNT

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        return with_fields(body, model=model)

    def write_request(self, request: ChatRequest, model: str) -> Written:
        return fields_of(request, model, COUNTED)

    def read_reply(self, body: bytes) -> list[Event]:
        count: Count = answered(body, Count)
        return [Counted({Unit.INPUT_TOKEN: count.input_tokens})]

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        usage = {unit: much for event in events if isinstance(event, Counted) for unit, much in event.usage.items()}
        return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": total(usage, INPUT_UNITS)})

    def skim_reply(self, body: bytes) -> list[Event]:
        return []  # nobody pays for a count
