"""A document compared with what there is: all of it is checked, and what differs is told, thing by thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from penstock.access import Keys, fields
from penstock.access.groups import CHECKS as GROUP_CHECKS
from penstock.access.keys import CHECKS as KEY_CHECKS
from penstock.access.keys import IMPORTED, check_admins
from penstock.canonical.usage import Unit
from penstock.canonical.who import LIVE, TEST
from penstock.clock import now
from penstock.context import Context
from penstock.declared import document as d
from penstock.declared import standing as there
from penstock.declared.spelling import in_terms, lines, moment, spelt
from penstock.errors import CallerError
from penstock.ledger import Prices
from penstock.ledger.lines import written
from penstock.ledger.rules import Line
from penstock.money import micros
from penstock.routing import Aliases, Channels, Providers
from penstock.routing.aliases import checked, flattened
from penstock.store import accounts

Verb = Literal["add", "change", "same"]
ADD: Verb = "add"
CHANGE: Verb = "change"
SAME: Verb = "same"
HIDDEN = "•••"
AT_ONCE = 50
"""Steps, before others get their turn."""
SECRETS = frozenset(("credentials", "key"))


@dataclass(frozen=True, slots=True)
class Change:
    """What a document means for one thing: the fields that differ, in the document's own terms, secrets hidden."""

    part: str
    name: str
    verb: Verb
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    change: Change
    given: Any = field(default=None, repr=False)
    """What the part's writer needs."""


@dataclass(slots=True)
class _World:
    """What is there, and what the document adds to it."""

    ctx: Context
    document: d.Document
    groups: Mapping[str, d.Group]
    accounts: Mapping[str, tuple[str, d.Account]]  # with their ids
    channels: Mapping[str, d.Channel]
    keys: Sequence[dict[str, Any]]

    def check_group(self, name: str | None) -> None:
        if name is not None and name not in self.groups and name not in {group.name for group in self.document.groups}:
            raise CallerError(f"there is no group {name!r}, here or in the document")


async def compared(ctx: Context, document: d.Document) -> list[Change]:
    """What applying it would do. Raises CallerError with the place of what is wrong."""
    return [step.change for step in await planned(ctx, document)]


async def planned(ctx: Context, document: d.Document) -> list[Step]:
    """What differs and what does not, part by part, in the order in which they need each other. Others get their turn
    in between, for a document may have thousands."""
    world = _World(
        ctx,
        document,
        groups={group.name: group for group in there.groups(ctx)},
        accounts={row[1]: (row[0], d.Account(name=row[1], group=row[4])) for row in await accounts.every(ctx.store)},
        channels={channel.name: channel for channel in there.channels(ctx)},
        keys=await ctx.of(Keys).every(),
    )
    steps: list[Step] = []
    for plan in PARTS.values():
        async for step in plan(world):
            steps.append(step)
            if len(steps) % AT_ONCE == 0:
                await asyncio.sleep(0)
    return steps


