"""Commands about the caller's account: what it has, what it spent and on what, what something would cost, codes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import msgspec

from penstock.calls import pricing
from penstock.canonical.commands import Call, List, Quote, Redeem, Respond
from penstock.canonical.results import AccountCard, Bound, Entry, Quoted, Redeemed, Usage, UsageRow
from penstock.canonical.task import Page
from penstock.canonical.usage import Micros
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.desk import responses
from penstock.errors import CallerError
from penstock.ledger import Allowances, Priced, Quotas, Rule
from penstock.ledger.codes import Codes
from penstock.store import accounts, statements
from penstock.store.connection import Row
from penstock.tasks import intake

BY = ("day", "model", "key")
USUAL_DAYS, MOST_DAYS = 30, 366
ENTRIES_MOST = 100
SEEN = frozenset(("reason", "rule", "units", "total", "estimated"))


async def show(ctx: Context, caller: Caller, name: str) -> AccountCard:
    store, account, mode = ctx.store, caller.account, caller.mode
    spent_in_all, runs = await statements.spent(store, account, mode)
    held = await statements.held(store, account, mode) + ctx.of(Allowances).held(account, mode)
    return AccountCard(
        caller=caller,
        balance=await balance(ctx, account, mode),
        held=held,
        spent=ctx.of(Quotas).spent(caller.key).total,
        bounds=_bounds(ctx, caller),
        spent_in_all=spent_in_all,
        runs=runs,
    )


async def balance(ctx: Context, account: str, mode: str) -> Micros:
    """What is not held: in the books, and drawn for calls."""
    return await accounts.balance(ctx.store, account, mode) + ctx.of(Allowances).free(account, mode)


def _bounds(ctx: Context, caller: Caller) -> tuple[Bound, ...]:
    quota, quotas = caller.quota, ctx.of(Quotas)
    if quota is None:
        return ()
    spent = quotas.spent(caller.key)
    periods = (("total", quota.total, spent.total), ("month", quota.month, spent.month), ("day", quota.day, spent.day))
    return tuple(Bound(name, most, used, quotas.anew(name)) for name, most, used in periods if most is not None)


async def quota(ctx: Context, caller: Caller, command: List) -> tuple[AccountCard, Usage | None]:
    """The account, and where days are given what was spent on each."""
    days = await used(ctx, caller.account, caller.mode, **command.filters, by="day,key") if command.filters else None
    return await show(ctx, caller, ""), days


# ── the books, and what they sum up to ────────────────────────────────────────────────────────────────────────────────


async def entries(ctx: Context, caller: Caller, command: List) -> Page:
    """Newest first."""
    limit = max(1, min(command.limit, ENTRIES_MOST))
    rows = await accounts.entries_of(ctx.store, caller.account, caller.mode, command.cursor or "~", limit + 1)
    found = [
        Entry(id, at, kind, work, amount, uncovered, _seen(msgspec.json.decode(detail)))
        for id, _, _, kind, work, amount, detail, uncovered, at in rows[:limit]
    ]
    return Page(found, found[-1].id if len(rows) > limit else None)


def _seen(detail: dict[str, Any]) -> dict[str, Any]:
    """What of it is the caller's to see; the arithmetic, in their own prices, is in the explanation of a charge."""
    return {name: value for name, value in detail.items() if name in SEEN}


async def usage(ctx: Context, caller: Caller, command: List) -> Usage:
    return await used(ctx, caller.account, caller.mode, **command.filters)


async def used(ctx: Context, account: str, mode: str, first: str = "", last: str = "", by: str = "") -> Usage:
    """From the first day to the last, by UTC: the last thirty unless said otherwise. `by`: some of day, model, and key,
    with commas between. Raises CallerError."""
    until = _day(last or ctx.of(Quotas).today())
    since = _day(first) if first else until - timedelta(days=USUAL_DAYS - 1)
    if not 0 <= (until - since).days < MOST_DAYS:
        raise CallerError(f"from must not be after to, and at most {MOST_DAYS} days lie between them")
    wanted = [name.strip() for name in (by or "day").split(",")]
    if unknown := sorted(set(wanted) - set(BY)):
        raise CallerError(f"usage can be told by {', '.join(BY)}, not by {unknown[0][:50]!r}")
    chosen = tuple(name for name in BY if name in wanted)
    rows = await ctx.of(Allowances).charges.spent(account, mode, since.isoformat(), until.isoformat())
    names = await statements.key_names(ctx.store, account, mode) if "key" in chosen else {}
    return Usage(since.isoformat(), until.isoformat(), chosen, _summed(rows, chosen, names))


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text or found.year < 1970:
        raise CallerError("a day must be written as 2026-03-04")
    return found


def _summed(rows: Iterable[Row], by: tuple[str, ...], names: dict[str, str]) -> tuple[UsageRow, ...]:
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for day, key, model, *counts in rows:
        said = {"day": day, "model": model, "key": key}
        sum_ = sums[tuple(said[name] if name in by else "" for name in BY)]  # type: ignore[index]
        for at, count in enumerate(counts):
            sum_[at] += int(count)
    return tuple(
        UsageRow(day, model, key, names.get(key, ""), *counts) for (day, model, key), counts in sorted(sums.items())
    )


# ── what it would cost ────────────────────────────────────────────────────────────────────────────────────────────────


async def quote(ctx: Context, caller: Caller, command: Quote) -> Quoted:
    """Raises what the work itself would be refused with, but for want of money."""
    priced = await _priced(ctx, caller, command)
    left = await balance(ctx, caller.account, caller.mode)
    enough = priced.hold <= min(left, ctx.of(Quotas).room(caller))
    return Quoted(priced.model, priced.hold, left, enough, _told(priced.rule), priced.bounds)


async def _priced(ctx: Context, caller: Caller, command: Quote) -> Priced:
    asked = command.command
    if isinstance(asked, Respond):
        asked, _ = await responses.whole(ctx, caller, asked)
        asked = asked.call
    if isinstance(asked, Call):
        return pricing.quoted(ctx, caller, asked)
    return await intake.quoted(ctx, caller, asked)


def _told(rule: Rule) -> dict[str, Any]:
    """`channels`: the prices of channels that have their own, as lists of lines. Callers are not told their names."""
    seen = rule.folded
    own = {"channels": [_lines(each) for each in seen.channels.values()]} if seen.channels else {}
    return {"version": rule.version, "source": rule.source, "lines": _lines(seen)} | own


def _lines(rule: Rule) -> list[dict[str, Any]]:
    return [{"per": 1} | msgspec.to_builtins(line) for line in rule.lines]


# ── codes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def redeem(ctx: Context, caller: Caller, command: Redeem) -> Redeemed:
    amount = await ctx.of(Codes).redeem(caller, command.code)
    return Redeemed(amount, await balance(ctx, caller.account, caller.mode))
