"""How much at once: requests a minute and unfinished tasks, per key. Exact on one node."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import LimitReached


class Limits:
    """Counters in memory; the unfinished tasks are counted anew from the store at start."""

    def __init__(self, ctx: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._ctx = ctx
        self._clock = clock
        self._free_at: dict[str, float] = {}
        self._unfinished: dict[str, int] = {}

    def admit(self, caller: Caller) -> None:
        """Count a request. Raises LimitReached with the time until one more fits.

        The rate is a cell that drains evenly: a minute's worth may come in one burst, the next ones at their pace.
        """
        if caller.rpm is None:
            return
        each, at = 60.0 / caller.rpm, self._clock()
        free_at = max(self._free_at.get(caller.key, 0.0), at - 60.0 + each)
        if free_at > at:
            wait = free_at - at
            raise LimitReached(f"Request was throttled. Your rate limit resets in ~{wait:.0f}s.", retry_after_s=wait)
        self._free_at[caller.key] = free_at + each

    def begin(self, caller: Caller) -> None:
        """Count a task that starts. Raises LimitReached at the key's concurrency."""
        running = self._unfinished.get(caller.key, 0)
        if caller.concurrency is not None and running >= caller.concurrency:
            words = f"This key has {running} pieces of work under way, as many as it may. Wait for one to end."
            raise LimitReached(words, retry_after_s=1.0)
        self._unfinished[caller.key] = running + 1

    def end(self, key: str) -> None:
        left = self._unfinished.get(key, 0) - 1
        if left > 0:
            self._unfinished[key] = left
        else:
            self._unfinished.pop(key, None)

    def resume(self, key: str) -> None:
        """Count a task that was unfinished when this process began."""
        self._unfinished[key] = self._unfinished.get(key, 0) + 1
