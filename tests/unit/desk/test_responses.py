from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.canonical.commands import Call, Respond
from penstock.canonical.events import Finish, Finished, Frame, Started, TextDelta
from penstock.canonical.who import LIVE, Caller
from penstock.context import Context
from penstock.desk.responses import Keeper, Kept
from penstock.errors import PenstockError, UpstreamBusy
from penstock.formats._base import Asked
from penstock.formats.openai_responses import OpenAIResponses
from penstock.store import responses

pytestmark = pytest.mark.anyio
FORMAT = OpenAIResponses()
CALLER = Caller("key", "acme", "acme", LIVE)
CALL = Call("openai", "openai_responses", b"{}", "gpt-5", stream=True)
ITEMS = [{"type": "message", "role": "user", "content": "Hi"}]


def pieces() -> list[bytes]:
    """A stream, an event each."""
    writer = FORMAT.writer(Asked("gpt-5", "id1", 1763650000))
    told = [writer.write(Frame([event])) for event in (Started(), TextDelta("Hel"), TextDelta("lo"))]
    return [*told, writer.write(Frame([Finished(Finish.STOP)])) + writer.end()]


async def source(told: list[bytes], error: PenstockError | None = None) -> AsyncIterator[bytes]:
    for piece in told:
        yield piece
    if error is not None:
        raise error


def events(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(block.partition(b"data: ")[2]) for block in raw.split(b"\n\n") if block]


async def heard(kept: Kept) -> bytes:
    return b"".join([piece async for piece in kept])


async def test_a_stream_passes_as_it_is_and_is_kept(context: Context) -> None:
    kept = Kept(source(pieces()), Keeper(context, CALLER, Respond(CALL), ITEMS))
    assert await heard(kept) == b"".join(pieces())
    stored = await responses.own(context.store, "resp_id1", "acme", LIVE)
    assert stored is not None
    assert (stored.status, json.loads(stored.input)) == ("completed", ITEMS)
    assert json.loads(stored.response) == events(pieces()[-1])[-1]["response"]


async def test_it_is_kept_before_its_end_is_told(context: Context) -> None:
    kept = Kept(source(pieces()), Keeper(context, CALLER, Respond(CALL), ITEMS))
    async for piece in kept:
        found = await responses.own(context.store, "resp_id1", "acme", LIVE)
        assert (found is not None) is (b"response.completed" in piece)


async def test_it_says_from_which_it_goes_on(context: Context) -> None:
    kept = Kept(source(pieces()), Keeper(context, CALLER, Respond(CALL, previous="resp_0"), ITEMS))
    told = events(await heard(kept))
    said = [event["response"]["previous_response_id"] for event in told if "response" in event]
    assert said == ["resp_0"] * 3
    assert [event["sequence_number"] for event in told] == list(range(len(told)))


async def test_what_breaks_it_is_told_as_a_failed_response(context: Context) -> None:
    kept = Kept(source(pieces()[:3], UpstreamBusy("Too much.")), Keeper(context, CALLER, Respond(CALL), ITEMS))
    last = events(await heard(kept))[-1]
    number = events(pieces()[2])[-1]["sequence_number"] + 1
    assert (last["type"], last["sequence_number"]) == ("response.failed", number)
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Too much."}
    stored = await responses.own(context.store, "resp_id1", "acme", LIVE)
    assert stored is not None
    assert json.loads(stored.response) == last["response"]


async def test_what_breaks_before_the_beginning_is_raised(context: Context) -> None:
    kept = Kept(source([], UpstreamBusy("Too much.")), Keeper(context, CALLER, Respond(CALL), ITEMS))
    with pytest.raises(UpstreamBusy):
        await heard(kept)


async def test_who_does_not_want_it_kept(context: Context) -> None:
    kept = Kept(source(pieces()), Keeper(context, CALLER, Respond(CALL, store=False), []))
    assert await heard(kept) == b"".join(pieces())
    assert await responses.own(context.store, "resp_id1", "acme", LIVE) is None
