"""Keys."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from penstock.access import Keys, fields
from penstock.clock import now
from penstock.console.acts._base import Mode, act, timed, warned
from penstock.context import Context
from penstock.ledger import Quotas
from penstock.money import micros
from penstock.store import keys

Words = list[str] | None | UnsetType
Text = str | None | UnsetType
Number = int | None | UnsetType


def _millionths(field: str, text: Any) -> int:
    return micros(text, field)


_SPELT = {
    "expires": ("expires_at", fields.moment),
    "quota_usd": ("quota_total", _millionths),
    "quota_month_usd": ("quota_month", _millionths),
    "quota_day_usd": ("quota_day", _millionths),
}
"""What people say → what a key has, and how that is read."""


@act("keys.create")
async def create_key(
    ctx: Context,
    name: str,
    mode: Mode = "live",
    account: str = "default",
    key: str = "",
    group: Text = UNSET,
    expires: Text = UNSET,
    models: Words = UNSET,
    networks: Words = UNSET,
    scopes: list[str] | UnsetType = UNSET,
    quota_usd: Text = UNSET,
    quota_month_usd: Text = UNSET,
    quota_day_usd: Text = UNSET,
    rpm: Number = UNSET,
    tpm: Number = UNSET,
    concurrency: Number = UNSET,
) -> dict[str, Any]:
    """Make a key. The key itself is in the answer, and nowhere else; `key`: the one that its clients have already."""
    said = _said(
        *(("group", group), ("expires", expires), ("models", models), ("networks", networks), ("scopes", scopes)),
        *(("quota_usd", quota_usd), ("quota_month_usd", quota_month_usd), ("quota_day_usd", quota_day_usd)),
        *(("rpm", rpm), ("tpm", tpm), ("concurrency", concurrency)),
    )
    made = await ctx.of(Keys).create(name, mode, account, key=key, **said)
    if await _namesakes(ctx, name) > 1:
        return warned(made, f"there are other active keys named {name!r}: commands need the id, which is {made['id']}")
    return made


@act("keys.change", names=("key",))
async def change_key(
    ctx: Context,
    key: str,
    name: str | UnsetType = UNSET,
    group: Text = UNSET,
    expires: Text = UNSET,
    models: Words = UNSET,
    networks: Words = UNSET,
    scopes: list[str] | UnsetType = UNSET,
    quota_usd: Text = UNSET,
    quota_month_usd: Text = UNSET,
    quota_day_usd: Text = UNSET,
    rpm: Number = UNSET,
    tpm: Number = UNSET,
    concurrency: Number = UNSET,
) -> dict[str, Any]:
    """Change what a key may, at once. What is left out stays as it is; null takes a bound away."""
    said = _said(
        *(("name", name), ("group", group), ("expires", expires), ("models", models), ("networks", networks)),
        *(("scopes", scopes), ("quota_usd", quota_usd), ("quota_month_usd", quota_month_usd)),
        *(("quota_day_usd", quota_day_usd), ("rpm", rpm), ("tpm", tpm), ("concurrency", concurrency)),
    )
    return _key(await ctx.of(Keys).change(key, **said))


@act("keys.rotate", names=("key",))
async def rotate_key(ctx: Context, key: str, overlap: str = "0") -> dict[str, Any]:
    """Make a new key with the name and the bounds of this one, which ends after the overlap."""
    old = await ctx.of(Keys).find(key)
    made = await ctx.of(Keys).rotate(old["id"], fields.span_s("overlap", overlap))
    ctx.of(Quotas).join(made["id"], old["id"])
    return made


@act("keys.list", reads=True)
async def list_keys(ctx: Context) -> list[dict[str, Any]]:
    """List keys, without their secrets."""
    return [_key(key) for key in await ctx.of(Keys).every()]


@act("keys.show", reads=True, names=("key",))
async def show_key(ctx: Context, key: str) -> dict[str, Any]:
    """Show a key, what it may once its group and the settings are counted in, and what it has spent."""
    found = await ctx.of(Keys).find(key, also_revoked=True)
    caller = await ctx.of(Keys).by_id(found["id"])
    spent = await _spent(ctx, found["id"])
    if caller is None:
        return _key(found) | {"spent": spent}
    limits = {"rpm": caller.rpm, "tpm": caller.tpm, "concurrency": caller.concurrency}
    return _key(found) | {"in_effect": {"group": caller.group.name, **limits}, "spent": spent}


@act("keys.revoke", names=("key",))
async def revoke_key(ctx: Context, key: str) -> None:
    """Revoke a key, at once."""
    await ctx.of(Keys).revoke(key)


async def _namesakes(ctx: Context, name: str) -> int:
    found = [dict(zip(keys.COLUMNS, row, strict=True)) for row in await keys.called(ctx.store, name)]
    return sum(key["name"] == name and _state(key) == "active" for key in found)


async def _spent(ctx: Context, key: str) -> dict[str, int]:
    """By the books, so that it holds beside a server too."""
    quotas = Quotas(ctx)
    await quotas.open()
    spent = quotas.spent(key)
    return {"total": spent.total, "month": spent.month, "day": spent.day}


def _said(*given: tuple[str, Any]) -> dict[str, Any]:
    """What was said, as a key has it."""
    return dict(_read(field, value) for field, value in given if value is not UNSET)


def _read(field: str, value: Any) -> tuple[str, Any]:
    if field not in _SPELT:
        return field, value
    stored, read = _SPELT[field]
    return stored, None if value is None else read(field, value)


def _key(key: dict[str, Any]) -> dict[str, Any]:
    return timed(key) | {"state": _state(key)}


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    return "expired" if key["expires_at"] is not None and key["expires_at"] <= now() else "active"
