"""New work is counted, then written down. Whoever waits for that may leave at any moment: the write goes on without
them, and only if it surely came to nothing is the work uncounted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.access import Limits
from penstock.canonical.task import Task
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.ledger import Allowances, Quotas, hold
from penstock.ledger.quotas import day_of
from penstock.store import Step, tasks
from penstock.tasks.watcher import Watches


@dataclass(frozen=True, slots=True)
class Counted:
    """One piece of work more for its key: a place, its hold against the quotas, and so many tokens a minute."""

    ctx: Context
    caller: Caller
    task: Task
    tokens: int = 0

    def undo(self) -> None:
        self.ctx.of(Limits).end(self.caller.key)
        if self.tokens:
            self.ctx.of(Limits).correct(self.caller.key, self.tokens, 0)
        self.ctx.of(Quotas).settle(self.caller.key, day_of(self.task.created_at), self.task.hold, 0)
        self.ctx.of(Watches).changed(self.task.id)


def count(ctx: Context, caller: Caller, task: Task, tokens: int = 0) -> Counted:
    """Raises LimitReached or QuotaReached, and then nothing is counted."""
    limits, undo = ctx.of(Limits), list[Callable[[], Any]]()
    try:
        limits.begin(caller)
        undo.append(lambda: limits.end(caller.key))
        if tokens:
            limits.reserve(caller, tokens)
            undo.append(lambda: limits.correct(caller.key, tokens, 0))
        ctx.of(Quotas).take(caller, task.hold, day_of(task.created_at))
    except BaseException:
        for each in undo:
            each()
        raise
    return Counted(ctx, caller, task, tokens)


async def write(counted: Counted, task: Task, *also: Step) -> None:
    """Hold, row, and alarm, with the other steps, in one transaction. Raises QuotaSpent."""
    ctx, caller = counted.ctx, counted.caller
    held, alarm = hold(caller, task.id, task.hold), ctx.of(Watches).alarm.wake(task.id, task.due_at)
    steps = (*also, *held, tasks.insert(task), alarm, Step(None, {}, after=lambda: _made(ctx, caller)))
    writing = asyncio.create_task(ctx.of(Allowances).write_holding(caller, *steps))
    ctx.of(Writing).tasks.add(writing)

    def done(writing: asyncio.Task[None]) -> None:
        ctx.of(Writing).tasks.discard(writing)
        if writing.cancelled() or writing.exception() is not None:
            counted.undo()

    writing.add_done_callback(done)
    await asyncio.shield(writing)


def _made(ctx: Context, caller: Caller) -> None:
    ctx.metrics.made(caller.mode).inc()
    ctx.metrics.unfinished.inc()


class Writing:
    """What is being written, so that nobody else need hold on to it."""

    def __init__(self, ctx: Context) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
