"""SQL: files, the webhook outbox, idempotency records."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import delete, select, update

from penstock.canonical.task import File, TaskId
from penstock.clock import now
from penstock.errors import NotFound
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import files, idempotency, outbox

_FILE = inserting(files, unless_present=True)
_BY_ID = compiled(select(*files.c).where(files.c.id == P.id))
_PAGE = compiled(
    select(*files.c)
    .where(files.c.account == P.account, files.c.mode == P.mode, files.c.role == "upload", files.c.id < P.cursor)
    .where((files.c.expires_at.is_(None)) | (files.c.expires_at > P.now))
    .order_by(files.c.id.desc())
    .limit(P.limit)
)
_NEWER = compiled(
    select(*files.c)
    .where(files.c.account == P.account, files.c.mode == P.mode, files.c.role == "upload", files.c.id > P.cursor)
    .where((files.c.expires_at.is_(None)) | (files.c.expires_at > P.now))
    .order_by(files.c.id)
    .limit(P.limit)
)
_DELETE = compiled(delete(files).where(files.c.id == P.id, files.c.account == P.account))
_OF_TASK = compiled(select(*files.c).where(files.c.task == P.task).order_by(files.c.id))
_DELETE_OF_TASK = compiled(delete(files).where(files.c.task == P.task))
_EXPIRED = compiled(select(files.c.id, files.c.account).where(files.c.expires_at < P.now).limit(500))
_USES = compiled(select(files.c.id).where(files.c.sha256 == P.sha256).limit(1))
_HASHES = compiled(select(files.c.sha256).distinct())

_MESSAGE = inserting(outbox, unless_present=True)
_PENDING = compiled(select(*outbox.c).where(outbox.c.state == "pending").order_by(outbox.c.id))
_TRIED = compiled(
    update(outbox)
    .where(outbox.c.id == P.id)
    .values(state=P.state, attempts=P.attempts, due_at=P.due_at, last_status=P.last_status)
)
_AGAIN = compiled(
    update(outbox).where(outbox.c.task == P.task, outbox.c.event == "completed").values(state="pending", due_at=P.now)
)
_OF_TASK_OUT = compiled(select(*outbox.c).where(outbox.c.task == P.task).order_by(outbox.c.id))
_FORGET_OUT = compiled(delete(outbox).where(outbox.c.task == P.task))

_RECORD = inserting(idempotency, unless_present=True)
_RECORDED = compiled(
    select(idempotency.c.body, idempotency.c.task, idempotency.c.created_at).where(
        idempotency.c.account == P.account, idempotency.c.route == P.route, idempotency.c.key == P.key
    )
)
_UNRECORD = compiled(
    delete(idempotency)
    .where(idempotency.c.account == P.account, idempotency.c.route == P.route, idempotency.c.key == P.key)
    .where(idempotency.c.task == P.task)
)
_FORGET = compiled(delete(idempotency).where(idempotency.c.created_at < P.before))


def insert(file: File) -> Step:
    """Keep a file's row; the same id again changes nothing."""
    return _FILE(**asdict(file))


def remove(file: str, account: str) -> Step:
    return _DELETE(id=file, account=account).must_change(1, NotFound("File not found"))


def remove_of_task(task: TaskId) -> Step:
    return _DELETE_OF_TASK(task=task)


async def get(store: Store, file: str) -> File | None:
    row = await store.one(_BY_ID, id=file)
    return File(*row) if row else None


async def of_task(store: Store, task: TaskId) -> list[File]:
    return [File(*row) for row in await store.all(_OF_TASK, task=task)]


async def page(
    store: Store, account: str, mode: str, cursor: str = "~", limit: int = 100, *, newer: bool = False
) -> list[File]:
    rows = await store.all(
        _NEWER if newer else _PAGE, account=account, mode=mode, cursor=cursor, limit=limit, now=now()
    )
    found = [File(*row) for row in rows]
    return found[::-1] if newer else found


async def expired(store: Store) -> list[Row]:
    """(id, account) of up to 500 files whose time is over."""
    return await store.scan(_EXPIRED, now=now())


async def uses(store: Store, sha256: str) -> bool:
    return await store.one(_USES, sha256=sha256) is not None


async def hashes(store: Store) -> set[str]:
    return {row[0] for row in await store.scan(_HASHES)}


def message(id: str, task: TaskId, event: str, url: str) -> Step:
    at = now()
    given = {"id": id, "task": task, "event": event, "url": url, "state": "pending", "attempts": 0}
    return _MESSAGE(created_at=at, due_at=at, last_status=None, **given)


def tried(id: str, state: str, attempts: int, due_at: int, last_status: int | None) -> Step:
    return _TRIED(id=id, state=state, attempts=attempts, due_at=due_at, last_status=last_status)


def redeliver(task: TaskId) -> Step:
    return _AGAIN(task=task, now=now()).must_change(1, NotFound("this task has no webhook to send again"))


async def pending(store: Store) -> list[Row]:
    """(id, task, event, url, state, attempts, created_at, due_at, last_status), oldest first."""
    return await store.scan(_PENDING)


async def messages_of(store: Store, task: TaskId) -> list[Row]:
    return await store.all(_OF_TASK_OUT, task=task)


def forget_messages(task: TaskId) -> Step:
    return _FORGET_OUT(task=task)


def record(account: str, route: str, key: str, body: str, task: TaskId) -> Step:
    """Remember that this request made this task; raises Stale where another one did under the same key."""
    given = {"account": account, "route": route, "key": key, "body": body, "task": task}
    return _RECORD(created_at=now(), **given).must_change(1)


async def recorded(store: Store, account: str, route: str, key: str) -> Row | None:
    """(body hash, task, created_at)."""
    return await store.one(_RECORDED, account=account, route=route, key=key)


def unrecord(account: str, route: str, key: str, task: TaskId) -> Step:
    """Forget a record that is too old to count, unless another task has taken its place."""
    return _UNRECORD(account=account, route=route, key=key, task=task)


def forget(before: int) -> Step:
    return _FORGET(before=before)
