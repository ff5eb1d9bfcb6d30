"""Accounts and their books."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock import clock, ledger
from penstock.access import Groups, Keys
from penstock.canonical.who import LIVE, TEST, Caller
from penstock.console.acts._base import Limit, Mode, act, timed
from penstock.console.acts.calls import explained
from penstock.context import Context
from penstock.desk import account as books
from penstock.errors import CallerError
from penstock.ledger import Allowances
from penstock.money import micros
from penstock.store import accounts, groups


@act("accounts.create")
async def create_account(ctx: Context, name: str, group: str = "default") -> dict[str, Any]:
    """Make an account, with test money to play with."""
    if await accounts.find(ctx.store, name) is not None:
        raise CallerError(f"there is an account named {name!r} already")
    return {"id": await ctx.of(Keys).open_account(name, group), "name": name, "group": group}


@act("accounts.change")
async def change_account(ctx: Context, name: str, group: str) -> dict[str, Any]:
    """Put an account into another group, for its keys that have none of their own. At once."""
    account = await ctx.of(Keys).account(name, make=False)
    ctx.of(Groups).named(group)
    there = () if group == "default" else (groups.keep(group),)
    await ctx.store.write(*there, accounts.regroup(account, group))
    ctx.of(Keys).forget()
    return {"id": account, "name": name, "group": group}


@act("accounts.list", reads=True)
async def list_accounts(ctx: Context) -> list[dict[str, Any]]:
    """List accounts and what they have left, in micro-dollars."""
    purses = ctx.of(Allowances)
    amounts = {
        (account, mode): amount + purses.free(account, mode)
        for account, mode, amount in await accounts.amounts(ctx.store)
    }
    return [
        {
            "id": id,
            "name": name,
            "group": group,
            "live": amounts.get((id, LIVE), 0),
            "test": amounts.get((id, TEST), 0),
            "created_at": clock.rfc3339(at, 3),
        }
        for id, name, _, at, group in await accounts.every(ctx.store)
    ]


@act("accounts.topup")
async def topup(ctx: Context, name: str, usd: str, mode: Mode = "live", reason: str = "") -> dict[str, Any]:
    """Add money to an account."""
    account = await ctx.of(Keys).account(name, make=False)
    await ctx.store.write(*ledger.topup(account, mode, micros(usd), reason))
    return {"account": name, "mode": mode, "balance": await books.balance(ctx, account, mode)}


@act("accounts.adjust")
async def adjust(ctx: Context, name: str, usd: str, reason: str, mode: Mode = "live") -> dict[str, Any]:
    """Correct a balance by hand, up or down, never below zero."""
    account, amount = await ctx.of(Keys).account(name, make=False), micros(usd)
    if not amount or not reason.strip():
        raise CallerError("an adjustment needs an amount other than nothing, and a reason")
    steps = ledger.adjust(account, mode, amount, reason)
    await ctx.of(Allowances).write_holding(Caller("", account, name, mode), *steps)
    return {"account": name, "mode": mode, "balance": await books.balance(ctx, account, mode)}


@act("accounts.usage", reads=True)
async def usage(
    ctx: Context, name: str, by: str = "day", first: str = "", last: str = "", mode: Mode = "live"
) -> dict[str, Any]:
    """What was spent from the first day to the last, by UTC, summed up by day, model, and key."""
    account = await ctx.of(Keys).account(name, make=False)
    found: dict[str, Any] = msgspec.to_builtins(await books.used(ctx, account, mode, first, last, by))
    return found


@act("ledger.check", reads=True)
async def check_ledger(ctx: Context) -> list[str]:
    """Prove the books: what is wrong with them, in words."""
    return await ledger.check(ctx)


@act("ledger.show", reads=True)
async def show_ledger(ctx: Context, account: str, mode: Mode = "live", limit: Limit = 50) -> list[dict[str, Any]]:
    """List an account's entries, newest first."""
    id = await ctx.of(Keys).account(account, make=False)
    rows = await accounts.entries_of(ctx.store, id, mode, limit=limit)
    names = ("id", "account", "mode", "kind", "work", "amount", "detail", "uncovered", "at")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [timed(entry | {"detail": msgspec.json.decode(entry["detail"])}) for entry in found]


@act("ledger.explain", reads=True)
async def explain_charge(ctx: Context, charge: str) -> dict[str, Any]:
    """How a charge came about: by the id of its task or request, or the number of a call's charge."""
    found = await explained(ctx, charge)
    refunds = [timed(msgspec.to_builtins(refund)) for refund in found.refunds]
    return timed(msgspec.to_builtins(found)) | {"refunds": refunds, "refunded": found.refunded}
