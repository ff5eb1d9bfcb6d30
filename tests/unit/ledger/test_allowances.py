"""The books of calls: exact under any number of calls at once, and after a process that just ended."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.access import Keys
from penstock.canonical.usage import Unit
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import QuotaSpent, StorageFull
from penstock.ledger import Allowances, Hold, Rule, check, topup
from penstock.ledger.rules import Line
from penstock.store import accounts, calls

pytestmark = pytest.mark.anyio
EACH = Rule((Line(Unit.INPUT_TOKEN, 1), Line(Unit.OUTPUT_TOKEN, 2)), version="v1")


async def funded(ctx: Context, amount: int) -> Caller:
    owner = await ctx.of(Keys).open_account("acme")
    if amount:
        await ctx.store.write(*topup(owner, "live", amount))
    return Caller("k", owner, "acme", "live")


async def spendable(ctx: Context, ledger: Allowances, caller: Caller) -> int:
    balance = await accounts.balance(ctx.store, caller.account, caller.mode)
    return balance + ledger.free(caller.account, caller.mode)


async def settle(ledger: Allowances, caller: Caller, hold: Hold, used: int) -> int:
    usage = {Unit.INPUT_TOKEN: used}
    _, amount, on_disk = ledger.settle(hold, caller, "m", EACH, usage, estimated=False)
    await on_disk
    return amount


async def quiet(ledger: Allowances) -> None:
    """Until nothing is drawn ahead in the background: what is on its way is neither in the balance nor in the purse."""
    while ledger._fills:
        await asyncio.gather(*ledger._fills)


async def test_200_calls_on_money_for_100(context: Context) -> None:
    ledger = Allowances(context)
    await ledger.open()
    caller = await funded(context, 100_000)

    async def call() -> int:
        hold = await ledger.hold(caller, 1000)
        await asyncio.sleep(0.01)
        return await settle(ledger, caller, hold, 1000)

    done = await asyncio.gather(*(call() for _ in range(200)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["QuotaSpent"] * 100 + ["int"] * 100
    assert await spendable(context, ledger, caller) == 0
    await ledger.close()
    assert await check(context) == []
    assert await calls.charge_sums(context.store) == [(caller.account, "live", 100_000)]


async def test_a_charge_is_never_more_than_there_is(context: Context) -> None:
    ledger = Allowances(context)
    await ledger.open()
    caller = await funded(context, 100)
    hold = await ledger.hold(caller, 100)
    assert await settle(ledger, caller, hold, 250) == 100
    ((_, _, _, _, _, _, units, amount, uncovered, estimated, _),) = await every_charge(context)
    assert (units, amount, uncovered, bool(estimated)) == ('{"input_token":250}', 100, 150, False)
    await ledger.close()
    assert await check(context) == []


async def test_what_the_hold_does_not_cover_comes_out_of_the_purse(context: Context) -> None:
    ledger = Allowances(context)
    await ledger.open()
    caller = await funded(context, 5_000)
    hold = await ledger.hold(caller, 100)
    usage = {Unit.INPUT_TOKEN: 350}
    _, amount, on_disk = ledger.settle(hold, caller, "m", EACH, usage, estimated=False, most=250)
    await on_disk
    assert amount == 250
    await ledger.close()
    assert await accounts.balance(context.store, caller.account, "live") == 4_750
    assert await check(context) == []


async def test_what_a_dead_process_held_comes_back_and_what_it_charged_does_not(context: Context) -> None:
    dead = Allowances(context)
    await dead.open()
    caller = await funded(context, 10_000)
    paid, held = await dead.hold(caller, 300), await dead.hold(caller, 400)
    assert await settle(dead, caller, paid, 250) == 250
    assert held.amount == 400  # and then the process ends
    alive = Allowances(context)
    await alive.open()
    assert await spendable(context, alive, caller) == 9_750
    await alive.close()
    assert await check(context) == []
    again = Allowances(context)
    await again.open()
    assert await spendable(context, again, caller) == 9_750
    await again.close()


async def test_a_task_gets_the_money_that_lies_in_the_purse(context: Context) -> None:
    ledger = Allowances(context)
    await ledger.open()
    caller = await funded(context, 1_000)
    ledger.release(await ledger.hold(caller, 900))
    left = await accounts.balance(context.store, caller.account, "live")
    assert left < 1_000
    await ledger.write_holding(caller, *taking(caller, 1_000))
    assert await spendable(context, ledger, caller) == 0
    with pytest.raises(QuotaSpent):
        await ledger.write_holding(caller, *taking(caller, 1))
    await ledger.close()
    assert await check(context) == []


async def test_a_caller_who_gives_up_waiting_holds_nothing(context: Context) -> None:
    ledger = Allowances(context)
    await ledger.open()
    caller = await funded(context, 1_000)
    waiting = asyncio.create_task(ledger.hold(caller, 1_000))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    hold = await ledger.hold(caller, 1_000)
    ledger.release(hold)
    await ledger.close()
    assert await spendable(context, ledger, caller) == 1_000
    assert await check(context) == []


async def test_a_charge_that_could_not_be_written_is_not_lost_for_the_books(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Allowances(context)
    await ledger.open()
    caller = await funded(context, 10_000)
    holds = [await ledger.hold(caller, 300) for _ in range(3)]
    assert await settle(ledger, caller, holds[0], 100) == 100
    with monkeypatch.context() as broken:
        broken.setattr(context.store, "begin", full)
        with pytest.raises(StorageFull):
            await settle(ledger, caller, holds[1], 200)
    assert await settle(ledger, caller, holds[2], 50) == 50
    await ledger.close()
    again = Allowances(context)
    await again.open()
    assert await spendable(context, again, caller) == 9_850
    await again.close()
    assert await check(context) == []


def full(*_: object) -> asyncio.Future[None]:
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    refused.set_exception(StorageFull())
    return refused


def taking(caller: Caller, amount: int) -> tuple[object, ...]:
    take = accounts.take(caller.account, caller.mode, amount, QuotaSpent())
    return take, accounts.entry(caller.account, caller.mode, "adjust", -amount)


async def every_charge(ctx: Context) -> list[tuple[object, ...]]:
    from sqlalchemy import select

    from penstock.store.connection import compiled
    from penstock.store.tables import charges

    return await ctx.store.all(compiled(select(*charges.c)))


STEPS = st.lists(
    st.tuples(st.sampled_from(["hold", "settle", "release", "back", "crash"]), st.integers(0, 400)), max_size=20
)


@given(steps=STEPS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
async def test_whatever_happens_the_books_balance(context: Context, steps: list[tuple[str, int]]) -> None:
    owner = await context.of(Keys).open_account(f"acme-{len(await accounts.every(context.store))}")
    await context.store.write(*topup(owner, "live", 1_000))
    caller, ledger, spent, held = Caller("k", owner, "acme", "live"), Allowances(context), 0, list[Hold]()
    await ledger.open()
    for word, amount in steps:
        if word == "hold":
            try:
                held.append(await ledger.hold(caller, amount))
            except QuotaSpent:
                assert amount > 1_000 - spent - sum(hold.amount for hold in held)
        elif word == "settle" and held:
            spent += await settle(ledger, caller, held.pop(), amount)
        elif word == "release" and held:
            ledger.release(held.pop())
        elif word == "back":
            await ledger.give_back(owner, "live")
        elif word == "crash":
            held.clear()
            ledger = Allowances(context)
            await ledger.open()
        await quiet(ledger)
        assert await spendable(context, ledger, caller) == 1_000 - spent - sum(hold.amount for hold in held)
    for hold in held:
        ledger.release(hold)
    await ledger.close()
    assert await check(context) == []
    assert await accounts.balance(context.store, owner, "live") == 1_000 - spent
