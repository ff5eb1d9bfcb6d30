"""Responses: created, kept, gone on from, made in the background."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from penstock.canonical.commands import (
    Call,
    CancelResponse,
    Command,
    Delete,
    FollowResponse,
    List,
    Respond,
    Show,
)
from penstock.canonical.task import Page
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.dialects.openai.chat import call
from penstock.errors import InvalidField, InvalidInput, NotFound
from penstock.formats._base import decoded
from penstock.formats.openai_input_tokens import OpenAIInputTokens
from penstock.formats.openai_responses import OpenAIResponses, echoed

RESPONSES, INPUT_TOKENS = OpenAIResponses(), OpenAIInputTokens()
ITEMS_MOST = 100


class Wishes(msgspec.Struct):
    """What of a request is ours to do."""

    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"null")
    prompt: msgspec.Raw = msgspec.Raw(b"null")
    conversation: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def asks(self) -> bool:
        """There is something to answer."""
        given = (bytes(each) for each in (self.input, self.prompt, self.conversation))
        return bool(self.previous_response_id) or any(each not in (b"null", b'""', b"[]") for each in given)


class Responses(Dialect):
    @route("POST", "/responses", Dialect.write_call)
    def respond(self, http: Incoming) -> Respond:
        """Have a model answer, whole, as a stream, or in the background."""
        wishes: Wishes = decoded(http.body, Wishes)
        if not wishes.asks:
            raise _wrong("input", "one of input, previous_response_id, prompt, and conversation must be given")
        asked = replace(call(self.name, RESPONSES, http), options={"request": echoed(http.body)})
        return Respond(asked, wishes.store is not False, bool(wishes.background), wishes.previous_response_id)

    @route("POST", "/responses/input_tokens", Dialect.write_call)
    def count(self, http: Incoming) -> Respond:
        """Count the tokens of a request without answering it."""
        wishes: Wishes = decoded(http.body, Wishes)
        asked: Call = call(self.name, INPUT_TOKENS, http)
        return Respond(replace(asked, stream=False), store=False, previous=wishes.previous_response_id)

    @route("POST", "/responses/compact", Dialect.write_call)
    def compact(self, http: Incoming) -> Command:
        """Compaction, which this gateway does not do."""
        raise NotFound("This gateway does not compact responses. Send the items that matter as `input`.")

    @route("GET", "/responses/{id}", Dialect.write_call)
    def get(self, http: Incoming) -> Show | FollowResponse:
        """A response that is kept, or with `stream` the events of one that is made in the background."""
        if http.query.get("stream", "").lower() not in ("true", "1"):
            return Show("response", http.path["id"])
        return FollowResponse(http.path["id"], _number(http, "starting_after", -1, -1, 2**53))

    def deleted(self, nothing: None, http: Incoming) -> Outgoing:
        return Outgoing(200, {"id": http.path["id"], "object": "response", "deleted": True})

    @route("DELETE", "/responses/{id}", deleted)
    def delete(self, http: Incoming) -> Delete:
        """Delete a response; one that is still being made is cancelled."""
        return Delete("response", http.path["id"])

    @route("POST", "/responses/{id}/cancel", Dialect.write_call)
    def cancel(self, http: Incoming) -> CancelResponse:
        """Cancel a response that is made in the background."""
        return CancelResponse(http.path["id"])

    def listed(self, page: Page, http: Incoming) -> Outgoing:
        items = page.results
        first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
        more = page.next is not None
        return Outgoing(200, {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": more})

    @route("GET", "/responses/{id}/input_items", listed)
    def input_items(self, http: Incoming) -> List:
        """What a response answered, item by item."""
        order = http.query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise _wrong("order", "Must be asc or desc")
        limit = _number(http, "limit", 20, 1, ITEMS_MOST)
        return List("input_items", http.path["id"], http.query.get("after"), limit, {"order": order})


def _number(http: Incoming, name: str, otherwise: int, least: int, most: int) -> int:
    said = http.query.get(name)
    if said is None:
        return otherwise
    digits = said.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 17 and least <= int(said) <= most):
        raise _wrong(name, f"Must be a number from {least} to {most}")
    return int(said)


def _wrong(name: str, words: str) -> InvalidInput:
    return InvalidInput(f"{name}: {words}", (InvalidField(name, "value", words),))
