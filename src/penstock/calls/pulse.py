"""Once a second, a look at every open stream: for those that are silent too long. Costs nothing per chunk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from penstock.context import Context

TICK_S = 1.0


class Pulse:
    """Who watches is called with the time (`time.monotonic`) at every tick."""

    def __init__(self, ctx: Context) -> None:
        self._watching: dict[Callable[[float], None], None] = {}
        self._beating: asyncio.TimerHandle | None = None

    def watch(self, look: Callable[[float], None]) -> None:
        self._watching[look] = None
        if self._beating is None:
            self._beating = asyncio.get_running_loop().call_later(TICK_S, self._beat)

    def leave(self, look: Callable[[float], None]) -> None:
        self._watching.pop(look, None)

    def _beat(self) -> None:
        at = time.monotonic()
        for look in list(self._watching):
            look(at)
        loop = asyncio.get_running_loop()
        self._beating = loop.call_later(TICK_S, self._beat) if self._watching else None


class Patience:
    """Cancels the task that waits within it when nothing came for so long, and tells that it was so (`spent`)."""

    __slots__ = ("_pulse", "_task", "heard_at", "patience_s", "spent")

    def __init__(self, pulse: Pulse, patience_s: float) -> None:
        self._pulse = pulse
        self.patience_s = patience_s
        self.spent = False
        self._task: asyncio.Task[object] | None = None
        self.waits()

    def rests(self) -> None:
        """Somebody else's turn: a slow reader is no silence of the vendor's."""
        self._task = None

    def waits(self) -> None:
        """From now on this task waits."""
        self._task = asyncio.current_task()
        self.heard_at = time.monotonic()

    def __enter__(self) -> Self:
        self._pulse.watch(self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pulse.leave(self._look)

    def _look(self, at: float) -> None:
        if self._task is not None and at - self.heard_at > self.patience_s and not self.spent:
            self.spent = True
            self._task.cancel()
