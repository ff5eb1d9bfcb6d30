from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.canonical.commands import CancelResponse, Delete, FollowResponse, List, Respond, Show
from penstock.canonical.task import Page
from penstock.dialects._base import Incoming
from penstock.dialects.openai import OpenAI
from penstock.errors import CallerError, InvalidInput, NotFound

OPENAI = OpenAI()


def posted(path: str = "/responses", **fields: Any) -> Incoming:
    return Incoming("POST", path, {}, body=json.dumps({"model": "gpt-5", **fields}).encode())


def asked(query: str = "", id: str = "resp_1") -> Incoming:
    return Incoming("GET", f"/responses/{id}", {}, query, {"id": id})


def test_a_request_is_read() -> None:
    read = OPENAI.respond(posted(input="x", stream=True, max_output_tokens=20, temperature=0.5))
    assert (read.store, read.background, read.previous) == (True, False, None)
    assert (read.call.format, read.call.model, read.call.stream) == ("openai_responses", "gpt-5", True)
    assert read.call.most_tokens == 20
    assert set(read.call.options["request"]) == {"temperature", "max_output_tokens"}


def test_wishes_are_read() -> None:
    read = OPENAI.respond(posted(input="x", store=False, background=True, previous_response_id="resp_0"))
    assert (read.store, read.background, read.previous) == (False, True, "resp_0")
    assert OPENAI.respond(posted(input="x", store=None)).store is True


def test_a_count_is_kept_nowhere() -> None:
    read = OPENAI.count(posted(input="x", stream=True, previous_response_id="resp_0"))
    assert read == Respond(read.call, store=False, previous="resp_0")
    assert (read.call.format, read.call.stream) == ("openai_input_tokens", False)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":7}', b'{"input":"x"}', b'{"model":"m","store":"yes"}'])
def test_bad_bodies(body: bytes) -> None:
    with pytest.raises(CallerError):
        OPENAI.respond(Incoming("POST", "/responses", {}, body=body))


def test_what_is_kept_is_asked_for() -> None:
    assert OPENAI.get(asked()) == Show("response", "resp_1")
    assert OPENAI.get(asked("stream=true&starting_after=7")) == FollowResponse("resp_1", 7)
    assert OPENAI.get(asked("stream=true")) == FollowResponse("resp_1", -1)
    assert OPENAI.delete(asked()) == Delete("response", "resp_1")
    assert OPENAI.cancel(asked()) == CancelResponse("resp_1")
    assert OPENAI.input_items(asked("limit=5&after=msg_1&order=asc")) == List(
        "input_items", "resp_1", "msg_1", 5, {"order": "asc"}
    )


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=", "limit=1.5", "limit=٣", "order=x"])
def test_bad_lists(query: str) -> None:
    with pytest.raises(InvalidInput):
        OPENAI.input_items(asked(query))


def test_compaction_is_not_done() -> None:
    with pytest.raises(NotFound):
        OPENAI.compact(posted())


def test_lists_and_deletions_are_written() -> None:
    items = [{"id": "a"}, {"id": "b"}]
    assert OPENAI.listed(Page(items, next="b"), asked()).body == {
        "object": "list",
        "data": items,
        "first_id": "a",
        "last_id": "b",
        "has_more": True,
    }
    assert OPENAI.listed(Page(), asked()).body["first_id"] is None
    assert OPENAI.deleted(None, asked()).body == {"id": "resp_1", "object": "response", "deleted": True}
