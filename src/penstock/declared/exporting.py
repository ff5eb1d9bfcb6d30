"""A document written out as TOML: what there is, without what goes without saying."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import tomli_w

from penstock.access import Keys
from penstock.clock import now, rfc3339
from penstock.context import Context
from penstock.declared import document as d
from penstock.declared.spelling import SHORT, spelt
from penstock.declared.standing import in_use, standing
from penstock.ledger import Prices
from penstock.routing import Providers

LIMITS = dict.fromkeys(("rpm", "tpm", "concurrency"))
UNSAID: Mapping[type, Mapping[str, Any]] = {
    d.Channel: LIMITS
    | {"credentials": [], "models": ["*"], "priority": 0, "weight": 1, "options": {}, "disabled": False},
    d.Group: LIMITS | {"models": None, "channels": None, "multiplier": "1", "policy": "weight"},
    d.Account: {"group": "default", "opening": None},
    d.Key: LIMITS
    | {"mode": "live", "key": "", "group": None, "expires": "", "models": None, "networks": []}
    | {"scopes": ["read", "relay"], "quota_usd": None, "quota_month_usd": None, "quota_day_usd": None},
}
"""What something new has anyway, as it is spelt."""


@dataclass(frozen=True, slots=True)
class Exported:
    """`asks`: names that it wants to find in the environment. `skipped`: lines for people, on what it can't say."""

    toml: str
    asks: tuple[str, ...]
    skipped: tuple[str, ...]


async def export(ctx: Context, *, secrets: bool = False) -> Exported:
    """What there is. Credentials are asked for from the environment, unless `secrets`; keys can't be told, for they are
    kept as hashes alone, and money that is spent and earned stays in the books."""
    document = await standing(ctx)
    asks: dict[str, str] = {}
    if not secrets:
        document, asks = asking(document)
    skipped = (*await _shadowed(ctx), *_unpriced(ctx))
    return Exported(written(document, own_addresses(ctx)), tuple(asks), skipped)


def asking(document: d.Document) -> tuple[d.Document, dict[str, str]]:
    """The same with the names of environment variables in the place of credentials; and what is to be in those."""
    asks: dict[str, str] = {}
    channels = [_asking(channel, asks) for channel in document.channels]
    return msgspec.structs.replace(document, channels=tuple(channels)), asks


def written(document: d.Document, addresses: Mapping[str, str] | None = None) -> str:
    """As TOML. `addresses`: what providers have themselves, which is then left out."""
    parts = {name: [_table(part, addresses or {}) for part in getattr(document, name)] for name in d.PARTS}
    default = {"name": "default"}  # a group and an account that are there anyway
    parts["groups"] = [group for group in parts["groups"] if group != default]
    return tomli_w.dumps({name: tables for name, tables in parts.items() if tables})


def own_addresses(ctx: Context) -> dict[str, str]:
    providers = ctx.of(Providers)
    return {name: providers[name].base_url.rstrip("/") for name in providers.names()}


def _table(part: Any, addresses: Mapping[str, str]) -> dict[str, Any]:
    unsaid = UNSAID.get(type(part), {})
    if isinstance(part, d.Channel):
        unsaid = {**unsaid, "base_url": addresses.get(part.provider, "")}
    if isinstance(part, d.Price):
        return _price(part)
    table = {name: value for name, value in spelt(part).items() if name not in unsaid or value != unsaid[name]}
    return dict(_without_nothing(table))


def _price(price: d.Price) -> dict[str, Any]:
    """With the short fields, where they say it all."""
    given: dict[str, Any] = msgspec.to_builtins(price)
    if given.get("source") == "operator":
        del given["source"]
    short = {(unit, per): field for field, (unit, per) in SHORT.items()}
    long = []
    for line in given.pop("lines", ()):
        field = short.get((line["unit"], line.get("per", 1)))
        if field and not line.keys() & {"above", "when"} and field not in given:
            given[field] = line["usd"]
        else:
            long.append(line)
    given |= {"lines": long} if long else {}
    return {field: given[field] for field in price.__struct_fields__ if field in given}


def _without_nothing(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """TOML has no null; an option that is null is as good as none."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield name, dict(_without_nothing(value))
        elif value is not None:
            yield name, value


def _asking(channel: d.Channel, asks: dict[str, str]) -> d.Channel:
    names = []
    for credential in channel.credentials or ():
        word = re.sub(r"\W+", "_", channel.name.upper(), flags=re.ASCII).strip("_") or "CHANNEL"
        numbers = ("", *(f"_{number}" for number in range(2, len(asks) + 3)))
        name = next(name for number in numbers if (name := f"{word}_CREDENTIAL{number}") not in asks)
        asks[name] = credential
        names.append(d.ENV + name)
    return msgspec.structs.replace(channel, credentials=tuple(names))


async def _shadowed(ctx: Context) -> list[str]:
    rows = await ctx.of(Keys).every()
    told = {row["id"] for row in in_use(rows)}
    return [
        f"key {row['id']} of {row['account']}: a newer one has its name, {row['name']!r}"
        for row in rows
        if row["revoked_at"] is None and row["id"] not in told
    ]


def _unpriced(ctx: Context) -> list[str]:
    at = now()
    return [
        f"price of {each.model} from {rfc3339(each.starts_at)}: it is the list price then"
        for each in ctx.of(Prices).every()
        if each.rule is None and each.starts_at > at
    ]
