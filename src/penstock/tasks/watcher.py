"""What is being watched: when to ask next, and what vendors say by themselves."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec

from penstock.canonical.plan import Channel
from penstock.canonical.task import ENDED, Report, Task, TaskId
from penstock.catalog.loaded import catalog
from penstock.clock import now
from penstock.context import Context
from penstock.errors import Crowded, Stale, Unauthenticated
from penstock.providers._base import TaskEndpoint
from penstock.routing import Channels, Health, Providers, row_of
from penstock.store import tasks
from penstock.tasks import outputs
from penstock.tasks.alarm import Alarm, HeapAlarm

DRIFT = 0.15
NOTED_WITHIN = 50
"""Tries to write down a vendor's word; all of them take about a second."""
CALL = "call"
"""The version of tasks that run a call: see `tasks.calling`."""


class Watch(msgspec.Struct):
    """What polling a running task needs, kept small: there may be a hundred thousand."""

    id: TaskId
    ref: str
    channel: Channel
    endpoint: TaskEndpoint
    began: int
    until: int
    deadline: int | None
    usual_s: float = 0.0
    seen: int = 0  # the last report that was written down, as a number: the same again needs no look at the row
    doubted_at: float | None = None
    failures: int = 0

    def again_s(self) -> float:
        """How long until the next look, give or take: tasks that were all looked at together at a start drift apart."""
        at = now()
        next_s = self.endpoint.polls.next_s((at - self.began) / 1e9, self.usual_s)
        if self.failures:
            next_s = min(next_s * 2 ** min(self.failures, 6), 60.0)
        next_s *= 1 - DRIFT + 2 * DRIFT * random.random()  # noqa: S311  no secret
        return min(next_s, self.left_s())  # a deadline is kept to the moment

    def left_s(self) -> float:
        """How long until the task's deadline, or the end of its longest life."""
        return max(0.0, (min(self.until, self.deadline or self.until) - now()) / 1e9)

    def is_news(self, report: Report) -> bool:
        return hash(msgspec.json.encode(report)) != self.seen

    def noted(self, report: Report) -> None:
        self.seen = hash(msgspec.json.encode(report))

    def doubt_lasts(self, doubt_s: float | None = None) -> bool:
        """Whether what was doubted just now has been in doubt for long: so long, or as the endpoint says."""
        self.doubted_at = self.doubted_at or time.monotonic()
        return time.monotonic() - self.doubted_at >= (self.endpoint.doubt_s if doubt_s is None else doubt_s)


class Watches:
    """The running tasks that this process watches, and the alarm that says when."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.alarm: Alarm = HeapAlarm(ctx.settings.steps_at_once, ctx.metrics.lag.observe)
        ctx.of(Health).wakes = lambda task: self.alarm.arm(task, now())
        self._known: dict[TaskId, Watch] = {}
        self._called: set[TaskId] = set()
        self._new: dict[TaskId, Task] = {}

    def get(self, task: TaskId) -> Watch | None:
        return self._known.get(task)

    def changed(self, task: TaskId) -> None:
        """Somebody wrote to this task: what we remember of it is old."""
        self._known.pop(task, None)
        self._new.pop(task, None)

    def made(self, task: Task) -> None:
        """A task was written down just now: its first step need not read it again."""
        self._new[task.id] = task

    async def read(self, task: TaskId) -> Task | None:
        """The task as it is; one that changed since it was made is found out by its first write."""
        return self._new.pop(task, None) or await tasks.get(self._ctx.store, task)

    def call(self, task: TaskId) -> None:
        """A vendor's word was written to this task: whatever its worker is at, the next step begins with the row."""
        self._called.add(task)
        self.changed(task)

    def answer(self, task: TaskId) -> None:
        """The next step begins: if the vendor called since the last one, what we remember is old."""
        if task in self._called:
            self._called.discard(task)
            self.changed(task)

    def begin(self, task: Task) -> Watch | None:
        """Watch a running task. None where its channel is gone."""
        channel = self._ctx.of(Channels).get(task.channel or "")
        if channel is None or task.ref is None:
            return None
        began = task.submitted_at or task.created_at
        watch = self._known[task.id] = Watch(
            task.id,
            task.ref,
            channel,
            self.endpoint(channel),
            began,
            began + int(task.longest_s * 1e9),
            task.deadline,
            model.usual_s if (model := catalog(self._ctx).find(task.model)) else 0.0,
        )
        return watch

    def endpoint(self, channel: Channel) -> TaskEndpoint:
        return self._ctx.of(Providers)[channel.provider].endpoint()

    def cancellable(self, task: Task) -> bool:
        if task.version == CALL:
            return True
        channel = self._ctx.of(Channels).get(task.channel or "")
        return channel is not None and self.endpoint(channel).cancellable


def honours_keys(channel: Channel, endpoint: TaskEndpoint) -> bool:
    """Whether the same create with the same tag, sent twice, is one job there."""
    return bool(channel.options.get("idempotent", endpoint.idempotent))


def can_be_asked(channel: Channel, endpoint: TaskEndpoint) -> bool:
    return bool(channel.options.get("findable", endpoint.findable))


async def hear(ctx: Context, secret: str, task: TaskId, body: bytes) -> None:
    """A vendor's callback. Its word is on disk before it is thanked for; a worker acts on it. Raises Unauthenticated
    for a secret that is no channel's, and for a task that is not with that channel."""
    channel = ctx.of(Channels).by_secret(secret)
    found = await tasks.get(ctx.store, task) if channel else None
    if channel is None or found is None or row_of(found.channel) != channel.id:
        raise Unauthenticated()
    watches = ctx.of(Watches)
    report = watches.endpoint(channel).hear(body, task)
    if report is None or found.ended:
        return
    report = await outputs.without_data_urls(ctx, found, report)
    await note(ctx, task, report)


async def note(ctx: Context, task: TaskId, report: Report) -> None:
    """Keep a report for the worker; a terminal one is not replaced by a late earlier one.

    A vendor may say several things at once, beside a worker that writes too: who is too slow looks again. Raises
    Crowded, which vendors take for a reason to call once more.
    """
    for tries in range(NOTED_WITHIN):
        found = await tasks.get(ctx.store, task)
        if found is None or found.ended:
            return
        if found.report and msgspec.json.decode(found.report, type=Report).state in ENDED:
            return
        try:
            await ctx.store.write(
                tasks.reported(found, msgspec.json.encode(report)), ctx.of(Watches).alarm.wake(task, now())
            )
        except Stale:
            await asyncio.sleep(0.001 * tries)
            continue
        ctx.of(Watches).call(task)
        return
    raise Crowded()
