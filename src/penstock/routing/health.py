"""How channels are doing: who rests after a failure, how fast each is, and what each has left of places and rate.

A failure that is the account's or the server's (a refused credential, no connection) rests the channel; one that is the
model's there (busy, for most vendors count by model; unknown; or failing several times in a row) rests that deployment
alone. After its rest it is half
open: one piece of work may try it, and ends the rest or begins a longer one. Others go elsewhere meanwhile.

A call that failed at one channel goes on to the next that is well, and nothing is counted: that is what the next is
there for. To ask one that is *not* well, after another has failed, is a retry that a sick upstream would feel. Each
channel takes ten of those a minute, and one for every five first attempts; beyond that the caller gets the failure at
once. Tasks need no such budget: they wait for the rest to end, and then go one by one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from penstock.canonical.plan import Channel, Deployment
from penstock.context import Context
from penstock.errors import (
    ChannelRejected,
    Crowded,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamUnreachable,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a failure of this kind rests whom, at first; doubled for each in a row, up to the longest. `after`: how
    many in a row, within a minute, it takes."""

    kind: type[PenstockError]
    first_s: float
    whole: bool = False
    """The channel, not only this model there."""
    after: int = 1
    sick: bool = False
    """The server's own trouble, of which a probe can tell that it is over."""


RULES = (
    Rule(ChannelRejected, 60.0, whole=True),
    Rule(UpstreamBusy, 2.0),
    Rule(UpstreamUnreachable, 5.0, whole=True, sick=True),
    Rule(UpstreamForgot, 60.0),
    Rule(UpstreamError, 5.0, after=3, sick=True),  # 5xx, garbage, broken off, timed out
)
LONGEST_S = 300.0
LONGEST_SAID_S = 3600.0
"""What a vendor says itself (Retry-After) counts up to this."""
IN_A_ROW_S = 60.0
MOST_IN_A_ROW = 16
MOST_TROUBLES = 1000
"""Remembered, beyond those of the last minute."""
TRIAL_S = 30.0
"""A trial that nobody hears of again blocks the next one for so long."""
SPARED, SHARE, MOST_SPARED = 10.0, 0.2, 50.0
"""Retries at a channel that is not well: so many a minute, so many for each first attempt, and the most at once."""
NEWER = 0.2
"""What the last answer weighs in the average of how long they take."""


@dataclass(slots=True)
class Trouble:
    """Of a channel or a deployment that failed lately, and has not worked since."""

    in_a_row: int = 0
    rests: int = 0
    began: float = 0.0  # of the row
    rested_at: float = 0.0
    until: float = 0.0
    tried_at: float | None = None  # a trial is under way
    why: str = ""
    said: bool = False  # by the vendor
    sick: bool = False

    def counts(self, at: float) -> int:
        """Failures in a row within a minute, with the one now."""
        if at - self.began > IN_A_ROW_S:
            self.in_a_row, self.began = 0, at
        self.in_a_row += 1
        return self.in_a_row

    def rest(self, rule: Rule, error: PenstockError, at: float) -> None:
        """As long as the vendor says, else longer each time."""
        self.rests = min(self.rests + 1, MOST_IN_A_ROW)
        self.said = bool(error.retry_after_s)
        rest_s = _said_s(error) or min(rule.first_s * 2.0 ** (self.rests - 1), LONGEST_S)
        self.rested_at, self.until = at, at + rest_s
        self.why, self.sick = error.code, rule.sick

    @property
    def left_s(self) -> float:
        return max(0.0, self.until - time.monotonic())

    @property
    def state(self) -> str:
        return "resting" if self.left_s else "half-open"

    @property
    def closed(self) -> bool:
        """It rests, or is being tried."""
        at = time.monotonic()
        return self.until > at or (self.tried_at is not None and at - self.tried_at < TRIAL_S)


@dataclass(slots=True)
class Budget:
    left: float = SPARED
    at: float = 0.0
    firsts: int = 0


