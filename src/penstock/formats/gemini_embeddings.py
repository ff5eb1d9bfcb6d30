"""Gemini's embeddings: several texts at once (batchEmbedContents), or one (embedContent).

Source: google-genai 3.4.0 and ai.google.dev on embeddings; read 2026-11-21.
Bills: input tokens; older models count none.
Quirks: each of several requests names its model again, which must be the path's. Parts of one content are one text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.canonical.chat import EmbedRequest
from penstock.canonical.events import Counted, Embedded, Event, Finish, Finished, Started, collect
from penstock.canonical.usage import INPUT_UNITS, Unit, total
from penstock.errors import InvalidField, InvalidInput, Unsupported
from penstock.formats._base import Asked, Format, Operation, Peek, Written, answered, decoded
from penstock.formats.gemini_content import shallow
from penstock.formats.gemini_content.counting import usage
from penstock.formats.gemini_content.spelling import camel, taken, whole, without_empty
from penstock.formats.gemini_content.wire import FAMILY, Answer, Content, Wire, WirePart, WireUsage


class One(Wire):
    content: dict[str, Any] | str | None = None
    model: str | None = None
    task_type: str | None = None
    output_dimensionality: Any = None


class Vector(Wire):
    values: list[float] = []


class Vectors(Wire):
    embeddings: list[Vector] | None = None
    embedding: Vector | None = None
    usage_metadata: WireUsage | None = None


class GeminiEmbeddings(Format):
    name, family = "gemini_embeddings", FAMILY
    operation = Operation.EMBED
    loses = {"user": "dropped", "inputs": "lists of token ids are refused"}

    def peek(self, body: bytes) -> Peek:
        decoded(body, dict[str, msgspec.Raw])
        return Peek()

    def read_request(self, body: bytes) -> EmbedRequest:
        return shallow(lambda: self._read(camel(decoded(body))))

    def read_reply(self, body: bytes) -> list[Event]:
        said = answered(body, Vectors)
        found = said.embeddings if said.embeddings is not None else [said.embedding] if said.embedding else []
        return [Started(), Embedded([vector.values for vector in found]), *counted(said), Finished(Finish.STOP)]

    def skim_reply(self, body: bytes) -> list[Event]:
        return [*counted(answered(body, Answer)), Finished(Finish.STOP)]

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        asked = decoded(body)
        if not isinstance(asked.get("requests"), list):
            return body
        named = {"model": f"models/{model}"}
        requests = [one | named if isinstance(one, dict) else one for one in asked["requests"]]
        return msgspec.json.encode(asked | {"requests": requests})

    def _read(self, body: dict[str, Any]) -> EmbedRequest:
        requests = body.get("requests")
        if not isinstance(requests, list) or not requests:
            raise InvalidInput("requests: at least one is needed", (InvalidField("requests", "required", "needed"),))
        left: dict[str, None] = {}
        asked = [taken(one, One, "requests", left) for one in requests]
        wishes = {(whole(one.output_dimensionality, "requests.outputDimensionality"), one.task_type) for one in asked}
        if len(wishes) > 1:
            raise Unsupported("requests: all must have the same outputDimensionality and taskType.")
        return _request(asked, tuple(left))

    def write_request(self, request: EmbedRequest, model: str) -> Written:
        bodies = [_written(text, request, model) for text in _texts(request)]
        return Written(msgspec.json.encode({"requests": bodies}), ("user",) if request.user else ())

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        done = collect(events)
        told = written_count(done.usage)
        return msgspec.json.encode({"embeddings": [{"values": vector} for vector in done.vectors], **told})


class GeminiEmbedOne(GeminiEmbeddings):
    name = "gemini_embed_one"
    loses = {"user": "dropped", "inputs": "one text only; lists of token ids are refused"}

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        asked = decoded(body)
        return msgspec.json.encode(asked | {"model": f"models/{model}"}) if "model" in asked else body

    def _read(self, body: dict[str, Any]) -> EmbedRequest:
        left: dict[str, None] = {}
        return _request([taken(body, One, "", left)], tuple(left))

    def write_request(self, request: EmbedRequest, model: str) -> Written:
        texts = _texts(request)
        if len(texts) != 1:
            raise Unsupported("input: this takes one text at a time.")
        return Written(msgspec.json.encode(_written(texts[0], request, model)), ("user",) if request.user else ())

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        done = collect(events)
        vector = done.vectors[0] if done.vectors else []
        return msgspec.json.encode({"embedding": {"values": vector}, **written_count(done.usage)})


def _request(asked: Sequence[One], left: tuple[str, ...]) -> EmbedRequest:
    first = asked[0]
    return EmbedRequest(
        inputs=tuple(_text(one.content) for one in asked),
        dimensions=whole(first.output_dimensionality, "outputDimensionality"),
        task=first.task_type or None,
        left_out=left,
    )


def _text(said: dict[str, Any] | str | None) -> str:
    if isinstance(said, str):
        return said
    content = taken(said or {}, Content, "content", {})
    raws = content.parts if isinstance(content.parts, list) else [content.parts] if content.parts else []
    parts = [taken(raw, WirePart, "content.parts", {}) for raw in raws]
    if not parts:
        raise InvalidInput("content is not specified", (InvalidField("content", "required", "is not specified"),))
    if any(part.text is None for part in parts):
        raise Unsupported("content.parts: only text can be embedded here.")
    return "\n".join(part.text or "" for part in parts)


def _texts(request: EmbedRequest) -> list[str]:
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) < len(request.inputs):
        raise Unsupported("input: a Gemini model embeds text, not token ids.")
    return texts


def _written(text: str, request: EmbedRequest, model: str) -> dict[str, Any]:
    wishes = without_empty(taskType=request.task, outputDimensionality=request.dimensions)
    return {"model": f"models/{model}", "content": {"parts": [{"text": text}]}, **wishes}


def counted(said: Vectors | Answer) -> list[Event]:
    made = usage(said.usage_metadata, ended=False) if said.usage_metadata else {}
    return [Counted(made)] if made else []


def written_count(used: dict[Unit, float]) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": total(used, INPUT_UNITS)}} if used else {}
