"""Of a call's charge no more is given back than was charged, however many refunds there are at once."""

from __future__ import annotations

import asyncio

import pytest

from penstock.access import Keys
from penstock.canonical.usage import Unit
from penstock.canonical.who import Caller
from penstock.clock import now
from penstock.context import Context
from penstock.desk.explaining import explain
from penstock.errors import CallerError, NotFound, QuotaSpent
from penstock.ledger import Allowances, Quotas, Rule, adjust, check, topup
from penstock.ledger.quotas import day_of
from penstock.ledger.refunds import refund_call
from penstock.ledger.rules import Line
from penstock.store import accounts, spending

pytestmark = pytest.mark.anyio
EACH = Rule((Line(Unit.INPUT_TOKEN, 3, 7), Line(Unit.RUN, 11)), version="v1", source="operator", multiplier=1_500_000)


async def charged(ctx: Context, used: int = 1000) -> tuple[Caller, int, int]:
    """A caller, and the number and amount of a charge of theirs."""
    caller = Caller("k", await ctx.of(Keys).open_account("acme"), "acme", "live")
    await ctx.store.write(*topup(caller.account, "live", 1_000_000))
    ledger = ctx.of(Allowances)
    await ledger.open()
    hold = await ledger.hold(caller, 10_000)
    number, amount, on_disk = ledger.settle(hold, caller, "m", EACH, {Unit.INPUT_TOKEN: used}, estimated=False)
    await on_disk
    await ledger.close()
    return caller, number, amount


async def refund(ctx: Context, caller: Caller, number: int, amount: int) -> None:
    await refund_call(ctx, number, caller.account, "live", caller.key, "m", now(), amount, "blurred")


async def test_a_charge_is_explained_to_the_micro(context: Context) -> None:
    caller, number, amount = await charged(context)
    seen = await explain(context, str(number), caller.account, "live")
    found = await explain(context, str(number))
    assert (seen.multiplier, seen.recomputed) == (1.0, found.recomputed)
    assert found.charge == found.recomputed == found.total == amount == round((1000 * 3 / 7 + 11) * 1.5)
    assert (found.rule, found.source, found.multiplier, found.held) == ("v1", "operator", 1.5, None)
    assert found.units == {"run": 1.0, "input_token": 1000}
    with pytest.raises(NotFound):
        await explain(context, str(number), caller.account, "test")
    with pytest.raises(NotFound):
        await explain(context, str(number), "another", "live")


async def test_a_charge_above_its_hold_is_explained(context: Context) -> None:
    _, number, amount = await charged(context, used=10_000_000)
    found = await explain(context, str(number))
    assert found.uncovered == found.total - amount > 0
    assert found.charge == found.recomputed == amount


async def test_a_refund_is_in_the_books_and_off_the_spending(context: Context) -> None:
    caller, number, amount = await charged(context)
    before = context.of(Quotas).spent(caller.key).total
    await refund(context, caller, number, 100)
    assert await accounts.balance(context.store, caller.account, "live") == 1_000_000 - amount + 100
    assert context.of(Quotas).spent(caller.key).total == before - 100
    day = day_of(now())
    [row] = await spending.of_account(context.store, caller.account, "live", day, day)
    assert row == (day, "k", "m", 1, 1000, 0, amount - 100)
    found = await explain(context, str(number))
    assert (found.refunded, found.refunds[0].reason) == (100, "blurred")
    assert await check(context) == []


async def test_never_more_than_was_charged(context: Context) -> None:
    caller, number, amount = await charged(context)
    each = amount // 3
    done = await asyncio.gather(*(refund(context, caller, number, each) for _ in range(12)), return_exceptions=True)
    assert [type(one) for one in done if one is not None] == [CallerError] * 9
    await refund(context, caller, number, amount - 3 * each) if amount % 3 else None
    for too_much in (1, 0, -5):
        with pytest.raises(CallerError):
            await refund(context, caller, number, too_much)
    with pytest.raises(CallerError):
        await refund(context, caller, number + 1, 1)
    assert await accounts.balance(context.store, caller.account, "live") == 1_000_000
    assert await check(context) == []


async def test_an_adjustment_never_goes_below_zero(context: Context) -> None:
    caller, _, amount = await charged(context)
    with pytest.raises(QuotaSpent):
        await context.store.write(*adjust(caller.account, "live", -1_000_001, "a mistake"))
    await context.store.write(*adjust(caller.account, "live", amount - 1_000_000, "a mistake"))
    assert await accounts.balance(context.store, caller.account, "live") == 0
    assert await check(context) == []
