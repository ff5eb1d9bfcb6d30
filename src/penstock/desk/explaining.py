"""Why a piece of work cost what it cost: from its rule and units as they are kept, reckoned once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.calls.journal import Journal
from penstock.canonical.results import Explained, Refund
from penstock.canonical.task import Task
from penstock.canonical.usage import Unit
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import NotFound
from penstock.ledger import Rule
from penstock.store import accounts, calls, statements, tasks
from penstock.store.connection import Row
from penstock.tasks.watcher import CALL

FREE = Rule((), version="free")
BACKGROUND = "resp_"
"""Responses that were made in the background are called by their task's id and this before it."""
NUMBERS = 2**63


async def own(ctx: Context, caller: Caller, name: str) -> Explained:
    """In the caller's own prices: the group's multiplier is in each line."""
    return await explain(ctx, name, caller.account, caller.mode)


async def explain(ctx: Context, id: str, account: str = "", mode: str = "") -> Explained:
    """By the id of a task or of a request, or the number of a call's charge; with an account, only what is its own.
    Raises NotFound."""
    task = await _task(ctx, id.removeprefix(BACKGROUND), account, mode)
    if task is not None:
        return await _of_task(ctx, task, folded=bool(account))
    await ctx.of(Journal).flush()
    number = int(id) if id.isascii() and id.isdigit() and len(id) < 20 and int(id) < NUMBERS else -1
    logged = await statements.calls_of(ctx.store, number, id, account, mode)
    log = dict(zip(calls.COLUMNS, logged[-1], strict=True)) if logged else {}
    charge = await statements.charge(ctx.store, log.get("id", number), account, mode)
    if charge is not None:
        return await _of_call(ctx, charge, log, folded=bool(account))
    if log:
        return _of_nothing(log)
    raise NotFound()


async def _task(ctx: Context, id: str, account: str, mode: str) -> Task | None:
    if account:
        return await tasks.own(ctx.store, id, account, mode)
    return await tasks.get(ctx.store, id)


async def _of_task(ctx: Context, task: Task, *, folded: bool) -> Explained:
    """A task keeps the rules of all channels that it could have gone to; its settle says which one counted."""
    entries = await accounts.entries_of_work(ctx.store, task.id)
    settles = [(row[6], row[7]) for row in entries if row[3] == "settle"]
    detail, uncovered = (msgspec.json.decode(settles[0][0]), settles[0][1]) if settles else ({}, 0)
    price = msgspec.json.decode(task.price, type=Rule)
    rule = next((each for each in price.every() if each.version == detail.get("rule")), price)
    runs = task.version == CALL and bool(settles)
    return Explained(
        id=task.id,
        work="task",
        request=None,
        model=task.model,
        at=task.created_at,
        key=task.key,
        held=task.hold,
        uncovered=uncovered,
        charge=task.charge,
        estimated=bool(detail.get("estimated")),
        refunds=_refunds(entries),
        **_arithmetic(rule.folded if folded else rule, _units(detail), uncovered, runs=runs),
    )


async def _of_call(ctx: Context, row: Row, log: Mapping[str, Any], *, folded: bool) -> Explained:
    number, _, _, key, model, _, units, amount, uncovered, estimated, at, text = row
    rule = msgspec.json.decode(text, type=Rule)
    return Explained(
        id=str(number),
        work="call",
        request=log.get("request"),
        model=model,
        at=at,
        key=key,
        held=None,
        uncovered=uncovered,
        charge=amount,
        estimated=bool(estimated),
        refunds=_refunds(await accounts.entries_of_work(ctx.store, statements.work_of(number))),
        **_arithmetic(rule.folded if folded else rule, msgspec.json.decode(units), uncovered, runs=True),
    )


def _of_nothing(log: Mapping[str, Any]) -> Explained:
    """A call that came to nothing, or was free: the books do not know it."""
    return Explained(
        id=str(log["id"]),
        work="call",
        request=log["request"],
        model=log["model"],
        at=log["at"],
        key=log["key"],
        held=None,
        uncovered=0,
        charge=0,
        estimated=bool(log["estimated"]),
        refunds=(),
        **_arithmetic(FREE, msgspec.json.decode(log["units"]), 0, runs=False),
    )


def _units(detail: Mapping[str, Any]) -> dict[str, float]:
    """What a settle was reckoned from; those of before units were kept have them in their lines."""
    lines = {line["unit"]: line["amount"] for line in detail.get("lines", ())}
    return dict(detail.get("units", lines))


def _arithmetic(rule: Rule, said: Mapping[str, float], uncovered: int, *, runs: bool) -> dict[str, Any]:
    """`runs`: calls do not count themselves, and are charged for one run where the rule has a price for that."""
    counted = {Unit(unit): amount for unit, amount in said.items()}
    one = {Unit.RUN: 1} if runs and any(line.unit == Unit.RUN for line in rule.lines) else {}
    told = rule.explained(one | counted)
    return {
        "rule": rule.version,
        "source": rule.source,
        "units": told["units"],
        "lines": tuple(told["lines"]),
        "multiplier": float(told.get("multiplier", 1)),
        "total": told["total"],
        "recomputed": told["total"] - uncovered,
    }


def _refunds(entries: list[Row]) -> tuple[Refund, ...]:
    refunds = [(row[8], row[5], msgspec.json.decode(row[6])) for row in entries if row[3] == "refund"]
    return tuple(Refund(at, amount, str(detail.get("reason", ""))) for at, amount, detail in refunds)
