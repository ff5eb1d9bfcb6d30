"""A task: its states, the one table of its moves, its record, and what a vendor reports of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from penstock.canonical.usage import Micros, Usage
from penstock.clock import Nanos

TaskId = str


class State(StrEnum):
    QUEUED = "queued"
    WAITING = "waiting"
    SUBMITTING = "submitting"
    UNCERTAIN = "uncertain"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.SUBMITTING, State.WAITING, State.CANCELED, State.FAILED}),
    # for the caller, as Midjourney's modal does; no hold, no alarm
    State.WAITING: frozenset({State.QUEUED, State.FAILED}),
    # back to queued: surely not accepted; another deployment, or later
    State.SUBMITTING: frozenset(
        {State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELING, State.UNCERTAIN, State.QUEUED}
    ),
    # sent, fate unknown
    State.UNCERTAIN: frozenset({State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELED}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED, State.CANCELING}),
    State.CANCELING: frozenset({State.CANCELED, State.SUCCEEDED, State.FAILED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELED: frozenset(),
}
ENDED = frozenset(state for state, moves in MOVES.items() if not moves)
AT_VENDOR = frozenset({State.SUBMITTING, State.UNCERTAIN, State.RUNNING, State.CANCELING})
"""States in which a task takes up one of its channel's places."""


class Task(msgspec.Struct, frozen=True, kw_only=False):
    """One row of the table `tasks`, its columns in their order.

    Times are nanoseconds since 1970, money micro-dollars; `input`, `files`, `output`, `metrics`, `price`, and `report`
    are JSON texts, kept as they are so that nobody decodes what is only passed on. In `output` a file of ours is
    `{"$file": id, "name": …}`.
    """

    id: TaskId
    name: str | None  # as its dialect spells ids, where it spells them otherwise
    dialect: str
    account: str
    key: str
    mode: str  # live or test
    source: str
    model: str
    version: str  # 64 hex, or "hidden"
    deployment: str | None  # owner/name of a deployment of the caller's
    input: str
    files: str | None  # {url in the input: id of our file}
    state: State
    attempt: int
    channel: str | None
    upstream_model: str | None
    ref: str | None  # what the vendor calls it
    refused_by: str  # channels that surely did not take it, comma-separated
    report: str | None  # a vendor's word that came by itself and is not yet acted on
    output: str | None
    logs: str
    metrics: str
    error: str | None
    error_code: str | None
    price: str
    hold: Micros
    charge: Micros | None
    webhook: str | None
    webhook_events: str
    created_at: int
    moved_at: int
    submitted_at: int | None
    started_at: int | None
    completed_at: int | None
    due_at: int
    deadline: int | None
    longest_s: float
    canceled_at: int | None  # the caller cancelled; shown as canceled from then on, though the vendor may work on
    data_removed: bool
    seq: int  # how many events there are
    group: str = "default"  # its caller's
    asked: str | None = None  # the alias that was asked for: others of its models may take the task

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def shown(self) -> State:
        """The state for readers: never one that is taken back. What is being submitted, or may have been, is queued; a
        task that was told as canceled stays so, whatever it comes to."""
        if self.told_as_canceled:
            return State.CANCELED
        return State.QUEUED if self.state in (State.SUBMITTING, State.UNCERTAIN) else self.state

    @property
    def told_as_canceled(self) -> bool:
        """Its caller was told at the moment of the cancel, because the vendor can't: we watch on, and settle."""
        return self.canceled_at is not None and self.canceled_at == self.completed_at


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a vendor says of a task at one moment.

    `output` is any JSON value; whole strings in it that are URLs or `data:` URLs are files, unless `text` says that
    they are words. `logs` is the whole text so far; None where the vendor has none. `doubt` says why a report of
    `running` may be wrong: one that lasts for `doubt_s`, or else `TaskEndpoint.doubt_s`, becomes a failure.
    """

    state: State
    output: Any = None
    text: bool = False
    logs: str | None = None
    metrics: dict[str, Any] = msgspec.field(default_factory=dict)
    usage: Usage = msgspec.field(default_factory=dict)
    reason: str | None = None
    code: str | None = None
    doubt: str | None = None
    doubt_s: float | None = None
    ref: str | None = None
    started_at: int | None = None
    completed_at: int | None = None

    @property
    def says_nothing(self) -> bool:
        """The vendor has it, and has not begun."""
        return self.state is State.QUEUED and self.output is None and not (self.logs or self.metrics or self.doubt)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a task, in the order of `seq`: `output`, `logs`, `error`, `done`, or `note`."""

    task: TaskId
    seq: int
    at: int
    kind: str
    data: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of ours: uploaded by a caller (`task` is None), fetched for a task, or made by one."""

    id: str
    account: str
    mode: str
    task: TaskId | None
    role: str  # upload, input, output
    name: str
    content_type: str
    size: int
    sha256: str
    md5: str
    metadata: str = "{}"
    created_at: int = 0
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some results, newest first, and the cursors of the pages before and after."""

    results: list[Any] = field(default_factory=list)
    next: str | None = None
    previous: str | None = None


def queued(*, at: Nanos, **given: Any) -> Task:
    """A task as it begins at this moment: nothing has come of it yet."""
    times: dict[str, Any] = {"created_at": at, "moved_at": at, "due_at": at}
    return Task(**_NOTHING_YET, **times, **given)


_NOTHING_YET: dict[str, Any] = {
    "state": State.QUEUED,
    "attempt": 1,
    "seq": 0,
    "data_removed": False,
    "logs": "",
    "metrics": "{}",
    "refused_by": "",
    **dict.fromkeys(("channel", "upstream_model", "ref", "files", "report", "output", "error", "error_code", "charge")),
    **dict.fromkeys(("submitted_at", "started_at", "completed_at", "canceled_at")),
}
