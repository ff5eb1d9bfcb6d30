"""Gemini's generateContent: contents made of parts, answers made of candidates.

Source: types and wire captures of google-genai 1.75.0 and 3.4.0, ai.google.dev on generateContent, function calling,
thinking, thought signatures, file inputs; read 2026-11-21.
Bills: input, cached, audio, picture, and thought tokens apart; web searches.
Quirks: the model stands in the path, not in the body. Clients fail on comments, `event:` lines, and `[DONE]`. Older
models give their calls no ids. From Gemini 3 on a call that it did not make needs a stand-in for its signature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from penstock.canonical.chat import ChatRequest
from penstock.canonical.events import Event
from penstock.errors import InvalidField, InvalidInput
from penstock.formats._base import Asked, Format, Passing, Peek, StreamReader, StreamWriter, Written, decoded
from penstock.formats.gemini_content import reading, replies, skimming, telling, writing
from penstock.formats.gemini_content.spelling import whole
from penstock.formats.gemini_content.wire import FAMILY

T = TypeVar("T")


class Bounds(msgspec.Struct):
    maxOutputTokens: Any = None
    max_output_tokens: Any = None
    candidateCount: Any = None
    candidate_count: Any = None


class Peeked(msgspec.Struct):
    generationConfig: Bounds | None = None
    generation_config: Bounds | None = None


class GeminiContent(Format):
    name, family = "gemini_content", FAMILY
    loses = {
        "choices": "refused: only the first answer could be told",
        "verbosity": "dropped",
        "user": "dropped",
        "metadata": "dropped",
        "cache_key": "dropped",
        "cache": "dropped",
        "service_tier": "flex and priority are kept, other words than the default are dropped",
        "thinking": "an effort becomes a level or a budget; dropped for models before 2.5",
        "Thinking.summary": "dropped",
        "ToolChoice.parallel": "dropped",
        "Message.role": "system turns all move to the top",
        "Message.name": "dropped",
        "Media.name": "dropped",
        "Media.detail": "dropped before Gemini 3, which knows low and high",
        "Media.file": "refused unless it is a URI",
        "Media.url": "refused unless https: or gs:, or for models before 2.5",
        "Tool.name": "refused unless it is a word of letters, digits, and _.:-",
        "Tool.strict": "dropped",
        "Tool.grammar": "dropped; a custom tool is a function with one string `input`",
        "Tool.parameters": "validating keywords that Google does not know are dropped",
        "HostedTool": "only web_search is translated; others are dropped, or refused where they are forced",
        "JsonOutput.schema": "validating keywords that Google does not know are dropped",
        "JsonOutput.strict": "dropped",
        "Reasoning": "kept only where Google issued it",
    }
    beat = b"data: {}\n\n"

    def peek(self, body: bytes) -> Peek:
        asked = decoded(body, Peeked)
        bounds = asked.generationConfig or asked.generation_config or Bounds()
        most = whole(_first(bounds.maxOutputTokens, bounds.max_output_tokens), "generationConfig.maxOutputTokens")
        choices = whole(_first(bounds.candidateCount, bounds.candidate_count), "generationConfig.candidateCount")
        return Peek(most_tokens=most, choices=choices or 1)

    def read_request(self, body: bytes) -> ChatRequest:
        return shallow(lambda: reading.read(decoded(body)))

    def write_request(self, request: ChatRequest, model: str) -> Written:
        body, dropped = shallow(lambda: writing.written(request, model))
        return Written(msgspec.json.encode(body), dropped)

    def read_reply(self, body: bytes) -> list[Event]:
        return replies.read(body)

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        return telling.write(events, asked)

    def skim_reply(self, body: bytes) -> list[Event]:
        return skimming.skimmed(body)

    def reader(self) -> StreamReader:
        return replies.ContentReader()

    def skimmer(self) -> StreamReader:
        return skimming.ContentSkimmer()

    def writer(self, asked: Asked) -> StreamWriter:
        return telling.ArrayWriter(asked) if asked.options.get("array") else telling.ContentWriter(asked)

    def passing(self, asked: Asked) -> StreamWriter:
        return telling.ArrayPassing() if asked.options.get("array") else Passing()


def _first(one: Any, other: Any) -> Any:
    return other if one is None else one


def shallow(work: Callable[[], T]) -> T:
    """Raises InvalidInput where what is worked on is nested too deep."""
    try:
        return work()
    except RecursionError:
        raise InvalidInput(fields=(InvalidField("", "depth", "The request body is nested too deep"),)) from None
