"""Aliases."""

from __future__ import annotations

from typing import Any

from penstock.console.acts._base import act
from penstock.context import Context
from penstock.routing import Aliases, Channels


@act("aliases.set")
async def set_alias(ctx: Context, name: str, targets: list[str]) -> dict[str, Any]:
    """Make a name stand for these models, to be tried in order."""
    await ctx.of(Aliases).put(name, targets)
    return _alias(ctx, name)


@act("aliases.list", reads=True)
async def list_aliases(ctx: Context) -> list[dict[str, Any]]:
    """List aliases, what they come to, and what of that no channel serves now."""
    return [_alias(ctx, name) for name in ctx.of(Aliases).every()]


@act("aliases.remove")
async def remove_alias(ctx: Context, name: str) -> None:
    """Remove an alias."""
    await ctx.of(Aliases).remove(name)


def _alias(ctx: Context, name: str) -> dict[str, Any]:
    """As it was set; what it comes to, and what of that no channel serves now."""
    aliases, channels = ctx.of(Aliases), ctx.of(Channels)
    models = aliases.targets(name)
    live = [model for model in models if not model.startswith("sandbox/")]
    unserved = [model for model in live if not (channels.serving(model) or channels.serving(model, calls=True))]
    return {"name": name, "targets": list(aliases.every()[name]), "models": list(models), "unserved": unserved}
