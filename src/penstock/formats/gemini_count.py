"""Gemini's countTokens: how many tokens a request would be.

Source: google-genai 3.4.0 and ai.google.dev on tokens; read 2026-11-21.
Quirk: only a whole `generateContentRequest`, which names its model again, may hold a system instruction and tools.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.canonical.chat import ChatRequest
from penstock.canonical.events import Counted, Event, Finish, Finished, Started, collect
from penstock.canonical.usage import INPUT_UNITS, Unit, total
from penstock.errors import InvalidInput
from penstock.formats._base import Asked, Format, Operation, Peek, Written, answered, decoded
from penstock.formats.gemini_content import GeminiContent, reading, shallow, writing
from penstock.formats.gemini_content.wire import FAMILY, Wire

WHOLE = ("generateContentRequest", "generate_content_request")


class Count(Wire):
    total_tokens: int = 0
    cached_content_token_count: int | None = None


class GeminiCount(Format):
    name, family = "gemini_count", FAMILY
    operation = Operation.COUNT
    loses = GeminiContent.loses

    def peek(self, body: bytes) -> Peek:
        decoded(body, dict[str, msgspec.Raw])
        return Peek()

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        asked = decoded(body)
        inner = {
            name: asked[name] | {"model": f"models/{model}"} for name in WHOLE if isinstance(asked.get(name), dict)
        }
        return msgspec.json.encode(asked | inner) if inner else body

    def read_request(self, body: bytes) -> ChatRequest:
        asked = decoded(body)
        said = next((asked[name] for name in WHOLE if asked.get(name) is not None), asked)
        if not isinstance(said, dict):
            raise InvalidInput("generateContentRequest: Expected `object`")
        return shallow(lambda: reading.read(said))

    def write_request(self, request: ChatRequest, model: str) -> Written:
        body, dropped = shallow(lambda: writing.written(request, model))
        asked = {"generateContentRequest": {"model": f"models/{model}", **body}}
        return Written(msgspec.json.encode(asked), dropped)

    def read_reply(self, body: bytes) -> list[Event]:
        said = answered(body, Count)
        cached = said.cached_content_token_count or 0
        counted: dict[Unit, float] = {Unit.INPUT_TOKEN: max(0, said.total_tokens - cached)}
        counted |= {Unit.CACHED_TOKEN: cached} if cached else {}
        return [Started(), Counted(counted), Finished(Finish.STOP)]

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        used = collect(events).usage
        counted = total(used, INPUT_UNITS)
        cached = round(used.get(Unit.CACHED_TOKEN, 0))
        body = {"totalTokens": counted} | ({"cachedContentTokenCount": cached} if cached else {})
        return msgspec.json.encode(body | {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": counted}]})
