"""A client that leaves while its work is written down: at whichever step, what is counted is what there is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from penstock import gateway
from penstock.access import Keys, Limits
from penstock.canonical.commands import Call, Command, Respond, Submit
from penstock.canonical.who import Caller
from penstock.config import Settings
from penstock.context import Context
from penstock.errors import PenstockError
from penstock.ledger import Prices, Quotas, check
from penstock.store import spending, tasks
from penstock.tasks.taking import Writing

pytestmark = pytest.mark.anyio
STEPS = 40
"""So many turns of the loop are more than a creation takes."""


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Context]:
    async with gateway.opened(Settings(data=tmp_path), serves=True) as ctx:
        await ctx.of(Prices).add("sandbox/instant", [{"unit": "run", "micros": 100}])
        await ctx.of(Prices).add("gpt-4o", [{"unit": "output_token", "micros": 1}])
        yield ctx


def respond() -> Command:
    body = msgspec.json.encode({"model": "gpt-4o", "input": "hi", "background": True, "max_output_tokens": 50})
    return Respond(Call("openai", "openai_responses", body, "gpt-4o", most_tokens=50), background=True)


def submit() -> Command:
    model = "black-forest-labs/flux-schnell"
    return Submit("replicate", {"prompt": "[[instant]]"}, b'{"prompt":"[[instant]]"}', model)


async def quiet(ctx: Context) -> None:
    """Until all that is being written is on disk, and has ended."""
    async with asyncio.timeout(60):
        while ctx.of(Writing).tasks or await tasks.unfinished(ctx.store):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("command", [respond, submit])
async def test_whoever_leaves_while_it_is_written_down_is_counted_rightly(serving: Context, command) -> None:  # type: ignore[no-untyped-def]
    keys, made = serving.of(Keys), 0
    key = await keys.create("k", "test", "acme", quota_total=50_000_000, concurrency=1000, tpm=10**6)
    caller: Caller = await keys.caller(key["key"])
    for turns in itertools.chain(range(STEPS), range(STEPS)):
        leaving = asyncio.create_task(gateway.perform(serving, caller, command()))
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        with suppress(asyncio.CancelledError, PenstockError):
            await leaving
            made += 1
    await quiet(serving)
    assert serving.of(Limits)._unfinished == {}
    rows = await spending.of_account(serving.store, caller.account, "test", "2000-01-01", "2100-01-01")
    assert serving.of(Quotas).spent(caller.key).total == sum(row[6] for row in rows)
    assert await check(serving) == []
    assert sum(row[3] for row in rows) >= made
