"""Keys."""

from __future__ import annotations

from typing import Any

from penstock.access import Keys
from penstock.console.acts._base import act, timed
from penstock.context import Context
from penstock.store import keys


@act("keys.create")
async def create_key(
    ctx: Context, name: str, mode: str, account: str, rpm: int | None = None, concurrency: int | None = None
) -> dict[str, Any]:
    return await ctx.of(Keys).create(name, mode, account, rpm, concurrency)


@act("keys.list", reads=True)
async def list_keys(ctx: Context) -> list[dict[str, Any]]:
    names = ("id", "name", "mode", "prefix", "rpm", "concurrency", "created_at", "revoked_at", "account")
    return [timed(dict(zip(names, row, strict=True))) for row in await keys.every(ctx.store)]


@act("keys.revoke")
async def revoke_key(ctx: Context, key: str) -> None:
    await ctx.of(Keys).revoke(key)
