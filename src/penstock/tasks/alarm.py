"""When to look again: the port, and the adapter that is a heap in memory.

Whoever changes a task puts `wake` or `cancel` among the steps of that very write, so a task and its alarm can't part.
`run` calls `advance` for each task that is due, one call at a time for each, many tasks at once; an `advance` that is
not done raises `Retry`. Every adapter passes the same contract suite.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from typing import Protocol

from penstock.canonical.task import TaskId
from penstock.clock import Nanos, after, now
from penstock.log import logger
from penstock.store import Step

Advance = Callable[[TaskId], Awaitable[None]]
AFTER_A_BUG_S = 5.0
TICK_S = 0.01
"""What falls due within one tick begins together: a thousand wake-ups a second cost more than what they wake."""


class Retry(Exception):
    """Look at this task again in so many seconds."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(delay_s)
        self.delay_s = delay_s


class Alarm(Protocol):
    def wake(self, task: TaskId, at: Nanos) -> Step:
        """Look at the task then, or before if that was planned already."""

    def cancel(self, task: TaskId) -> Step:
        """Nothing more to do for this task."""

    def arm(self, task: TaskId, at: Nanos) -> None:
        """`wake` as a hint, outside of any write; what is lost of it, recovery makes good."""

    def knows(self, task: TaskId) -> bool:
        """Whether the task will be looked at, or is just now."""

    async def run(self, advance: Advance) -> None:
        """Until `stop`."""

    async def stop(self, patience_s: float) -> None:
        """Begin nothing new; let what runs finish for so long, then cut it off."""


class HeapAlarm:
    """Alarms of one process. They are gone with it: recovery arms every unfinished task anew."""

    def __init__(self, at_once: int = 512, lag: Callable[[float], None] = lambda _: None) -> None:
        self._at_once = at_once
        self._lag = lag
        self._heap: list[tuple[Nanos, int, TaskId]] = []
        self._due: dict[TaskId, Nanos] = {}  # the one entry of the heap that counts
        self._running: dict[TaskId, asyncio.Task[None]] = {}
        self._again: dict[TaskId, Nanos] = {}  # woken while running
        self._count = itertools.count()
        self._kick = asyncio.Event()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._due) + len(self._running)

    def wake(self, task: TaskId, at: Nanos) -> Step:
        return Step(None, {}, after=lambda: self.arm(task, at))

    def cancel(self, task: TaskId) -> Step:
        return Step(None, {}, after=lambda: self._drop(task))

    def arm(self, task: TaskId, at: Nanos) -> None:
        if task in self._running:
            self._again[task] = min(at, self._again.get(task, at))
            return
        planned = self._due.get(task)
        if planned is not None and planned <= at:
            return
        self._due[task] = at
        heapq.heappush(self._heap, (at, next(self._count), task))
        if self._heap[0][2] == task:
            self._kick.set()

    async def run(self, advance: Advance) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            self._kick.clear()
            wait_s = self._begin_what_is_due(advance)
            timer = None if wait_s is None else loop.call_later(max(wait_s, TICK_S), self._kick.set)
            await self._kick.wait()
            if timer is not None:
                timer.cancel()

    async def stop(self, patience_s: float) -> None:
        self._stopping = True
        self._kick.set()
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)

    def _begin_what_is_due(self, advance: Advance) -> float | None:
        """Begin it, as far as there is room. How long until something else is due; None: until kicked."""
        at, create_task = now(), asyncio.get_running_loop().create_task
        while self._heap and len(self._running) < self._at_once:
            due, _, task = self._heap[0]
            if due > at:
                return (due - at) / 1e9
            heapq.heappop(self._heap)
            if self._due.get(task) != due:
                continue  # replaced by an earlier one, or cancelled
            del self._due[task]
            self._lag((at - due) / 1e9)
            self._running[task] = create_task(self._advance(advance, task))
        return None

    async def _advance(self, advance: Advance, task: TaskId) -> None:
        again: Nanos | None = None
        try:
            await advance(task)
        except Retry as retry:
            again = after(retry.delay_s)
        except Exception:  # noqa: BLE001  a bug in one step must not stop the others
            logger("alarm").exception("step failed", task=task)
            again = after(AFTER_A_BUG_S)
        finally:
            full = len(self._running) >= self._at_once
            self._running.pop(task, None)
            woken = self._again.pop(task, None)
            nearest = min((at for at in (again, woken) if at is not None), default=None)
            if nearest is not None and not self._stopping:
                self.arm(task, nearest)
            if full:
                self._kick.set()

    def knows(self, task: TaskId) -> bool:
        return task in self._due or task in self._running

    def _drop(self, task: TaskId) -> None:
        self._due.pop(task, None)
        self._again.pop(task, None)
