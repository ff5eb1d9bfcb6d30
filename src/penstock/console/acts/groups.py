"""Groups."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from msgspec import UNSET, UnsetType

from penstock.access import Groups, Keys
from penstock.canonical.who import ONE, Group
from penstock.console.acts._base import act
from penstock.context import Context
from penstock.money import micros
from penstock.store import accounts

Words = list[str] | None | UnsetType
Number = int | None | UnsetType


@act("groups.set")
async def set_group(
    ctx: Context,
    name: str,
    models: Words = UNSET,
    channels: Words = UNSET,
    multiplier: str | UnsetType = UNSET,
    policy: str | UnsetType = UNSET,
    rpm: Number = UNSET,
    tpm: Number = UNSET,
    concurrency: Number = UNSET,
) -> dict[str, Any]:
    """Make a group, or change one. What is left out stays as it is; null takes a bound away."""
    times = multiplier if isinstance(multiplier, UnsetType) else micros(multiplier, "multiplier")
    given = {"models": models, "channels": channels, "multiplier": times, "policy": policy}
    given |= {"rpm": rpm, "tpm": tpm, "concurrency": concurrency}
    said = {field: value for field, value in given.items() if value is not UNSET}
    return _group(await ctx.of(Groups).put(name, **said))


@act("groups.list", reads=True)
async def list_groups(ctx: Context) -> list[dict[str, Any]]:
    """List groups."""
    return [_group(group) for group in ctx.of(Groups).every()]


@act("groups.show", reads=True)
async def show_group(ctx: Context, name: str) -> dict[str, Any]:
    """Show a group, the accounts in it, and how many active keys."""
    group = ctx.of(Groups).named(name)
    owners = [row[1] for row in await accounts.every(ctx.store) if row[4] == name]
    keys = [key for key in await ctx.of(Keys).every() if (key["group"] or key["account_group"]) == name]
    active = sum(key["revoked_at"] is None for key in keys)
    return _group(group) | {"accounts": owners, "keys": active}


@act("groups.remove")
async def remove_group(ctx: Context, name: str) -> None:
    """Remove a group that nobody is in."""
    await ctx.of(Groups).remove(name)


def _group(group: Group) -> dict[str, Any]:
    """`multiplier` as people write it."""
    lists = {"models": _list(group.models), "channels": _list(group.channels)}
    return asdict(group) | lists | {"multiplier": f"{(Decimal(group.multiplier) / ONE).normalize():f}"}


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)