# ── what differs ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _differing(
    old: msgspec.Struct | None, new: msgspec.Struct, known_by: Collection[str] = ("name",)
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that are given and are otherwise there: as they are, and as they shall be."""
    had = {} if old is None else spelt(old)
    wanted = {name: value for name, value in spelt(new).items() if name not in known_by}
    after = {name: value for name, value in wanted.items() if old is None or had[name] != value}
    return {name: had[name] for name in after if old is not None}, after


def _step(part: str, name: str, old: Any, before: dict[str, Any], after: dict[str, Any], given: Any) -> Step:
    verb: Verb = ADD if old is None else CHANGE if after else SAME
    return Step(Change(part, name, verb, _hidden(before), _hidden(after)), given)


def _hidden(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: _mask(value) if name in SECRETS else value for name, value in shown.items()}


def _mask(value: Any) -> Any:
    return [HIDDEN] * len(value) if isinstance(value, list) else HIDDEN


@contextmanager
def _at(part: str, name: str) -> Iterator[None]:
    """Where what is wrong is."""
    try:
        yield
    except CallerError as error:
        raise CallerError(f"{part}, {name!r}: {error}") from None


def _each(part: str, given: Iterable[Any], known_by: Callable[[Any], str]) -> Iterator[tuple[str, Any]]:
    """Each with its name. Raises CallerError where two have the same."""
    seen = set()
    for each in given:
        name = known_by(each)
        if name in seen:
            raise CallerError(f"{part}, {name!r}: it is there twice")
        seen.add(name)
        yield name, each


def _name(part: Any) -> str:
    return str(part.name)


# ── groups ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _groups(world: _World) -> AsyncIterator[Step]:
    for name, group in _each("groups", world.document.groups, _name):
        with _at("groups", name):
            fields.name("name", name)
            old = world.groups.get(name)
            before, after = _differing(old, group)
            fields.checked(GROUP_CHECKS, in_terms(after))
        yield _step("groups", name, old, before, after, (name, in_terms(after)))


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _accounts(world: _World) -> AsyncIterator[Step]:
    openings: set[str] = set()
    for name, account in _each("accounts", world.document.accounts, _name):
        with _at("accounts", name):
            fields.name("name", name)
            id, old = world.accounts.get(name, ("", None))
            before, after = _differing(old, account)
            world.check_group(after.get("group"))
            if account.opening is None or await _is_booked(world.ctx, id, account.opening):
                after.pop("opening", None)
            elif account.opening.id in openings:
                raise CallerError(f"the opening {account.opening.id!r} is there twice")
            else:
                openings.add(account.opening.id)
        yield _step("accounts", name, old, before, after, (account, after))


async def _is_booked(ctx: Context, account: str, opening: d.Opening) -> bool:
    """Raises CallerError where it makes no sense, or is another account's."""
    if not opening.id or micros(opening.usd, "opening") <= 0:
        raise CallerError("an opening needs an id, and an amount of more than nothing")
    booked = await accounts.entries_of_work(ctx.store, work(opening))
    if booked and booked[0][1] != account:
        raise CallerError(f"the opening {opening.id!r} was booked to another account")
    return bool(booked)


def work(opening: d.Opening) -> str:
    return f"opening/{opening.id}"


# ── channels ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _channels(world: _World) -> AsyncIterator[Step]:
    channels = world.ctx.of(Channels)
    for name, channel in _each("channels", world.document.channels, _name):
        with _at("channels", name):
            old = world.channels.get(name)
            before, after = _differing(old, _addressed(world.ctx, channel, old))
            channels.checked((spelt(old) if old else {}) | after | {"name": name})
        yield _step("channels", name, old, before, after, (name, after))


def _addressed(ctx: Context, channel: d.Channel, old: d.Channel | None) -> d.Channel:
    """An empty address means the provider's own; so does none, where it was the own one of the provider before."""
    providers = ctx.of(Providers)
    own = {name: providers[name].base_url.rstrip("/") for name in providers.names()}
    moves = old is not None and old.provider != channel.provider and old.base_url == own.get(old.provider)
    if channel.base_url == "" or (channel.base_url is UNSET and moves):
        return msgspec.structs.replace(channel, base_url=own.get(channel.provider, ""))
    return channel


# ── aliases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _aliases(world: _World) -> AsyncIterator[Step]:
    had = world.ctx.of(Aliases).every()
    wanted = dict(_each("aliases", world.document.aliases, _name))
    with _at("aliases", ", ".join(wanted)):
        flattened(had | {name: checked(name, alias.targets) for name, alias in wanted.items()})
    for name, alias in wanted.items():
        with _at("aliases", name):
            old = d.Alias(name=name, targets=had[name]) if name in had else None
            before, after = _differing(old, alias)
        yield _step("aliases", name, old, before, after, alias)


