"""The request log, and money given back for calls."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.access import Keys
from penstock.calls.journal import Journal
from penstock.canonical.results import Explained
from penstock.console.acts._base import Limit, Mode, act, timed
from penstock.context import Context
from penstock.desk.explaining import explain
from penstock.errors import CallerError, NotFound
from penstock.ledger.refunds import refund_call
from penstock.money import micros
from penstock.store import calls, statements


async def explained(ctx: Context, charge: str) -> Explained:
    """Raises NotFound, which says what to give instead."""
    try:
        return await explain(ctx, charge)
    except NotFound:
        takes = "the id of a task or of a request (x-request-id), or the number of a call's charge"
        raise NotFound(f"there is no charge {charge[:100]!r}; give {takes}") from None


@act("calls.list", reads=True)
async def list_calls(ctx: Context, account: str, mode: Mode = "live", limit: Limit = 50) -> list[dict[str, Any]]:
    """The request log, newest first. Times are microseconds, `charge` micro-dollars."""
    id = await ctx.of(Keys).account(account, make=False)
    await ctx.of(Journal).flush()
    rows = await calls.page(ctx.store, id, mode, calls.NEWEST, limit)
    found = [dict(zip(calls.COLUMNS, row, strict=True)) for row in rows]
    return [timed(call | {"units": msgspec.json.decode(call["units"])}) for call in found]


@act("calls.refund")
async def refund(ctx: Context, call: str, usd: str, reason: str) -> dict[str, Any]:
    """Give back some of what a call was charged, by its request's id or its charge's number."""
    if not reason.strip():
        raise CallerError("a refund needs a reason")
    found = await explained(ctx, call)
    if found.work != "call":
        raise CallerError(f"that is a task: penstock tasks refund {found.id}")
    charge = await statements.charge(ctx.store, int(found.id))
    if charge is None:
        raise NotFound("this call was charged nothing")
    number, account, mode, key, model, *_, at, _ = charge
    await refund_call(ctx, number, account, mode, key, model, at, micros(usd), reason)
    return {"charge": str(number), "charged": found.charge, "refunded": (await explain(ctx, str(number))).refunded}
