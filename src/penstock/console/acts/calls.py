"""The request log."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.access import Keys
from penstock.calls.journal import Journal
from penstock.canonical.who import LIVE
from penstock.console.acts._base import act, timed
from penstock.context import Context
from penstock.store import calls


@act("calls.list", reads=True)
async def list_calls(ctx: Context, account: str, mode: str = LIVE, limit: int = 50) -> list[dict[str, Any]]:
    """The request log, newest first. Times are microseconds, `charge` micro-dollars."""
    id = await ctx.of(Keys).account(account, make=False)
    await ctx.of(Journal).flush()
    rows = await calls.page(ctx.store, id, mode, calls.NEWEST, limit)
    found = [dict(zip(calls.COLUMNS, row, strict=True)) for row in rows]
    return [timed(call | {"units": msgspec.json.decode(call["units"])}) for call in found]