# ── prices ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _prices(world: _World) -> AsyncIterator[Step]:
    """One without a date is compared with what holds now, and one with a date with what was set for that very moment.
    Once a dated one of the document's own has begun, the one without has had its time."""
    prices = world.ctx.of(Prices)
    holds, at = prices.now(), now()
    dated = {(each.model, each.channel, each.starts_at): each.rule for each in prices.every()}
    known = world.channels.keys() | {channel.name for channel in world.document.channels}
    starts = {id(price): _starts(price) for price in world.document.prices}
    begun = {
        (price.model, price.channel) for price in world.document.prices if 0 < starts[id(price)] <= at
    }  # without a date: 0
    for name, price in _each("prices", world.document.prices, _price_name):
        start = starts[id(price)]
        with _at("prices", name):
            if not price.model:
                raise CallerError("it needs a model")
            if price.channel and price.channel not in known:
                raise CallerError(f"there is no channel {price.channel!r}, here or in the document")
            wanted = lines(price)
        old = dated.get((price.model, price.channel, start)) if start else holds.get(price.model, {}).get(price.channel)
        past = not start and (price.model, price.channel) in begun
        same = past or (old is not None and _value(old.lines) == _value(wanted))
        before = {} if same or old is None else {"lines": [written(line) for line in old.lines]}
        after = {} if same else {"lines": [written(line) for line in wanted]}
        yield _step("prices", name, True if past else old, before, after, (price, wanted, start))


def _price_name(price: d.Price) -> str:
    return (
        price.model + (f" on {price.channel}" if price.channel else "") + (f" from {price.starts}" * bool(price.starts))
    )


def _starts(price: d.Price) -> int:
    """0 where it holds from now on."""
    if not price.starts:
        return 0
    with _at("prices", _price_name(price)):
        at = moment("starts", price.starts)
        if at <= 0:
            raise CallerError("starts: must be after 1970")
        return at


def _value(rule: Iterable[Line]) -> frozenset[Any]:
    """What lines come to, whatever their order and spelling; without any the model is free, as for nothing a run."""
    every = tuple(rule) or (Line(Unit.RUN, 0),)
    return frozenset((x.unit, Fraction(x.micros, x.per), x.above, frozenset(x.when.items())) for x in every)


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _keys(world: _World) -> AsyncIterator[Step]:
    """One whose secret is given is known by that, others by account, mode, and name. What was revoked stays so."""
    named = {there.known_by(row): row for row in (*world.keys, *there.in_use(world.keys))}
    secrets: set[str] = set()
    for name, key in _each("keys", world.document.keys, _key_name):
        with _at("keys", name):
            row = await _holder(world.ctx, key) if key.key else named.get((key.account, key.mode, key.name))
            if key.key in secrets:
                raise CallerError("another one has the same secret")
            secrets |= {key.key} if key.key else set()
            if row is not None and row["revoked_at"] is not None:
                yield _step("keys", name, row, {}, {}, None)
                continue
            old = there.as_key(row) if row else None
            before, after = _differing(old, key, ("name", "account", "mode", "key"))
            _check_key(world, key, after)
        shown = after | ({"key": HIDDEN} if key.key and old is None else {})
        yield _step("keys", name, old, before, shown, (key, row and row["id"], in_terms(after)))


def _key_name(key: d.Key) -> str:
    return f"{key.account}/{key.name}" + (f" ({key.mode})" if key.mode != LIVE else "")


async def _holder(ctx: Context, key: d.Key) -> dict[str, Any] | None:
    """The key of this secret, revoked or not. Raises CallerError where it is called otherwise."""
    row = await ctx.of(Keys).holder(key.key)
    if row is not None and there.known_by(row) != (key.account, key.mode, key.name):
        raise CallerError(f"its secret is that of {row['account']}/{row['name']}, a {row['mode']} key")
    return row


def _check_key(world: _World, key: d.Key, after: dict[str, Any]) -> None:
    check_admins(key.mode, fields.checked(KEY_CHECKS, in_terms(after) | {"name": key.name}))
    fields.name("account", key.account)
    world.check_group(after.get("group"))
    if key.mode not in (LIVE, TEST):
        raise CallerError(f"mode: must be {LIVE} or {TEST}")
    if key.key and not IMPORTED.fullmatch(key.key):
        raise CallerError("key: must be 16 to 200 printable ASCII characters, without spaces")


Plan = Callable[[_World], AsyncIterator[Step]]
PARTS: Mapping[str, Plan] = {
    "groups": _groups,
    "accounts": _accounts,
    "channels": _channels,
    "aliases": _aliases,
    "prices": _prices,
    "keys": _keys,
}
"""In the order in which they need each other."""
