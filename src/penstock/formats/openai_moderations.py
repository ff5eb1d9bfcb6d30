"""OpenAI's moderations: handed on as they are, for no other vendor's judgement has the same categories.

Source: types of the official Python client 3.52, OpenAI's API reference; read 2026-11-21.
Units: one run and no tokens; OpenAI bills nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from penstock.canonical.events import Counted, Event, Finish, Finished
from penstock.canonical.usage import Unit
from penstock.errors import Unsupported
from penstock.formats._base import Asked, Format, Operation, Peek, answered, decoded, with_fields

LATEST = "omni-moderation-latest"
"""What OpenAI takes where the request names no model."""


class _Peeked(msgspec.Struct):
    input: str | list[Any]
    model: str | None = None


class OpenAIModerations(Format):
    name = "openai_moderations"
    family = "openai"
    operation = Operation.MODERATE

    def peek(self, body: bytes) -> Peek:
        seen: _Peeked = decoded(body, _Peeked)
        return Peek(seen.model or LATEST, most_tokens=0)

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        return with_fields(body, model=model)

    def read_request(self, body: bytes) -> NoReturn:
        raise Unsupported("Only a vendor of this API can moderate.")

    def write_request(self, request: Any, model: str) -> NoReturn:
        raise Unsupported("Only clients of this API can ask this vendor to moderate.")

    def read_reply(self, body: bytes) -> list[Event]:
        answered(body)
        return [Counted({Unit.RUN: 1, Unit.INPUT_TOKEN: 0}), Finished(Finish.STOP)]

    def write_reply(self, events: Sequence[Event], asked: Asked) -> NoReturn:
        raise Unsupported("Only a vendor of this API can moderate.")
