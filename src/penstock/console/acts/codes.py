"""Codes that callers redeem."""

from __future__ import annotations

from typing import Any

from penstock.access import fields
from penstock.console.acts._base import act, timed
from penstock.context import Context
from penstock.ledger.codes import Codes
from penstock.money import micros
from penstock.store import codes

COLUMNS = ("id", "prefix", "amount", "reason", "created_at", "expires_at", "revoked_at", "redeemed_at", "redeemed_by")


@act("codes.create")
async def create_codes(
    ctx: Context, usd: str, count: int = 1, reason: str = "", expires: str = ""
) -> list[dict[str, Any]]:
    """Codes that put so much into the account that redeems them; shown this once. `expires`: a date, or 30d."""
    expires_at = fields.future("expires", fields.moment("expires", expires)) if expires else None
    return await ctx.of(Codes).create(count, micros(usd), reason, expires_at)


@act("codes.list", reads=True)
async def list_codes(ctx: Context) -> list[dict[str, Any]]:
    """All codes, by how they begin, and what became of them."""
    return [timed(dict(zip(COLUMNS, row, strict=True))) for row in await codes.every(ctx.store)]


@act("codes.revoke", names=("code",))
async def revoke_code(ctx: Context, code: str) -> None:
    """A code that was not redeemed, by its id or how it begins."""
    await ctx.store.write(codes.revoke(code))
