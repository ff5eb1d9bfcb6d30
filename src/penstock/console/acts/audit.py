"""What operators did."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.clock import parse
from penstock.console.acts._base import ACTS, Limit, act, timed
from penstock.context import Context
from penstock.errors import CallerError
from penstock.store import audit


@act("audit.list", reads=True)
async def list_audit(
    ctx: Context, act: str = "", actor: str = "", since: str = "", cursor: str = "", limit: Limit = 50
) -> dict[str, Any]:
    """Acts that changed something, newest first, a page at a time. `outcome` is null where an act was cut short."""
    if act and act not in ACTS:
        raise CallerError(f"there is no act {act[:100]!r}; there are {', '.join(sorted(ACTS))}")
    after = _moment(since) if since else 0
    rows = await audit.page(ctx.store, act, actor, after, cursor or audit.NEWEST, limit + 1)
    acts = [timed(dict(zip(audit.COLUMNS, row, strict=True))) for row in rows[:limit]]
    found = [done | {"given": msgspec.json.decode(done["given"])} for done in acts]
    return {"acts": found, "next": found[-1]["id"] if len(rows) > limit else None}


def _moment(since: str) -> int:
    try:
        return parse(since)
    except (ValueError, OverflowError):
        raise CallerError("since: must be a date (2027-01-31) or a time (2027-01-31T12:00:00Z)") from None
