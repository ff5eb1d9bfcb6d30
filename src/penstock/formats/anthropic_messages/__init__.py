"""Anthropic's Messages API.

Source: the vendor's SDK for Python 0.125 and 2.12 (types, how it adds up a stream), API reference; read 2026-11-21.
Units: input tokens leave out what was read from or written to a cache; output tokens include thinking.
Quirks: every event needs its `event:` line. Blocks of a stream follow each other and never interleave. The counts of
`message_delta` replace those of `message_start`, whose output count is a placeholder. A thinking block goes back as it
came, signature and all. `max_tokens` is required, so relays fill one in where it is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec

from penstock.canonical.chat import ChatRequest
from penstock.canonical.events import Event
from penstock.errors import InvalidField, InvalidInput
from penstock.formats._base import Asked, Format, Peek, StreamReader, StreamWriter, Written, decoded
from penstock.formats.anthropic_messages import reading, replies, streams, writing
from penstock.formats.anthropic_messages.wire import FAMILY, MAX_TOKENS

_UNSIGNED = re.compile(rb'"signature"\s*:\s*""')


class Asking(msgspec.Struct):
    model: str = ""
    stream: bool | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None


class AnthropicMessages(Format):
    name, family = "anthropic_messages", FAMILY
    loses = writing.LOSES
    beat = streams.PING

    def peek(self, body: bytes) -> Peek:
        asking = decoded(body, Asking)
        return Peek(asking.model, bool(asking.stream), asking.max_tokens)

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        members = named(body, model)
        members["stream"] = stream
        if members.get("max_tokens") in (None, msgspec.Raw(b"null")):
            members["max_tokens"] = MAX_TOKENS
        return msgspec.json.encode(members)

    def read_request(self, body: bytes) -> ChatRequest:
        with limited_depth():
            return reading.request(body)

    def write_request(self, request: ChatRequest, model: str) -> Written:
        with limited_depth():
            members, dropped = writing.request(request, model)
            return Written(msgspec.json.encode(members), dropped)

    def read_reply(self, body: bytes) -> list[Event]:
        return replies.read(body)

    def skim_reply(self, body: bytes) -> list[Event]:
        return replies.skim(body)

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        return replies.write(events, asked)

    def reader(self) -> StreamReader:
        return streams.Reader()

    def skimmer(self) -> StreamReader:
        return streams.Skimmer()

    def writer(self, asked: Asked) -> StreamWriter:
        return streams.Writer(asked)


@contextmanager
def limited_depth() -> Iterator[None]:
    try:
        yield
    except RecursionError:
        words = "The request body is nested too deep"
        raise InvalidInput(words, (InvalidField("", "depth", words),)) from None


def named(body: bytes, model: str) -> dict[str, Any]:
    """The members of a client's own request, for a vendor who knows the model by this name."""
    members: dict[str, Any] = decoded(body, dict[str, msgspec.Raw])
    members["model"] = model
    if "messages" in members and "claude" in model and _UNSIGNED.search(body):
        members["messages"] = reading.without_unsigned(members["messages"])
    return members
