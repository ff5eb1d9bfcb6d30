"""How many tokens a request of Anthropic's Messages API is: its body without `max_tokens`, answered by one number.

Source: as `anthropic_messages`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.canonical.chat import ChatRequest
from penstock.canonical.events import Counted, Event, collect
from penstock.canonical.usage import INPUT_UNITS, Unit, total
from penstock.formats import anthropic_messages as messages
from penstock.formats._base import Asked, Format, Operation, Peek, Written, answered, decoded
from penstock.formats.anthropic_messages import reading, writing
from penstock.formats.anthropic_messages.wire import FAMILY

ANSWERING = ("max_tokens", "stream", "metadata", "service_tier", "stop_sequences", "temperature", "top_p", "top_k")
"""What is about the answer, and is refused where there is none."""


class Tokens(msgspec.Struct):
    input_tokens: int


class AnthropicCount(Format):
    name, family = "anthropic_count", FAMILY
    operation = Operation.COUNT
    loses = writing.LOSES

    def peek(self, body: bytes) -> Peek:
        return Peek(decoded(body, messages.Asking).model)

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        members = messages.named(body, model)
        return msgspec.json.encode({name: value for name, value in members.items() if name not in ANSWERING})

    def read_request(self, body: bytes) -> ChatRequest:
        with messages.limited_depth():
            return reading.request(body)

    def write_request(self, request: ChatRequest, model: str) -> Written:
        with messages.limited_depth():
            members, dropped = writing.request(request, model)
            body = msgspec.json.encode({name: value for name, value in members.items() if name not in ANSWERING})
            return Written(body, dropped)

    def read_reply(self, body: bytes) -> list[Event]:
        return [Counted({Unit.INPUT_TOKEN: answered(body, Tokens).input_tokens})]

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        return msgspec.json.encode(Tokens(total(collect(events).usage, INPUT_UNITS)))
