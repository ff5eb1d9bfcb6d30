"""Aliases."""

from __future__ import annotations

from typing import Any

from penstock.console.acts._base import act, warned
from penstock.console.offering import Offering
from penstock.context import Context
from penstock.routing import Aliases


@act("aliases.set")
async def set_alias(ctx: Context, name: str, targets: list[str]) -> dict[str, Any]:
    """Make a name stand for these models, to be tried in order."""
    await ctx.of(Aliases).put(name, targets)
    offering = Offering(ctx)
    words = [
        f"{channel!r} serves a model named {name!r} too, which can't be called now: make it one of the targets"
        for channel in offering.hidden_by(name)
    ]
    if dearer := list(offering.dearer(name)):
        words.append(
            f"{', '.join(dearer)} costs more than {offering.charged_as(name)}, whose price is charged for {name!r} "
            f"whichever model answers; to charge another, set one for the alias: penstock prices set {name}"
        )
    return warned(_alias(offering, ctx, name), *words)


@act("aliases.list", reads=True)
async def list_aliases(ctx: Context) -> list[dict[str, Any]]:
    """List aliases, what they come to, and what of that no channel serves now."""
    offering = Offering(ctx)
    return [_alias(offering, ctx, name) for name in ctx.of(Aliases).every()]


@act("aliases.remove")
async def remove_alias(ctx: Context, name: str) -> dict[str, Any]:
    """Remove an alias."""
    aliases = ctx.of(Aliases)
    await aliases.remove(name)
    left = [other for other, targets in aliases.every().items() if name in targets]
    if left and not Offering(ctx).is_served(name):
        return warned({}, f"{', '.join(left)} still stands for {name!r}, which no channel serves now")
    return {}


def _alias(offering: Offering, ctx: Context, name: str) -> dict[str, Any]:
    """As it was set; what it comes to, and what of that no channel serves now."""
    aliases = ctx.of(Aliases)
    models = list(aliases.targets(name))
    return {
        "name": name,
        "targets": list(aliases.every()[name]),
        "models": models,
        "unserved": offering.unserved(name),
    }
