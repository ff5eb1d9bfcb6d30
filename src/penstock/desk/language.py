"""Commands about language models."""

from __future__ import annotations

from penstock.calls.pricing import is_known
from penstock.canonical.commands import List
from penstock.canonical.results import LanguageModel
from penstock.canonical.who import LIVE, Caller
from penstock.catalog import language
from penstock.context import Context
from penstock.errors import UnknownModel
from penstock.formats._base import Operation
from penstock.ledger import Prices
from penstock.routing import Channels, Providers

SINCE = 1_700_000_000
"""The date of a model whose own we don't know, in seconds since 1970: readers want one."""


async def list_(ctx: Context, caller: Caller, command: List) -> tuple[LanguageModel, ...]:
    """What this key can call: all that we know for a test key, else what channels that can answer calls serve."""
    if caller.mode != LIVE:
        return tuple(_shown(known) for known in language.every())
    channels, priced = ctx.of(Channels), ctx.of(Prices).now()
    named = {
        model for channel in channels.every() if not channel.disabled for model in channel.models if "*" not in model
    }
    known = {each.name for each in language.every() if each.vendor != "sandbox"}
    models = sorted(model for model in named | known | set(priced) if _callable(ctx, model))
    return tuple(_named(model) for model in models)


async def show(ctx: Context, caller: Caller, name: str) -> LanguageModel:
    if not is_known(ctx, caller, name) or (caller.mode == LIVE and not _callable(ctx, name)):
        raise UnknownModel(f"The model {name[:200]!r} does not exist here, or this key may not use it.")
    return _named(name)


def _callable(ctx: Context, model: str) -> bool:
    providers = ctx.of(Providers)
    serving = [providers[channel.provider] for channel, _ in ctx.of(Channels).serving(model, calls=True)]
    return any(provider.call(each, "") for provider in serving for each in (Operation.CHAT, Operation.EMBED))


def _named(name: str) -> LanguageModel:
    known = language.find(name)
    return _shown(known, name) if known else LanguageModel(name, "custom", name, SINCE)


def _shown(known: language.Known, name: str = "") -> LanguageModel:
    return LanguageModel(name or known.name, known.vendor, known.title, SINCE, known.context, 0, known.embeds)
