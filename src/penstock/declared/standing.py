"""What there is, as a document: to compare one with, and to be written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from penstock.access import Groups, Keys
from penstock.clock import now, rfc3339
from penstock.context import Context
from penstock.declared import document as d
from penstock.declared.spelling import QUOTAS, decimal
from penstock.ledger import Prices, Rule
from penstock.routing import Aliases, Channels
from penstock.routing.channels import credentials
from penstock.store import accounts
from penstock.tasks.learning import REMEMBERED


async def standing(ctx: Context) -> d.Document:
    """All of it, with every field and with the credentials; of keys what is known of them. Prices: those that hold, and
    those that will; of keys the ones in use, each name once."""
    return d.Document(
        channels=tuple(channels(ctx)),
        aliases=tuple(d.Alias(name=name, targets=targets) for name, targets in ctx.of(Aliases).every().items()),
        prices=(*prices(ctx), *coming(ctx)),
        groups=groups(ctx),
        accounts=tuple(d.Account(name=row[1], group=row[4]) for row in await accounts.every(ctx.store)),
        keys=tuple(as_key(row) for row in in_use(await ctx.of(Keys).every())),
    )


def channels(ctx: Context) -> Iterator[d.Channel]:
    for row in ctx.of(Channels).rows():
        given = row.given | {
            "models": tuple(f"{ours}={theirs}" for ours, theirs in row.given["models"].items()),
            "options": {name: value for name, value in row.given["options"].items() if name != REMEMBERED},
        }
        yield d.Channel(name=row.name, credentials=tuple(credentials(given.pop("credential"))), **given)


def prices(ctx: Context) -> Iterator[d.Price]:
    """Those that hold now."""
    for model, rules in ctx.of(Prices).now().items():
        yield from (_price(model, channel, rule) for channel, rule in rules.items())


def coming(ctx: Context) -> Iterator[d.Price]:
    """Those that will hold; the last of those that begin at once."""
    at = now()
    dated = {(each.model, each.channel, each.starts_at): each.rule for each in ctx.of(Prices).every()}
    for (model, channel, starts_at), rule in dated.items():
        if starts_at > at and rule is not None:
            yield _price(model, channel, rule, rfc3339(starts_at))


def groups(ctx: Context) -> tuple[d.Group, ...]:
    return tuple(
        d.Group(
            name=group.name,
            models=group.models,
            channels=group.channels,
            multiplier=decimal(group.multiplier),
            policy=group.policy,
            rpm=group.rpm,
            tpm=group.tpm,
            concurrency=group.concurrency,
        )
        for group in ctx.of(Groups).every()
    )


def in_use(rows: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Of the keys of one account, mode, and name the newest that is neither revoked nor expired, else the newest that
    is not revoked."""
    active = [row for row in rows if row["revoked_at"] is None]
    return {known_by(row): row for row in sorted(active, key=lambda row: not _ended(row))}.values()


def known_by(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["account"], row["mode"], row["name"]


def as_key(row: dict[str, Any]) -> d.Key:
    """Of what `Keys` says of one."""
    quotas = {field: None if row[column] is None else decimal(row[column]) for field, column in QUOTAS.items()}
    return d.Key(
        name=row["name"],
        account=row["account"],
        mode=row["mode"],
        group=row["group"],
        expires=rfc3339(row["expires_at"]) if row["expires_at"] is not None else "",
        models=None if row["models"] is None else tuple(row["models"]),
        networks=tuple(row["networks"]),
        scopes=tuple(row["scopes"]),
        rpm=row["rpm"],
        tpm=row["tpm"],
        concurrency=row["concurrency"],
        quota_usd=quotas["quota_usd"],
        quota_month_usd=quotas["quota_month_usd"],
        quota_day_usd=quotas["quota_day_usd"],
    )


def _ended(row: dict[str, Any]) -> bool:
    return row["expires_at"] is not None and row["expires_at"] <= now()


def _price(model: str, channel: str, rule: Rule, starts: str = "") -> d.Price:
    """A rule without any line makes the model free."""
    lines = tuple(
        d.Line(unit=line.unit, usd=decimal(line.micros), per=line.per, above=line.above, when=line.when)
        for line in rule.lines
    )
    return d.Price(
        model=model, channel=channel, starts=starts, source=rule.source, lines=lines, run=None if lines else "0"
    )
