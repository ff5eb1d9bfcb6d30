"""The one transaction that ends a task: state, books, event, webhook, alarm; and the cancels that lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.access import Limits
from penstock.canonical.task import AT_VENDOR, MOVES, Report, State, Task
from penstock.canonical.usage import Unit
from penstock.canonical.who import Caller
from penstock.clock import now
from penstock.context import Context
from penstock.errors import NotFound, Stale
from penstock.ledger import Charge, Quotas, Rule, release, settle
from penstock.ledger.quotas import day_of
from penstock.routing import Channels, Health
from penstock.store import Step, tasks
from penstock.tasks import events, webhooks
from penstock.tasks.watcher import CALL, Watches

replace = msgspec.structs.replace


async def end(
    ctx: Context,
    task: Task,
    state: State,
    report: Report | None = None,
    *,
    error: str | None = None,
    code: str = "",
    charge: Charge | None = None,
    said: Sequence[tuple[str, Any]] = (),
    also: Sequence[Step] = (),
) -> Task:
    """End the task. Raises Stale where another worker was first; then nothing of it happened.

    `charge` is one that was reckoned elsewhere, `said` events that come before the last ones, `also` is written too.
    """
    assert state in MOVES[task.state], f"{task.state} does not end as {state}"
    charge = charge or _charge(ctx, task, state, report)
    at = now()
    completed = task.completed_at or (report and report.completed_at) or at
    ended = replace(
        task,
        state=state,
        moved_at=at,
        completed_at=completed,
        started_at=task.started_at or (completed if state is State.SUCCEEDED else None),
        charge=charge.micros if charge else 0,
        error=(error or (report and report.reason) or "failed") if state is State.FAILED else None,
        error_code=(code or (report and report.code) or "failed") if state is State.FAILED else None,
        metrics=_metrics(task, report, completed),
        report=None,
    )
    first_word = task.completed_at is None  # a cancel that the vendor can't do was told already
    ended, told = _told(ctx, ended, said) if first_word else (ended, ())
    money = settle(task, charge) if charge else release(task)
    ctx.faults.reach("end.before")
    quiet, left = ctx.of(Watches).alarm.cancel(task.id), Step(None, {}, after=lambda: _leave(ctx, task, ended))
    await ctx.store.write(tasks.move(task, ended), *money, *told, *also, quiet, left, events.news(ctx, task.id))
    ctx.faults.reach("end.committed")
    return ended


async def cancel(ctx: Context, caller: Caller, name: str) -> Task:
    """The caller's cancel: at once where the vendor has not begun, else as the vendor can. Ended tasks stay as they
    are."""
    for _ in range(20):
        task = await tasks.own(ctx.store, name, caller.account, caller.mode)
        if task is None:
            raise NotFound()
        if task.ended or task.canceled_at is not None:
            return task
        try:
            return await begin_cancel(ctx, task)
        except Stale:
            continue
    raise Stale("the task changes too quickly to cancel it; try again")


async def begin_cancel(ctx: Context, task: Task) -> Task:
    """Move a task towards its cancellation. Where its fate is open, the wish is noted, and the worker sees to it."""
    at = now()
    if task.state is State.QUEUED and task.version != CALL:
        return await end(ctx, replace(task, canceled_at=at), State.CANCELED)
    state = State.CANCELING if task.state is State.RUNNING else task.state
    moved = replace(task, state=state, canceled_at=at, moved_at=at, due_at=at)
    moved, told = events.append(moved, ("note", "cancel asked"))
    if state is State.CANCELING and not ctx.of(Watches).cancellable(task):
        moved, told = _told(
            ctx, replace(moved, completed_at=at)
        )  # the caller sees it canceled; we watch on, and settle
    alarm = ctx.of(Watches).alarm
    await ctx.store.write(tasks.move(task, moved), *told, alarm.wake(task.id, at), events.news(ctx, task.id))
    ctx.of(Watches).changed(task.id)
    return moved


def _told(ctx: Context, ended: Task, said: Sequence[tuple[str, Any]] = ()) -> tuple[Task, tuple[Step, ...]]:
    """The last events, and the last webhook."""
    shown = ended.shown
    if shown is State.FAILED:
        last: list[tuple[str, Any]] = [("error", {"detail": ended.error}), ("done", {"reason": "error"})]
    else:
        last = [("done", {"reason": "canceled"} if shown is State.CANCELED else {})]
    ended, appended = events.append(ended, *said, *last)
    return ended, (*appended, *webhooks.post(ctx, ended, "completed"))


def _charge(ctx: Context, task: Task, state: State, report: Report | None) -> Charge | None:
    """None: nothing to charge, so the hold is released. A canceled task costs what its vendor says that it used."""
    if report is None or state is State.FAILED:
        return None
    usage = dict(report.usage)
    if state is State.SUCCEEDED:
        usage = _measured(task, report) | usage
    rule = msgspec.json.decode(task.price, type=Rule)
    channel = ctx.of(Channels).get(task.channel or "")
    return rule.on(channel.name if channel else "").charge(usage, task.hold)


def _measured(task: Task, report: Report) -> dict[Unit, float]:
    """What we can count ourselves, for vendors that do not report it."""
    output = report.output
    outputs = len(output) if isinstance(output, list) and not report.text else 0 if output is None else 1
    run_s = report.metrics.get("predict_time")
    if not isinstance(run_s, int | float):
        run_s = (now() - (task.started_at or task.submitted_at or now())) / 1e9
    return {Unit.RUN: 1, Unit.OUTPUT: outputs, Unit.SECOND: run_s}


def _metrics(task: Task, report: Report | None, completed: int) -> str:
    known = msgspec.json.decode(task.metrics) | (report.metrics if report else {})
    began = task.started_at
    if began is not None:
        known.setdefault("predict_time", round((completed - began) / 1e9, 9))
    known["total_time"] = round((completed - task.created_at) / 1e9, 9)
    return msgspec.json.encode(known).decode()


def _leave(ctx: Context, task: Task, ended: Task) -> None:
    """Free what the task took up in memory, once its end is on disk, whoever waited for that and has left."""
    ctx.of(Limits).end(task.key)
    ctx.of(Quotas).settle(task.key, day_of(task.created_at), task.hold, ended.charge or 0)
    ctx.metrics.ended.labels(ended.state).inc()
    ctx.metrics.unfinished.dec()
    watches = ctx.of(Watches)
    watches.answer(task.id)
    watches.changed(task.id)
    if task.state in AT_VENDOR and task.channel:
        ctx.of(Health).free(task.channel)
    else:
        ctx.of(Health).leave(task.id)
