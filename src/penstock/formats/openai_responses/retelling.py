"""Streams that are told again: numbered on, under an id of ours, after an interruption, with an end of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from penstock.errors import PenstockError
from penstock.formats._base import Asked, answered, decoded, with_fields
from penstock.formats.openai_responses import replies
from penstock.wire import sse

JSON = msgspec.json.Encoder()
ENDS = frozenset({"completed", "incomplete", "failed", "cancelled"})
WITH_RESPONSE = re.compile(rb'"response\.(?:created|queued|in_progress|completed|incomplete|failed|cancelled)"')
"""In an event that holds the whole response; within a text the quotes would be escaped."""
NUMBER = re.compile(rb'"sequence_number" ?: ?(\d{1,15})')
APART = frozenset({"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"})
"""Items that mean the same without the id that a vendor gave them, and may be strange to another of its accounts."""


class Kind(msgspec.Struct):
    type: str = ""
    sequence_number: int = 0


class Status(msgspec.Struct):
    id: str = ""
    status: str = ""
    output: list[dict[str, Any]] = []


def status_of(response: bytes) -> Status:
    """Raises UpstreamError where it is no response."""
    said: Status = answered(response, Status)
    return said


def event(data: bytes) -> bytes:
    """An event's JSON as it goes over the wire."""
    kind: Kind = answered(data, Kind)
    return sse.event(kind.type, None, data)


def number_of(data: bytes) -> int:
    kind: Kind = answered(data, Kind)
    return kind.sequence_number


class Retelling:
    """`response` is the newest whole response, `ended` whether it was the last; `number` is the next event's.

    `own`: fields of the response that are ours to say.
    """

    def __init__(self, own: Mapping[str, Any] | None = None, number: int = 0) -> None:
        self._own = own or {}
        self.number = number
        self.response: bytes | None = None
        self.ended = False

    def heard(self, piece: bytes) -> bytes:
        """Whole events as they came, but for what is ours to say of a response."""
        numbers = NUMBER.findall(piece)
        if numbers:
            self.number = int(numbers[-1]) + 1
        if not WITH_RESPONSE.search(piece):
            return piece
        told = [self._told(found) for found in sse.Reader().feed(piece)]
        return b"".join(event(data) for data in told) if self._own else piece

    def again(self, piece: bytes) -> list[bytes]:
        """Whole events, as JSON, numbered on; what was told before they came is left out."""
        told = []
        for found in sse.Reader().feed(piece):
            if found.data == "[DONE]":
                continue
            data = self._told(found)
            kind: Kind = answered(data, Kind)
            if kind.type not in ("response.created", "response.queued"):
                told.append(with_fields(data, sequence_number=self.number))
                self.number += 1
        return told

    def failed(self, exc: PenstockError) -> bytes:
        """The last event, where what was told so far has failed."""
        self.response = failed(self.response or b"{}", exc)
        self.ended = True
        fields = {"type": "response.failed", "sequence_number": self.number, "response": msgspec.Raw(self.response)}
        return JSON.encode(fields)

    def _told(self, found: sse.Event) -> bytes:
        data = found.data.encode()
        if not WITH_RESPONSE.search(data):
            return data
        members: dict[str, msgspec.Raw] = answered(data, dict[str, msgspec.Raw])
        if "response" not in members:
            return data
        self.response = (
            with_fields(bytes(members["response"]), **self._own) if self._own else bytes(members["response"])
        )
        self.ended = status_of(self.response).status in ENDS
        return with_fields(data, response=msgspec.Raw(self.response))


def failed(response: bytes, exc: PenstockError) -> bytes:
    return with_fields(response, status="failed", error=replies.error_object(exc))


def cancelled(response: bytes) -> bytes:
    return with_fields(response, status="cancelled")


def queued(asked: Asked) -> bytes:
    """The response of a request that will be answered later."""
    return JSON.encode(replies.response(asked, "queued"))


def opening(response: bytes) -> list[bytes]:
    """The events of a stream that has still to begin."""
    kinds = ("response.created", "response.queued")
    said = msgspec.Raw(response)
    return [JSON.encode({"type": kind, "sequence_number": n, "response": said}) for n, kind in enumerate(kinds)]


# ── what went before ──────────────────────────────────────────────────────────────────────────────────────────────────


class Input(msgspec.Struct):
    input: msgspec.Raw = msgspec.Raw(b"null")


def input_of(body: bytes) -> list[Any]:
    """The items of a request's `input`, as they are spelt."""
    said: Input = decoded(body, Input)
    raw = bytes(said.input)
    if raw[:1] == b"[":
        items: list[msgspec.Raw] = decoded(raw, list[msgspec.Raw])
        return items
    return [{"type": "message", "role": "user", "content": said.input}] if raw[:1] == b'"' else []


def replayed(output: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """An answer's items as input of the next request, without what only the account that made them could look up."""
    kept = []
    for item in output:
        kind = item.get("type")
        if kind in APART:
            kept.append({name: value for name, value in item.items() if name not in ("id", "status")})
        elif kind in ("reasoning", "compaction") and item.get("encrypted_content"):
            kept.append({name: value for name, value in item.items() if name != "status"})
        elif kind == "image_generation_call" and item.get("result"):
            kept.append(item)
    return kept


PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def listed(items: list[Any], response: str) -> list[dict[str, Any]]:
    """Input items as they are listed: each with an id, words as parts."""
    return [_listed(item, f"{response.removeprefix('resp_')}{number:02x}") for number, item in enumerate(items)]


def _listed(item: Any, name: str) -> dict[str, Any]:
    said = item if isinstance(item, dict) else {}
    kind = str(said.get("type") or "message")
    shown = {"id": f"{PREFIXES.get(kind, 'item')}_{name}", "type": kind, **said}
    if kind == "message":
        words = "output_text" if said.get("role") == "assistant" else "input_text"
        content = said.get("content")
        extra: dict[str, Any] = {"annotations": []} if words == "output_text" else {}
        parts = [{"type": words, "text": content, **extra}] if isinstance(content, str) else content
        shown |= {"status": "completed", "content": parts}
    return shown
