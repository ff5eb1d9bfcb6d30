"""A code puts its money into one account, once, however many try at once."""

from __future__ import annotations

import asyncio
import re

import pytest

from penstock.access import Keys
from penstock.canonical.who import Caller
from penstock.clock import after
from penstock.context import Context
from penstock.errors import CallerError, Forbidden, LimitReached, NotFound
from penstock.ledger import check
from penstock.ledger.codes import TRIES, Codes
from penstock.store import accounts, codes

pytestmark = pytest.mark.anyio


async def caller(ctx: Context, name: str = "acme", mode: str = "live") -> Caller:
    return Caller(f"key of {name}", await ctx.of(Keys).open_account(name), name, mode)


async def made(ctx: Context, amount: int = 5_000_000, expires_at: int | None = None) -> tuple[str, str]:
    [code] = await ctx.of(Codes).create(1, amount, "a present", expires_at)
    return code["id"], code["code"]


async def test_a_code_is_redeemed_once(context: Context) -> None:
    ann, bob = await caller(context), await caller(context, "bob")
    id, code = await made(context)
    assert re.fullmatch(r"pc(-[0-9a-hjkmnp-tv-z]{5}){5}", code)
    assert await Codes(context).redeem(ann, code) == 5_000_000
    for again in (ann, bob):
        with pytest.raises(NotFound):
            await Codes(context).redeem(again, code)
    assert await accounts.balance(context.store, ann.account, "live") == 5_000_000
    assert await accounts.balance(context.store, bob.account, "live") == 0
    [entry] = await accounts.entries_of(context.store, ann.account, "live")
    assert entry[3:7] == ("topup", f"code/{id}", 5_000_000, '{"reason":"a present"}')
    [row] = await codes.every(context.store)
    assert (row[1], row[-1]) == (code[:8], "acme")
    assert await check(context) == []


async def test_many_at_once_redeem_it_once(context: Context) -> None:
    callers = [await caller(context, f"account {n}") for n in range(8)]
    _, code = await made(context)
    done = await asyncio.gather(*(context.of(Codes).redeem(each, code) for each in callers), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["NotFound"] * 7 + ["int"]
    assert sum([await accounts.balance(context.store, each.account, "live") for each in callers]) == 5_000_000


async def test_it_is_read_as_people_type_it(context: Context) -> None:
    ann = await caller(context)
    _, code = await made(context)
    typed = " PC-" + code[3:].upper().replace("-", " ").replace("0", "O").replace("1", "I") + " "
    assert await Codes(context).redeem(ann, typed) == 5_000_000


async def test_the_store_keeps_no_code(context: Context) -> None:
    _, code = await made(context)
    assert code[3:] not in str(await codes.every(context.store))
    assert await codes.find(context.store, code.encode()) is None


async def test_neither_an_expired_nor_a_revoked_one(context: Context) -> None:
    ann = await caller(context)
    _, old = await made(context, expires_at=after(-1))
    id, revoked = await made(context)
    await context.store.write(codes.revoke(revoked[:8]))
    for code in (old, revoked, "pc-no-such"):
        with pytest.raises(NotFound):
            await Codes(context).redeem(ann, code)
    with pytest.raises(NotFound):
        await context.store.write(codes.revoke(id))
    assert await accounts.balance(context.store, ann.account, "live") == 0


async def test_a_test_key_redeems_none(context: Context) -> None:
    _, code = await made(context)
    with pytest.raises(Forbidden):
        await Codes(context).redeem(await caller(context, mode="test"), code)


async def test_wrong_tries_are_limited_and_right_ones_are_not(context: Context) -> None:
    ann, ledger = await caller(context), Codes(context)
    for _ in range(TRIES + 2):
        await ledger.redeem(ann, (await made(context))[1])
    done = await asyncio.gather(*(ledger.redeem(ann, f"pc-{n}") for n in range(50)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["LimitReached"] * (50 - TRIES) + ["NotFound"] * TRIES
    with pytest.raises(LimitReached) as refused:
        await ledger.redeem(ann, (await made(context))[1])
    assert 3500 < (refused.value.retry_after_s or 0) <= 3600
    bob = await caller(context, "bob")
    assert await ledger.redeem(bob, (await made(context))[1])


@pytest.mark.parametrize(("count", "amount"), [(0, 1), (1001, 1), (1, 0), (1, -1)])
async def test_what_makes_no_sense_is_refused(context: Context, count: int, amount: int) -> None:
    with pytest.raises(CallerError):
        await context.of(Codes).create(count, amount)
