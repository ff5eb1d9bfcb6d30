"""Accounts and their books."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock import clock, ledger
from penstock.access import Keys
from penstock.canonical.who import LIVE, TEST
from penstock.console.acts._base import act, micros, timed
from penstock.context import Context
from penstock.errors import CallerError
from penstock.ledger import Allowances
from penstock.store import accounts


@act("accounts.create")
async def create_account(ctx: Context, name: str) -> dict[str, Any]:
    if await accounts.find(ctx.store, name) is not None:
        raise CallerError(f"there is an account named {name!r} already")
    return {"id": await ctx.of(Keys).open_account(name), "name": name}


@act("accounts.list", reads=True)
async def list_accounts(ctx: Context) -> list[dict[str, Any]]:
    purses = ctx.of(Allowances)
    amounts = {
        (account, mode): amount + purses.free(account, mode)
        for account, mode, amount in await accounts.amounts(ctx.store)
    }
    return [
        {
            "id": id,
            "name": name,
            "live": amounts.get((id, LIVE), 0),
            "test": amounts.get((id, TEST), 0),
            "created_at": clock.rfc3339(at, 3),
        }
        for id, name, _, at, _ in await accounts.every(ctx.store)
    ]


@act("accounts.topup")
async def topup(ctx: Context, name: str, usd: str, mode: str = LIVE, reason: str = "") -> dict[str, Any]:
    account = await ctx.of(Keys).account(name, make=False)
    await ctx.store.write(*ledger.topup(account, mode, micros(usd), reason))
    balance = await accounts.balance(ctx.store, account, mode) + ctx.of(Allowances).free(account, mode)
    return {"account": name, "mode": mode, "balance": balance}


@act("ledger.check", reads=True)
async def check_ledger(ctx: Context) -> list[str]:
    return await ledger.check(ctx)


@act("ledger.show", reads=True)
async def show_ledger(ctx: Context, account: str, mode: str = LIVE, limit: int = 50) -> list[dict[str, Any]]:
    id = await ctx.of(Keys).account(account, make=False)
    rows = await accounts.entries_of(ctx.store, id, mode, limit=limit)
    names = ("id", "account", "mode", "kind", "work", "amount", "detail", "uncovered", "at")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [timed(entry | {"detail": msgspec.json.decode(entry["detail"])}) for entry in found]
