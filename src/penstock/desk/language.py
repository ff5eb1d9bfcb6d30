"""Commands about language models."""

from __future__ import annotations

from penstock.access.admission import check_allowed
from penstock.calls.pricing import is_known
from penstock.canonical.commands import List
from penstock.canonical.results import LanguageModel
from penstock.canonical.who import LIVE, Caller
from penstock.catalog import language
from penstock.context import Context
from penstock.errors import ModelForbidden, UnknownModel
from penstock.formats._base import Operation
from penstock.ledger import Prices
from penstock.routing import Aliases, Channels, Providers
from penstock.routing.planning import serving

SINCE = 1_700_000_000
"""The date of a model whose own we don't know, in seconds since 1970: readers want one."""


async def list_(ctx: Context, caller: Caller, command: List) -> tuple[LanguageModel, ...]:
    """What this key can call: all that we know for a test key, else what channels that can answer calls serve."""
    aliases = ctx.of(Aliases)
    if caller.mode != LIVE:
        every = {known.name: _shown(known) for known in language.every()}
        own = (name for name in aliases.every() if is_known(ctx, caller, name, aliases.targets(name)))
        every |= {name: _named(ctx, name) for name in own}
        return tuple(model for name, model in every.items() if _allowed(ctx, caller, name))
    named = {
        model
        for channel in ctx.of(Channels).every()
        if not channel.disabled
        for model in channel.models
        if "*" not in model
    }
    known = {each.name for each in language.every() if each.vendor != "sandbox"}
    names = sorted(named | known | set(ctx.of(Prices).now()) | set(aliases.every()))
    return tuple(_named(ctx, name) for name in names if _allowed(ctx, caller, name) and _callable(ctx, caller, name))


async def show(ctx: Context, caller: Caller, name: str) -> LanguageModel:
    targets = ctx.of(Aliases).targets(name)
    check_allowed(caller, name, targets)
    if not is_known(ctx, caller, name, targets) or (caller.mode == LIVE and not _callable(ctx, caller, name)):
        raise UnknownModel(f"The model {name[:200]!r} does not exist here, or this key may not use it.")
    return _named(ctx, name)


def _allowed(ctx: Context, caller: Caller, name: str) -> bool:
    try:
        check_allowed(caller, name, ctx.of(Aliases).targets(name))
    except ModelForbidden:
        return False
    return True


def _callable(ctx: Context, caller: Caller, model: str) -> bool:
    providers = ctx.of(Providers)
    return any(
        providers[each.channel.provider].call(operation, "")
        for each in serving(ctx, model, caller.group, calls=True)
        for operation in (Operation.CHAT, Operation.EMBED)
    )


def _named(ctx: Context, name: str) -> LanguageModel:
    known = language.find(ctx.of(Aliases).targets(name)[0])
    return _shown(known, name) if known else LanguageModel(name, "custom", name, SINCE)


def _shown(known: language.Known, name: str = "") -> LanguageModel:
    return LanguageModel(name or known.name, known.vendor, known.title, SINCE, known.context, 0, known.embeds)
