"""SQL: tasks and their events."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
from msgspec.structs import asdict
from sqlalchemy import and_, case, or_, select, text, true, update

from penstock.canonical.task import ENDED, Event, State, Task, TaskId
from penstock.store.connection import P, Row, Statement, Step, Store, compiled, inserting
from penstock.store.tables import TO_CLEAR, events, tasks

FIXED = {
    *("id", "name", "dialect", "account", "key", "mode", "source", "model", "version", "deployment", "input", "files"),
    *("price", "hold", "webhook", "webhook_events", "created_at", "deadline", "longest_s", "group", "asked"),
}
"""Columns that never change while a task lives; retention empties `input` and `files`."""
MUTABLE = [column.name for column in tasks.c if column.name not in FIXED]

_LAST_WORD = case((tasks.c.report.is_not_distinct_from(P.old_report), P.report), else_=tasks.c.report)
"""A vendor may call back at any moment: what came after the task was read stays for the next step."""

_INSERT = inserting(tasks)
_AS_READ = update(tasks).where(
    tasks.c.id == P.id, tasks.c.state == P.old_state, tasks.c.attempt == P.old_attempt, tasks.c.seq == P.old_seq
)
_MOVE = compiled(_AS_READ.values({name: getattr(P, name) for name in MUTABLE} | {"report": _LAST_WORD}))
_REPORTED = compiled(
    update(tasks)
    .where(tasks.c.id == P.id, tasks.c.state.not_in(list(ENDED)))
    .where(tasks.c.report.is_not_distinct_from(P.old_report))
    .values(report=P.report)
)
_CLEAR = compiled(
    update(tasks)
    .where(tasks.c.id == P.id)
    .values(input="{}", files=None, output=None, logs="", report=None, data_removed=true())
)
_BY_ID = compiled(select(*tasks.c).where(tasks.c.id == P.id))
_OWN = compiled(
    select(*tasks.c).where(
        or_(tasks.c.id == P.id, tasks.c.name == P.id), tasks.c.account == P.account, tasks.c.mode == P.mode
    )
)
_UNFINISHED = compiled(
    select(tasks.c.id, tasks.c.state, tasks.c.due_at, tasks.c.channel, tasks.c.key)
    .where(tasks.c.charge.is_(None), tasks.c.state.not_in([*ENDED, State.WAITING]))
    .order_by(tasks.c.due_at)
)
_EXPIRED = compiled(
    select(tasks.c.id)
    .where(tasks.c.completed_at < P.before, text(TO_CLEAR))
    .where(tasks.c.state.in_(list(ENDED)))
    .limit(500)
)
_PAGE = select(*tasks.c).where(tasks.c.account == P.account, tasks.c.mode == P.mode)
_FILTERS = [
    and_(
        or_(P.state == "", tasks.c.state == P.state),
        or_(P.model == "", tasks.c.model == P.model),
        or_(P.source == "", tasks.c.source == P.source),
        tasks.c.created_at >= P.since,
        tasks.c.created_at < P.until,
    )
]
_OLDER = compiled(_PAGE.where(tasks.c.id < P.cursor, *_FILTERS).order_by(tasks.c.id.desc()).limit(P.limit))
_NEWER = compiled(_PAGE.where(tasks.c.id > P.cursor, *_FILTERS).order_by(tasks.c.id).limit(P.limit))
_ALL = compiled(select(*tasks.c).where(tasks.c.id < P.cursor, *_FILTERS).order_by(tasks.c.id.desc()).limit(P.limit))

_EVENT = inserting(events)
_EVENTS = compiled(
    select(*events.c).where(events.c.task == P.task, events.c.seq > P.after).order_by(events.c.seq).limit(500)
)
_FORGET = compiled(events.delete().where(events.c.task == P.task))


@cache
def _narrow(columns: tuple[str, ...]) -> Statement:
    """On the way from queued to running little changes, and writing that alone is quicker."""
    return compiled(_AS_READ.values({name: getattr(P, name) for name in columns}))


def insert(task: Task) -> Step:
    return Step(_INSERT, asdict(task), 1)


def move(old: Task, new: Task, *columns: str) -> Step:
    """Write what changed: these columns, or all that can. When another worker was first, nothing of the transaction
    that holds this step happens."""
    read = {"id": old.id, "old_state": old.state, "old_attempt": old.attempt, "old_seq": old.seq}
    if columns:
        return Step(_narrow(columns), {name: getattr(new, name) for name in columns} | read, 1)
    params = asdict(new)  # the columns that never change are passed over
    return Step(_MOVE, params | read | {"old_report": old.report}, 1)


def reported(task: Task, report: bytes) -> Step:
    """Keep a vendor's word until a worker acts on it, in place of the one that was read with the task."""
    return _REPORTED(id=task.id, report=report.decode(), old_report=task.report).must_change(1)


def clear(task: TaskId) -> tuple[Step, ...]:
    """Remove input, output, logs, and events; what it was, when, and what it cost stay."""
    return _CLEAR(id=task), _FORGET(task=task)


def event(event: Event) -> Step:
    return _EVENT(task=event.task, seq=event.seq, at=event.at, kind=event.kind, data=event.data)


async def get(store: Store, task: TaskId) -> Task | None:
    return _task(await store.one(_BY_ID, id=task))


async def own(store: Store, task: str, account: str, mode: str) -> Task | None:
    """The task of this id or name, if it is theirs."""
    return _task(await store.one(_OWN, id=task, account=account, mode=mode))


async def unfinished(store: Store) -> list[Row]:
    """(id, state, due_at, channel, key) of every task that has work left, soonest first."""
    return await store.scan(_UNFINISHED)


async def expired(store: Store, before: int) -> list[TaskId]:
    """Up to 500 ended tasks whose data is due to be removed."""
    return [row[0] for row in await store.scan(_EXPIRED, before=before)]


async def page(
    store: Store,
    account: str | None,
    mode: str,
    *,
    cursor: str = "~",
    newer: bool = False,
    limit: int = 100,
    state: str = "",
    model: str = "",
    source: str = "",
    since: int = 0,
    until: int = 2**62,
) -> list[Task]:
    """Newest first; ids below the cursor, or with `newer` the next ones above it. `account` None: everybody's."""
    query: Statement = _ALL if account is None else _NEWER if newer else _OLDER
    whose = {} if account is None else {"account": account, "mode": mode}
    given = {"cursor": cursor, "limit": limit, "state": state, "model": model, "source": source}
    rows = await store.scan(query, since=since, until=until, **whose, **given)
    found = [_read(row) for row in rows]
    return found[::-1] if newer else found


async def events_after(store: Store, task: TaskId, after: int) -> list[Event]:
    return [Event(*row) for row in await store.all(_EVENTS, task=task, after=after)]


def _task(row: Sequence[object] | None) -> Task | None:
    return None if row is None else _read(row)


def _read(row: Sequence[object]) -> Task:
    task = Task(*row)  # type: ignore[arg-type]
    return msgspec.structs.replace(task, state=State(task.state), data_removed=bool(task.data_removed))
