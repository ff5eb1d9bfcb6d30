"""OpenAI's embeddings, which most vendors of them speak.

Source: types of the official Python client 3.52 and 2.54, OpenAI's API reference; read 2026-11-21.
Units: input tokens. Quirk: that client asks for base64 (little-endian float32) unless told otherwise, and vendors who
do not know it send plain numbers, so either is read and what was asked for is written.
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from penstock.canonical.chat import EmbedRequest
from penstock.canonical.events import Counted, Embedded, Event, Finish, Finished, collect
from penstock.canonical.usage import INPUT_UNITS, Unit, total
from penstock.errors import InvalidField, InvalidInput, UpstreamError
from penstock.formats._base import Asked, Format, Operation, Peek, Written, answered, decoded, with_fields


class _Peeked(msgspec.Struct):
    model: str | None = None
    encoding_format: str | None = None


class _Body(msgspec.Struct):
    input: str | list[str | int | list[int]]
    model: str | None = None
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None


class _Used(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Vector(msgspec.Struct):
    embedding: str | list[float]
    index: int = 0


class _Reply(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: _Used | None = None


class _Skimmed(msgspec.Struct):
    usage: _Used | None = None


class OpenAIEmbeddings(Format):
    name = "openai_embeddings"
    family = "openai"
    operation = Operation.EMBED
    loses = {"task": "dropped"}

    def peek(self, body: bytes) -> Peek:
        seen: _Peeked = decoded(body, _Peeked)
        return Peek(seen.model or "", most_tokens=0, options={"base64": seen.encoding_format == "base64"})

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        return with_fields(body, model=model)

    def read_request(self, body: bytes) -> EmbedRequest:
        asked: _Body = decoded(body, _Body)
        members = decoded(body, dict[str, msgspec.Raw])
        left_out = tuple(n for n in members if n not in _Body.__struct_fields__ and bytes(members[n]) != b"null")
        return EmbedRequest(
            asked.model or "", _inputs(asked.input), asked.dimensions, user=asked.user, left_out=left_out
        )

    def write_request(self, request: EmbedRequest, model: str) -> Written:
        body: dict[str, Any] = {"model": model, "input": request.inputs, "encoding_format": "float"}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        if request.user is not None:
            body["user"] = request.user
        return Written(msgspec.json.encode(body), ("task",) if request.task else ())

    def read_reply(self, body: bytes) -> list[Event]:
        reply: _Reply = answered(body, _Reply)
        ordered = sorted(reply.data, key=lambda vector: vector.index)
        return [Embedded([_numbers(vector.embedding) for vector in ordered]), *_counted(reply.usage)]

    def skim_reply(self, body: bytes) -> list[Event]:
        skimmed: _Skimmed = answered(body, _Skimmed)
        return _counted(skimmed.usage)

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        done = collect(events)
        coded = _coded if asked.options.get("base64") else list
        tokens = total(done.usage, INPUT_UNITS)
        body = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": coded(vector)}
                for index, vector in enumerate(done.vectors)
            ],
            "model": asked.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return msgspec.json.encode(body)


class FloatEmbeddings(OpenAIEmbeddings):
    """Of vendors that send numbers whatever was asked: clients who asked for base64 get it from us."""

    name = "openai_embeddings_float"


def _inputs(given: str | list[str | int | list[int]]) -> tuple[str | tuple[int, ...], ...]:
    """One text or list of token ids, or several of either."""
    if not given:
        _refuse("must not be empty")
    if isinstance(given, str):
        return (given,)
    numbers = tuple(item for item in given if isinstance(item, int))
    if len(numbers) == len(given):
        return (numbers,)
    if numbers or not all(given) or len({type(item) for item in given}) > 1:
        _refuse("must be all texts, or all lists of token ids, and none of them empty")
    return tuple(tuple(item) if isinstance(item, list) else str(item) for item in given)


def _refuse(words: str) -> NoReturn:
    raise InvalidInput(f"input: {words}", (InvalidField("input", "invalid", words),))


def _counted(used: _Used | None) -> list[Event]:
    tokens = None if used is None else used.prompt_tokens if used.prompt_tokens is not None else used.total_tokens
    counted: list[Event] = [] if tokens is None else [Counted({Unit.INPUT_TOKEN: tokens})]
    return [*counted, Finished(Finish.STOP)]


def _numbers(embedding: str | list[float]) -> list[float]:
    if isinstance(embedding, list):
        return embedding
    try:
        return _swapped(array("f", base64.b64decode(embedding))).tolist()
    except (binascii.Error, ValueError):
        raise UpstreamError("The upstream's answer holds a vector that can't be read.") from None


def _coded(vector: list[float]) -> str:
    return base64.b64encode(_swapped(array("f", vector)).tobytes()).decode()


def _swapped(numbers: array[float]) -> array[float]:
    """In the other order of bytes where this machine's is not the wire's."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
