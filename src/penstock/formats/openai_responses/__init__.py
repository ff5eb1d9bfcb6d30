"""OpenAI responses: items in, items out.

Source: types and stream helpers of the `openai` SDK 3.52 and 2.54; read 2026-11-21.
Bills: tokens; searches and pictures of built-in tools are counted apart from them (`tool_usage`).
Quirks: `input_tokens` holds cached tokens and `output_tokens` reasoning; a stream ends with `response.completed`, or
what stands for it, and has no `[DONE]`; a `max_output_tokens` below 16 is refused; a function is `strict` unless that
says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.canonical.chat import ChatRequest
from penstock.canonical.events import Event
from penstock.formats._base import Asked, Format, Peek, StreamReader, StreamWriter, Written, decoded, with_fields
from penstock.formats.openai_responses import replies, requests, streams

JSON = msgspec.json.Encoder()

ECHOED = (
    *("background", "conversation", "instructions", "max_output_tokens", "max_tool_calls", "metadata"),
    *("parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention"),
    *("reasoning", "safety_identifier", "service_tier", "store", "temperature", "text", "tool_choice", "tools"),
    *("top_logprobs", "top_p", "truncation", "user"),
)
"""What of a request its response repeats."""


def echoed(body: bytes) -> dict[str, msgspec.Raw]:
    """The settings of a request that its response repeats, for `Call.options["request"]`."""
    members: dict[str, msgspec.Raw] = decoded(body, dict[str, msgspec.Raw])
    return {name: members[name] for name in ECHOED if name in members and bytes(members[name]) != b"null"}


class Peeked(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None


class OpenAIResponses(Format):
    name = "openai_responses"
    family = "openai"
    loses = requests.LOSES

    def peek(self, body: bytes) -> Peek:
        said: Peeked = decoded(body, Peeked)
        return Peek(said.model or "", bool(said.stream), said.max_output_tokens)

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        return with_fields(body, model=model, stream=stream or None)

    def read_request(self, body: bytes) -> ChatRequest:
        return requests.read(body)

    def write_request(self, request: ChatRequest, model: str) -> Written:
        fields, dropped = requests.written(request, model)
        return Written(JSON.encode(fields), dropped)

    def read_reply(self, body: bytes) -> list[Event]:
        return replies.read(body)

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        answer = streams.Answer(asked)
        for event in events:
            answer.take(event)
        return JSON.encode(answer.close())

    def skim_reply(self, body: bytes) -> list[Event]:
        return replies.skim(body)

    def reader(self) -> StreamReader:
        return streams.Reader()

    def skimmer(self) -> StreamReader:
        return streams.Skimmer()

    def writer(self, asked: Asked) -> StreamWriter:
        return streams.Writer(asked)


def fields_of(request: ChatRequest, model: str, names: frozenset[str]) -> Written:
    """A request of which only these fields are known to the operation."""
    fields, dropped = requests.written(request, model)
    kept: dict[str, Any] = {name: value for name, value in fields.items() if name in names}
    return Written(JSON.encode(kept), dropped)