class Health:
    """In memory: a restart gives every channel a fresh chance, and the places are counted anew. Keys are channels' ids
    and deployments' keys; a deployment's begins with its channel's id and a slash."""

    def __init__(self, ctx: Context) -> None:
        self._troubles: dict[str, Trouble] = {}
        self._budgets: dict[str, Budget] = {}
        self._first_s: dict[tuple[str, str], float] = {}
        self._taken: dict[str, int] = {}
        self._free_at: dict[str, float] = {}
        self._queued: dict[str, dict[str, None]] = {}  # tasks in line, first come first
        self._paced: set[str] = set()  # lines for a rate: only who is first in one looks at the clock
        self.wakes: Callable[[str], None] = lambda task: None
        """Told of a task whose turn has come."""

    # what comes of work

    def failed(self, deployment: Deployment, error: PenstockError) -> None:
        channel = deployment.channel
        if channel.provider == "sandbox" or isinstance(error, Crowded):  # neither is any vendor's
            return
        rule = next((rule for rule in RULES if isinstance(error, rule.kind)), None)
        if rule is None:  # the caller's mistake, of which the next one may still try it
            for trouble in self._of(deployment):
                trouble.tried_at = None
                self._wake_all(channel)
            return
        at, key = time.monotonic(), channel.id if rule.whole else deployment.key
        if key not in self._troubles:
            self._make_room(at)
        own = self._troubles.setdefault(key, Trouble())
        for trouble in self._of(deployment):
            trouble.tried_at = None
            if trouble.until > at:  # what fails while it rests began before, or was a last hope
                if trouble is own and (said_s := _said_s(error)):
                    trouble.until, trouble.said = max(trouble.until, at + said_s), True
            elif trouble.rests:
                if trouble is own or rule.sick or rule.whole:  # who does not know a model is well otherwise
                    trouble.rest(rule, error, at)
            elif trouble is own and trouble.counts(at) >= rule.after:
                trouble.rest(rule, error, at)

    def _make_room(self, at: float) -> None:
        """Forget what is long over: callers may ask for any name, and a vendor knows none of them."""
        if len(self._troubles) >= MOST_TROUBLES:
            recent = at - IN_A_ROW_S
            self._troubles = {key: it for key, it in self._troubles.items() if max(it.until, it.began) > recent}

    def worked(self, deployment: Deployment, began: float | None = None, *, so_far: bool = False) -> None:
        """It answered. `began`: when it was asked, by `time.monotonic`; what was asked before a rest began says nothing
        of it. `so_far`: only the first byte is here, which ends a rest, but not a row of answers that broke off."""
        if began is not None:
            where = (deployment.channel.id, deployment.upstream_model)
            took_s = time.monotonic() - began
            old_s = self._first_s.get(where, took_s)
            self._first_s[where] = old_s + NEWER * (took_s - old_s)
        if self._troubles:
            for key in (deployment.channel.id, deployment.key):
                trouble = self._troubles.get(key)
                if trouble is None or (so_far and not trouble.rests):
                    continue
                if trouble.rested_at <= (began or math.inf):
                    del self._troubles[key]
                    self._wake_all(deployment.channel)

    def ended_well(self, deployment: Deployment) -> None:
        """A stream came to its end, which says nothing of a rest that began meanwhile."""
        trouble = self._troubles.get(deployment.key) if self._troubles else None
        if trouble is not None and not trouble.rests:
            del self._troubles[deployment.key]

    def mended(self, channel: Channel, *, sick: bool = False) -> None:
        """Whatever it was, it is over: the channel was changed, or has answered a question. `sick`: only what was the
        server's own trouble."""
        for key in self._keys(channel):
            if self._troubles[key].sick or not sick:
                del self._troubles[key]
        self._wake_all(channel)

    def sick(self, channel: Channel) -> bool:
        """Something of it rests, or is half open, because its server failed."""
        return any(self._troubles[key].sick for key in self._keys(channel))

    def _keys(self, channel: Channel) -> list[str]:
        begins = f"{channel.id}/"
        return [key for key in self._troubles if key == channel.id or key.startswith(begins)]

    def first_s(self, deployment: Deployment) -> float | None:
        """How long an answer of this model takes to begin there, on average; None where it was never asked."""
        return self._first_s.get((deployment.channel.id, deployment.upstream_model))

    # who may be asked

    def ready(self, deployment: Deployment) -> bool:
        """It is well; or half open, and nobody tries it yet."""
        return not self._troubles or not any(trouble.closed for trouble in self._of(deployment))

    def cooling_s(self, deployment: Deployment) -> float:
        """How much longer it rests; 0 if it does not."""
        return max([0.0, *(trouble.left_s for trouble in self._of(deployment))])

    def wait_s(self, deployment: Deployment, *, again: bool = False) -> float | None:
        """None where a call may go there now, else how long until that may be worth another try. A call may also ask
        one that rests, as its last hope, unless the vendor has said how long. `again`: another was asked before."""
        channel = deployment.channel
        if not self.has_place(channel):
            return 1.0
        if wait_s := self.rate_s(channel):
            return wait_s
        if not self._troubles:
            return None
        troubles = self._of(deployment)
        if said_s := max([0.0, *(trouble.left_s for trouble in troubles if trouble.said)]):
            return said_s
        if again and any(trouble.rests for trouble in troubles) and not self._spare(channel):
            return max(1.0, self.cooling_s(deployment))
        return None

    def begins(self, deployment: Deployment, *, again: bool = False) -> None:
        """It is asked now: that counts towards its rate, and is the trial of one that is half open."""
        channel = deployment.channel
        if self._budgets and not again and channel.id in self._budgets:
            self._budgets[channel.id].firsts += 1
        if channel.rpm is not None:
            each, at = 60.0 / channel.rpm, time.monotonic()
            self._free_at[channel.id] = max(self._free_at.get(channel.id, 0.0), at - 60.0 + each) + each
        if self._troubles:
            for trouble in self._of(deployment):
                if trouble.rests:
                    trouble.tried_at = time.monotonic()

    def _spare(self, channel: Channel) -> bool:
        """Spend a retry, if there is one left."""
        at = time.monotonic()
        budget = self._budgets.setdefault(channel.id, Budget(at=at))
        earned = SHARE * budget.firsts + SPARED / 60 * (at - budget.at)
        budget.left, budget.at, budget.firsts = min(budget.left + earned, MOST_SPARED), at, 0
        if budget.left < 1:
            return False
        budget.left -= 1
        return True

    def _of(self, deployment: Deployment) -> list[Trouble]:
        if not self._troubles:
            return []
        found = (self._troubles.get(key) for key in (deployment.channel.id, deployment.key))
        return [trouble for trouble in found if trouble is not None]

    # places and rates

    def has_place(self, channel: Channel) -> bool:
        return channel.concurrency is None or self._taken.get(channel.id, 0) < channel.concurrency

    def rate_s(self, channel: Channel) -> float:
        """How long until the channel's rate has room for one more; 0 where it has now. An even cell: a minute's worth
        may go in one burst, the next ones at their pace."""
        if channel.rpm is None:
            return 0.0
        return max(0.0, self._free_at.get(channel.id, 0.0) - time.monotonic())

    def take(self, channel: Channel, task: str = "") -> None:
        """A place for a task, or for a call."""
        self._taken[channel.id] = self._taken.get(channel.id, 0) + 1
        self.leave(task)

    def wait(self, channel: Channel, task: str) -> bool:
        """Line up for a place, or for the rate's next room. Whether nobody stands before it."""
        if channel.rpm is not None:
            self._paced.add(channel.id)
        line = self._queued.setdefault(channel.id, {})
        line[task] = None
        return next(iter(line)) == task

    def is_next(self, channel: Channel, task: str) -> bool:
        """Nobody stands before it in a line for a rate."""
        line = self._queued.get(channel.id) if channel.rpm is not None else None
        return not line or next(iter(line)) == task

    def leave(self, task: str) -> None:
        """This task waits no longer, wherever it stood; who stood behind it is to look at the clock now."""
        for channel, line in self._queued.items():
            if task in line:
                first = next(iter(line)) == task
                del line[task]
                if first and line and channel in self._paced:
                    self.wakes(next(iter(line)))

    def free(self, channel: str) -> None:
        """Give a place back, and wake whoever is next in line for it."""
        self._taken[channel] = max(0, self._taken.get(channel, 0) - 1)
        line = self._queued.get(channel)
        if line:
            task = next(iter(line))
            if channel not in self._paced:
                del line[task]
            self.wakes(task)

    def _wake_all(self, channel: Channel) -> None:
        """Everybody in line, as far as there are places; of a line for a rate the first."""
        line = self._queued.get(channel.id)
        if not line:
            return
        if channel.id in self._paced:
            return self.wakes(next(iter(line)))
        room = len(line) if channel.concurrency is None else channel.concurrency - self._taken.get(channel.id, 0)
        for task in list(line)[: max(0, room)]:
            del line[task]
            self.wakes(task)

    # what operators see

    def standing(self, channel: Channel) -> dict[str, Trouble]:
        """What of it rests or is half open: `""` is the whole channel, else the vendor's name of the model."""
        found = {key: self._troubles[key] for key in self._keys(channel)}
        return {key.partition("/")[2]: trouble for key, trouble in found.items() if trouble.rests}

    def at_work(self, channel: Channel) -> int:
        """Tasks there, and calls where their places are bounded."""
        return self._taken.get(channel.id, 0)

    def latencies(self, channel: Channel) -> dict[str, float]:
        """The average of each upstream model, in seconds."""
        return {model: first_s for (id, model), first_s in self._first_s.items() if id == channel.id}


def _said_s(error: PenstockError) -> float:
    return min(error.retry_after_s or 0.0, LONGEST_SAID_S)
