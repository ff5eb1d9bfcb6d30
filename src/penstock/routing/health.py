"""How channels are doing: who cools down after a refusal, and how many places each has left."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.canonical.plan import Channel
from penstock.context import Context
from penstock.errors import ChannelRejected, Crowded, PenstockError, UpstreamBusy, UpstreamUnreachable

COOL_DOWN_S: dict[type[PenstockError], float] = {ChannelRejected: 60.0, UpstreamBusy: 2.0, UpstreamUnreachable: 5.0}
"""How long a channel rests after a first such refusal; doubled for each in a row, up to the longest."""
LONGEST_S = 300.0
MOST_IN_A_ROW = 16


class Health:
    """In memory: a restart gives every channel a fresh chance, and the places are counted anew."""

    def __init__(self, ctx: Context) -> None:
        self._until: dict[str, float] = {}
        self._in_a_row: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._queued: dict[str, dict[str, None]] = {}  # tasks in line, first come first
        self.wakes: Callable[[str], None] = lambda task: None
        """Told of a task whose turn has come."""

    def failed(self, channel: Channel, error: PenstockError) -> None:
        base = next((seconds for kind, seconds in COOL_DOWN_S.items() if isinstance(error, kind)), None)
        if base is None:
            return
        if isinstance(error, Crowded):
            return
        row = self._in_a_row.get(channel.id, 0)
        if not self.cooling_s(channel):  # what fails while it rests began before
            row = self._in_a_row[channel.id] = min(row + 1, MOST_IN_A_ROW)
        rest = error.retry_after_s or min(base * 2 ** max(0, row - 1), LONGEST_S)
        self._until[channel.id] = max(self._until.get(channel.id, 0.0), time.monotonic() + rest)

    def worked(self, channel: Channel) -> None:
        self._in_a_row.pop(channel.id, None)
        self._until.pop(channel.id, None)

    def cooling_s(self, channel: Channel) -> float:
        """How much longer this channel rests; 0 if it does not."""
        return max(0.0, self._until.get(channel.id, 0.0) - time.monotonic())

    def has_place(self, channel: Channel) -> bool:
        return channel.concurrency is None or self._taken.get(channel.id, 0) < channel.concurrency

    def take(self, channel: Channel, task: str = "") -> None:
        """A place for a task, or for a call."""
        self._taken[channel.id] = self._taken.get(channel.id, 0) + 1
        self.leave(task)

    def wait(self, channel: Channel, task: str) -> None:
        """Line up for a place."""
        self._queued.setdefault(channel.id, {})[task] = None

    def leave(self, task: str) -> None:
        """This task waits no longer, wherever it stood."""
        for line in self._queued.values():
            line.pop(task, None)

    def free(self, channel: str) -> None:
        """Give a place back, and wake whoever is next in line for it."""
        self._taken[channel] = max(0, self._taken.get(channel, 0) - 1)
        line = self._queued.get(channel)
        if line:
            task = next(iter(line))
            del line[task]
            self.wakes(task)
