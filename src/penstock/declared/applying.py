"""A document applied. All of it is checked before any of it is done, so that a document with one wrong thing changes
nothing. Then it is done part by part; whoever applies it again does only what is still missing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock import ids
from penstock.access import Groups, Keys
from penstock.canonical.who import LIVE
from penstock.context import Context
from penstock.declared import document as d
from penstock.declared.comparing import ADD, CHANGE, SAME, Change, Step, planned, work
from penstock.errors import PenstockError, Stale
from penstock.ledger import Prices
from penstock.money import micros
from penstock.routing import Aliases, Channels
from penstock.store import accounts, groups
from penstock.tasks import learning

LEARN_S = 5.0
"""For so long new servers are asked what they take, before it goes on without."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done; and of the keys that were made anew their secrets, which are nowhere else."""

    changes: tuple[Change, ...]
    keys: tuple[dict[str, Any], ...]


class Turns:
    """One document at a time."""

    def __init__(self, ctx: Context) -> None:
        self.lock = asyncio.Lock()


async def apply(ctx: Context, document: d.Document) -> Applied:
    """Do what differs. Raises CallerError, and then nothing is done, with the place of what is wrong."""
    async with ctx.of(Turns).lock:
        return await carry_out(ctx, await planned(ctx, document))


async def carry_out(ctx: Context, steps: Sequence[Step]) -> Applied:
    """Do what was planned within this turn."""
    made: list[dict[str, Any]] = []
    due = [step for step in steps if step.change.verb != SAME]
    for part, write in WRITES.items():
        if of_part := [step for step in due if step.change.part == part]:
            made += await write(ctx, of_part) or []
        ctx.faults.reach(f"applied.{part}")
    return Applied(tuple(step.change for step in due), tuple(made))


def is_new_key(step: Step) -> bool:
    """Nobody has its secret yet: whoever applies the document is shown it."""
    return step.change.part == "keys" and step.change.verb == ADD and not step.given[0].key


async def _groups(ctx: Context, steps: Sequence[Step]) -> None:
    for step in steps:
        name, terms = step.given
        await ctx.of(Groups).put(name, **terms)


async def _accounts(ctx: Context, steps: Sequence[Step]) -> None:
    keys = ctx.of(Keys)
    for step in steps:
        account, after = step.given
        if step.change.verb == ADD:
            id = await keys.open_account(account.name, after.get("group", "default"))
        else:
            id = await keys.account(account.name, make=False)
        if step.change.verb == CHANGE and "group" in after:
            there = () if after["group"] == "default" else (groups.keep(after["group"]),)
            await ctx.store.write(*there, accounts.regroup(id, after["group"]))
            keys.forget()
        if "opening" in after:
            await _book(ctx, id, account.opening)


async def _book(ctx: Context, account: str, opening: d.Opening) -> None:
    """Once, whoever else is at it: the entry's id is made of the account and the opening, so there is room for one. It
    is the first one in the account's books."""
    amount = micros(opening.usd, "opening")
    dice = int.from_bytes(hashlib.sha256(opening.id.encode()).digest()[:10])
    id = ids.encode(ids.made_at(account) // 1_000_000 << 80 | dice)
    detail = msgspec.json.encode({"reason": f"opening {opening.id}"}).decode()
    entry = accounts.entry(account, LIVE, "topup", amount, work=work(opening), detail=detail, id=id)
    with suppress(Stale):
        await ctx.store.write(entry, accounts.add(account, LIVE, amount))


async def _channels(ctx: Context, steps: Sequence[Step]) -> None:
    channels, new = ctx.of(Channels), []
    for step in steps:
        name, given = step.given
        if step.change.verb == ADD:
            new.append(await channels.add(given | {"name": name}))
        else:
            await channels.change(name, _with_memory(ctx, name, given))
    await _learn(ctx, new)


def _with_memory(ctx: Context, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a server told of itself is no option of the operator's, and is kept."""
    old = ctx.of(Channels).named(name)
    memory = {k: v for k, v in old.options.items() if k == learning.REMEMBERED} if old else {}
    return given | {"options": given["options"] | memory} if memory and "options" in given else given


async def _learn(ctx: Context, channels: Sequence[Any]) -> None:
    """What new servers take. One that is not up yet is asked again by its first task."""

    async def ask(channel: Any) -> None:
        with suppress(PenstockError):
            await learning.learn(ctx, channel)

    with suppress(TimeoutError):
        async with asyncio.timeout(LEARN_S):
            await asyncio.gather(*map(ask, channels))


async def _aliases(ctx: Context, steps: Sequence[Step]) -> None:
    await ctx.of(Aliases).put_all({alias.name: alias.targets for alias in _given(steps)})


async def _prices(ctx: Context, steps: Sequence[Step]) -> None:
    given = [(price.model, wanted, price.source, price.channel, starts) for price, wanted, starts in _given(steps)]
    await ctx.of(Prices).add_all(given)


def _given(steps: Sequence[Step]) -> list[Any]:
    return [step.given for step in steps]


async def _keys(ctx: Context, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Those that were made anew, with their secrets."""
    keys, made = ctx.of(Keys), []
    for key, id, terms in _given(steps):
        if id is not None:
            await keys.change(id, **terms)
            continue
        new = await keys.create(key.name, key.mode, key.account, key=key.key, **terms)
        made += [] if key.key else [new]
    return made


Write = Callable[[Context, Sequence[Step]], Awaitable[list[dict[str, Any]] | None]]
WRITES: Mapping[str, Write] = {
    "groups": _groups,
    "accounts": _accounts,
    "channels": _channels,
    "aliases": _aliases,
    "prices": _prices,
    "keys": _keys,
}
