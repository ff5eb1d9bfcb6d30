"""How much at once, per key: requests and tokens a minute, and unfinished work. Exact on one node."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import LimitReached

MINUTE_S = 60.0
EMPTY = (0.0, 0.0, 1.0)

Cells = dict[str, tuple[float, float, float]]
"""By key: the level, at which moment it was so high, and the most that it holds. It drains evenly, its most in a
minute: so much may come in one burst, what follows at its pace."""


class Limits:
    """Counters in memory; the unfinished tasks are counted anew from the store at start."""

    def __init__(self, ctx: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._ctx = ctx
        self._clock = clock
        self._requests: Cells = {}
        self._tokens: Cells = {}
        self._unfinished: dict[str, int] = {}

    def admit(self, caller: Caller) -> None:
        """Count a request. Raises LimitReached with the time until one more fits."""
        if caller.rpm is not None:
            wait_s = self._fill(self._requests, caller.key, 1, caller.rpm)
            if wait_s:
                words = f"Request was throttled. Your rate limit resets in ~{wait_s:.0f}s."
                raise LimitReached(words, retry_after_s=wait_s)

    def reserve(self, caller: Caller, tokens: int) -> None:
        """Count what a call may take, until `correct` says what it did; more than the limit counts as much as that.
        Raises LimitReached with the time until it fits."""
        if caller.tpm is not None:
            wait_s = self._fill(self._tokens, caller.key, min(tokens, caller.tpm), caller.tpm)
            if wait_s:
                words = f"This key may use {caller.tpm:,} tokens a minute. Its limit resets in ~{wait_s:.0f}s."
                raise LimitReached(words, retry_after_s=wait_s)

    def correct(self, key: str, reserved: int, used: int) -> None:
        """What was reserved came to this: less is given back, more is waited for by those that follow."""
        cell = self._tokens.get(key)
        if cell is not None:
            at, most = self._clock(), cell[2]
            self._tokens[key] = max(0.0, _level(cell, at) + used - min(reserved, most)), at, most

    def _fill(self, cells: Cells, key: str, amount: float, most: float) -> float:
        """0 where it was counted, else how long to wait: then nothing was."""
        at, cell = self._clock(), cells.get(key, EMPTY)
        level = _level(cell, at)
        if cell[2] != most:  # the key's limit was changed, or it has none yet
            level = min(level, most)
            cells[key] = level, at, most
        over = level + amount - most
        if over > 0:
            return over * MINUTE_S / most
        cells[key] = level + amount, at, most
        return 0.0

    def begin(self, caller: Caller) -> None:
        """Count a piece of work that starts. Raises LimitReached at the key's concurrency."""
        running = self._unfinished.get(caller.key, 0)
        if caller.concurrency is not None and running >= caller.concurrency:
            pieces = "1 piece" if running == 1 else f"{running} pieces"
            words = f"This key has {pieces} of work under way, as many as it may. Wait for one to end."
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


def _level(cell: tuple[float, float, float], at: float) -> float:
    """What is left of it at this moment."""
    level, since, most = cell
    left = level - (at - since) * most / MINUTE_S
    return left if left > 0 else 0.0
