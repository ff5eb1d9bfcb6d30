"""OpenAI's chat completions, the format that most vendors speak.

Source: types of the official Python client 3.52 and 2.54, OpenAI's API reference, extensions as relays, DeepSeek,
OpenRouter, Mistral, and Google's compatible endpoint write them; read 2026-11-21.
Units: tokens; the prompt's and the answer's totals hold cached, reasoning, sound, and picture tokens within (`usage`).
Quirks: what vendors of this format do differently is their `Accent`. Thoughts are an extension, `reasoning_content`.
Several answers (`n`) and log probabilities reach a client of this format only from a vendor of this format.
Options of an answer: `include_usage`; `functions`, for clients who declare them the deprecated way; `custom`, the names
of tools that take free text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.canonical.chat import ChatRequest
from penstock.canonical.events import Event
from penstock.errors import InvalidField, InvalidInput
from penstock.formats._base import Asked, Format, Operation, Passing, Peek, StreamReader, StreamWriter, Written, decoded
from penstock.formats.openai_chat import answering, asking, listening, skimming, telling
from penstock.formats.openai_chat.accent import CAPS, PLAIN, Accent


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Name(msgspec.Struct):
    name: str = ""


class _Tool(msgspec.Struct):
    custom: _Name | None = None


class _Peeked(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    functions: msgspec.Raw = msgspec.Raw(b"null")
    tools: list[_Tool] | None = None


class OpenAIChat(Format):
    name = "openai_chat"
    family = "openai"
    operation = Operation.CHAT
    loses = telling.LOSES

    def __init__(self, accent: Accent = PLAIN) -> None:
        self.accent = accent

    def peek(self, body: bytes) -> Peek:
        seen: _Peeked = decoded(body, _Peeked)
        if seen.n is not None and seen.n < 1:
            raise InvalidInput("n: must be at least 1", (InvalidField("n", "number_gte", "must be at least 1"),))
        options: dict[str, Any] = {
            "include_usage": bool(seen.stream_options and seen.stream_options.include_usage),
            "functions": bytes(seen.functions) != b"null",
            "custom": [tool.custom.name for tool in seen.tools or () if tool.custom],
        }
        return Peek(
            seen.model or "",
            bool(seen.stream),
            asking.most(seen.max_tokens, seen.max_completion_tokens),
            seen.n or 1,
            {name: wish for name, wish in options.items() if wish},
        )

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        """Streams are always asked to count; `passing` hides that from clients who did not ask."""
        members: dict[str, Any] = decoded(body, dict[str, msgspec.Raw])
        options = members.pop("stream_options", None)
        members["model"] = model
        if stream and self.accent.counts:
            asked = decoded(options, dict[str, Any] | None) if options else None
            members["stream_options"] = {**(asked or {}), "include_usage": True}
        for cap in CAPS - {self.accent.cap}:
            given = members.pop(cap, b"null")
            if bytes(given) != b"null":
                members.setdefault(self.accent.cap, given)
        return msgspec.json.encode(members)

    def read_request(self, body: bytes) -> ChatRequest:
        return asking.read(body)

    def write_request(self, request: ChatRequest, model: str) -> Written:
        return telling.written(request, model, self.accent)

    def read_reply(self, body: bytes) -> list[Event]:
        return listening.read(body)

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        return answering.written(events, asked)

    def skim_reply(self, body: bytes) -> list[Event]:
        return skimming.skimmed(body)

    def reader(self) -> StreamReader:
        return listening.Reader()

    def skimmer(self) -> StreamReader:
        return skimming.Skimmer()

    def writer(self, asked: Asked) -> StreamWriter:
        return answering.Writer(asked)

    def passing(self, asked: Asked) -> StreamWriter:
        return Passing() if asked.options.get("include_usage") else skimming.Uncounted()
