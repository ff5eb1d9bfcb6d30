"""Prices, and the models that have them."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.catalog import language
from penstock.catalog.loaded import catalog
from penstock.console.acts._base import act
from penstock.context import Context
from penstock.ledger import Prices
from penstock.routing import Channels


@act("prices.set")
async def set_price(ctx: Context, model: str, lines: list[dict[str, Any]], source: str = "operator") -> dict[str, Any]:
    dated = await ctx.of(Prices).add(model, lines, source)
    return {"model": model, "lines": msgspec.to_builtins(dated.rule.lines) if dated.rule else []}


@act("prices.list", reads=True)
async def list_prices(ctx: Context) -> list[dict[str, Any]]:
    listed = {
        model.path: [{"unit": p.unit, "micros": p.micros, "per": p.per} for p in model.prices]
        for model in catalog(ctx).models()
    } | {known.name: msgspec.to_builtins(known.price) for known in language.every() if known.price}
    own = {model: msgspec.to_builtins(rules[""].lines) for model, rules in ctx.of(Prices).now().items() if "" in rules}
    return [
        {"model": model, "lines": own.get(model, listed.get(model, [])), "from": "you" if model in own else "catalogue"}
        for model in sorted(listed | own)
    ]


@act("models.list", reads=True)
async def list_models(ctx: Context, search: str = "") -> list[dict[str, Any]]:
    found = catalog(ctx).search(search) if search else catalog(ctx).models()
    channels = ctx.of(Channels)
    return [
        {
            "model": model.path,
            "kind": model.kind,
            "description": model.description,
            "channels": [channel.name for channel, _ in channels.serving(model.path)],
            "usual_s": model.usual_s,
        }
        for model in found
    ]
