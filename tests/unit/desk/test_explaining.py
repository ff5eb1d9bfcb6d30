"""A task's charge is explained by the rule that counted, of all those that it could have been charged by."""

from __future__ import annotations

import msgspec
import pytest

from penstock.canonical.task import State
from penstock.canonical.usage import Unit
from penstock.context import Context
from penstock.desk.explaining import explain
from penstock.errors import NotFound
from penstock.ledger import Rule, check, release, settle
from penstock.ledger.rules import Line
from penstock.store import accounts, tasks
from penstock.tasks.watcher import CALL
from tests import stores

pytestmark = pytest.mark.anyio
CHEAP = Rule((Line(Unit.SECOND, 1000, 3),), version="cheap", source="a contract")
DEAR = Rule((Line(Unit.SECOND, 7000),), version="dear")
PRICE = CHEAP.combined({"north": DEAR}, 1_250_000)
HOLD = 50_000


async def made(ctx: Context, price: Rule = PRICE, **fields: object) -> str:
    owner = await stores.account(ctx.store, live=HOLD)
    task = stores.task(owner, price=msgspec.json.encode(price).decode(), hold=HOLD, **fields)
    held = accounts.entry(owner, "live", "hold", -HOLD, work=task.id)
    await ctx.store.write(tasks.insert(task), held, accounts.take(owner, "live", HOLD, NotFound()))
    return task.id


async def end(ctx: Context, id: str, rule: Rule | None, usage: dict[Unit, float]) -> int:
    task = await tasks.get(ctx.store, id)
    assert task is not None
    charge = rule.charge(usage, HOLD) if rule else None
    ended = msgspec.structs.replace(task, state=State.SUCCEEDED, charge=charge.micros if charge else 0)
    await ctx.store.write(tasks.move(task, ended), *(settle(task, charge) if charge else release(task)))
    return ended.charge or 0


@pytest.mark.parametrize("channel", ["north", "south"])
@pytest.mark.parametrize("seconds", [0.1, 1.7, 3.0, 1000.0])
async def test_the_rule_of_its_channel(context: Context, channel: str, seconds: float) -> None:
    id = await made(context)
    charged = await end(context, id, PRICE.on(channel), {Unit.RUN: 1, Unit.SECOND: seconds})
    found = await explain(context, id)
    assert found.rule == ("dear" if channel == "north" else "cheap")
    assert (found.charge, found.recomputed, found.held) == (charged, charged, HOLD)
    assert found.total == charged + found.uncovered
    assert found.multiplier == 1.25
    assert await check(context) == []


async def test_one_that_cost_nothing(context: Context) -> None:
    id = await made(context)
    assert (await explain(context, id)).charge is None
    await end(context, id, None, {})
    found = await explain(context, id)
    assert (found.charge, found.recomputed, found.lines, found.uncovered) == (0, 0, (), 0)


async def test_a_call_that_a_task_made_pays_for_its_run(context: Context) -> None:
    rule = Rule((Line(Unit.RUN, 40), Line(Unit.OUTPUT_TOKEN, 2)), version="v1")
    id = await made(context, rule, version=CALL)
    await end(context, id, rule, {Unit.RUN: 1, Unit.OUTPUT_TOKEN: 5})
    found = await explain(context, f"resp_{id}")
    assert (found.charge, found.recomputed) == (50, 50)
    assert [line["comes_to"] for line in found.lines] == ["40", "10"]


@pytest.mark.parametrize("id", ["0" * 26, "7", "", "resp_", "٣", "9" * 19])
async def test_what_there_is_not(context: Context, id: str) -> None:
    with pytest.raises(NotFound):
        await explain(context, id)
