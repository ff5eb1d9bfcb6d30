"""What happens to a task, appended in order, and followed as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from penstock.canonical.task import Event, Task, TaskId
from penstock.clock import now
from penstock.context import Context
from penstock.store import Step, tasks

SILENCE_S = 15.0


class Bells:
    """Wakes whoever waits for news of a task."""

    def __init__(self, ctx: Context) -> None:
        self._waiting: dict[TaskId, list[asyncio.Future[None]]] = {}
        self.listeners: list[Callable[[TaskId], None]] = []

    def bell(self, task: TaskId) -> asyncio.Future[None]:
        """Done at the task's next news. Ask for it before looking, so that nothing falls between."""
        bell = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task, []).append(bell)
        return bell

    def ring(self, task: TaskId) -> None:
        for listener in self.listeners:
            listener(task)
        for bell in self._waiting.pop(task, ()):
            if not bell.done():
                bell.set_result(None)

    def ring_all(self) -> None:
        for task in list(self._waiting):
            self.ring(task)

    def leave(self, task: TaskId, bell: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(task, [])
        if bell in waiting:
            waiting.remove(bell)
        if not waiting:
            self._waiting.pop(task, None)

    async def wait(self, task: TaskId, bell: asyncio.Future[None], timeout_s: float) -> bool:
        """Whether news came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await bell
        except TimeoutError:
            return False
        finally:
            self.leave(task, bell)
        return True


def news(ctx: Context, task: TaskId) -> Step:
    """Ring, once the write that holds this step is on disk."""
    return Step(None, {}, after=lambda: ctx.of(Bells).ring(task))


def append(task: Task, *happened: tuple[str, Any]) -> tuple[Task, tuple[Step, ...]]:
    """The task with its count of events raised, and the steps that append them: (kind, text or any JSON value)."""
    if not happened:
        return task, ()
    at = now()
    made = [
        Event(
            task.id, task.seq + number, at, kind, data if isinstance(data, str) else msgspec.json.encode(data).decode()
        )
        for number, (kind, data) in enumerate(happened)
    ]
    return msgspec.structs.replace(task, seq=task.seq + len(made)), tuple(tasks.event(event) for event in made)


async def follow(ctx: Context, task: TaskId, after: int) -> AsyncIterator[Event | None]:
    """The events after this number, as they come, until `done`, or all that an ended task has left. None
    where nothing happened for a while."""
    bells = ctx.of(Bells)
    while not ctx.closing.is_set():
        bell = bells.bell(task)
        try:
            found = await tasks.events_after(ctx.store, task, after)
            for event in found:
                after = event.seq
                yield event
                if event.kind == "done":
                    return
            if found:
                continue
            current = await tasks.get(ctx.store, task)
            if current is None or (current.ended and not await tasks.events_after(ctx.store, task, after)):
                return
            if not current.ended and not await bells.wait(task, bell, SILENCE_S):
                yield None
        finally:
            bells.leave(task, bell)
