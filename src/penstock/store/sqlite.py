"""SQLite: one writer thread with group commit, point reads on the loop.

The loop alone owns the list of waiting writes and hands the thread a whole batch whenever it is idle, so what gathered
while the last commit ran goes out as one; a fixed gather time would only cost. Only the writer checkpoints, which keeps
clear of the WAL-reset bug of SQLite before 3.51.3.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from penstock.errors import GatewayError, StorageFull
from penstock.store.connection import Row, Statement, Step, ran

DIALECT = SQLiteDialect_pysqlite(paramstyle="qmark")
_Write = tuple[tuple[Step, ...], "asyncio.Future[None]"]


class SqliteStore:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _open(path, reads_only=True)
        self._pending: list[_Write] = []
        self._busy = False
        self._closed = False
        self._idle: asyncio.Future[None] | None = None  # whoever closes waits for it
        self._inbox: queue.SimpleQueue[list[_Write] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def begin(self, *steps: Step) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        if self._closed:
            future.set_exception(GatewayError("the store is closed"))
            return future
        self._pending.append((steps, future))
        if not self._busy:
            self._hand_over()
        return future

    async def write(self, *steps: Step) -> None:
        if any(step.statement for step in steps):
            await self.begin(*steps)
        else:
            ran(steps)

    async def one(self, query: Statement, **params: Any) -> Row | None:
        compiled = query.compiled(DIALECT)
        row: Row | None = self._reader.execute(compiled.sql, compiled.line_up(params)).fetchone()
        return row

    async def all(self, query: Statement, **params: Any) -> list[Row]:
        compiled = query.compiled(DIALECT)
        return self._reader.execute(compiled.sql, compiled.line_up(params)).fetchall()

    async def scan(self, query: Statement, **params: Any) -> list[Row]:
        return await asyncio.to_thread(self._scan, query, params)

    async def close(self) -> None:
        """Finish what is pending, then checkpoint and close."""
        self._closed = True
        while self._busy:
            self._idle = self._loop.create_future()
            await self._idle
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()

    # the loop's side

    def _hand_over(self) -> None:
        batch, self._pending = self._pending, []
        self._busy = True
        self._inbox.put(batch)

    def _committed(self, batch: list[_Write], outcomes: list[BaseException | None]) -> None:
        self._busy = False
        if self._pending:
            self._hand_over()
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        for (steps, future), outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                ran(steps)
            if future.done():
                continue
            if outcome is None:
                future.set_result(None)
            else:
                future.set_exception(outcome)

    # the thread's side

    def _work(self) -> None:
        db = _open(self.path)
        while (batch := self._inbox.get()) is not None:
            outcomes = _commit(db, batch)
            self._loop.call_soon_threadsafe(self._committed, batch, outcomes)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()

    def _scan(self, query: Statement, params: dict[str, Any]) -> list[Row]:
        db = _open(self.path, reads_only=True)
        try:
            compiled = query.compiled(DIALECT)
            return db.execute(compiled.sql, compiled.line_up(params)).fetchall()
        finally:
            db.close()


def _open(path: Path, *, reads_only: bool = False) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=30)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA foreign_keys=ON")
    if reads_only:
        db.execute("PRAGMA query_only=ON")
        db.execute("PRAGMA wal_autocheckpoint=0")
    else:
        db.execute("PRAGMA wal_autocheckpoint=8000")  # pages, 32 MB: copying them back less often costs less
    return db


def _commit(db: sqlite3.Connection, batch: list[_Write]) -> list[BaseException | None]:
    """Run the writes and commit them together. The outcomes, in order: None, or what to raise.

    What breaks the database itself (disk, file) fails the whole batch; anything else only the write that it is in: then
    all are undone and run again, each in a savepoint of its own. Savepoints for all would double the statements.
    """
    outcomes: list[BaseException | None] = []
    try:
        db.execute("BEGIN IMMEDIATE")
        if _all_ran(db, batch):
            outcomes = [None] * len(batch)
        else:
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            for steps, _ in batch:
                outcomes.append(_run(db, steps))
        db.execute("COMMIT")
    except Exception as error:  # noqa: BLE001  the thread must live: the next batch may fit
        if db.in_transaction:
            db.execute("ROLLBACK")
        failed = _ours(error)
        return [outcomes[n] or failed if n < len(outcomes) else failed for n in range(len(batch))]
    return outcomes


def _all_ran(db: sqlite3.Connection, batch: list[_Write]) -> bool:
    try:
        for steps, _ in batch:
            _execute(db, steps)
    except Exception as error:  # noqa: BLE001  told by the second run
        _raise_if_broken(db, error)
        return False
    return True


def _run(db: sqlite3.Connection, steps: tuple[Step, ...]) -> BaseException | None:
    db.execute("SAVEPOINT w")
    try:
        _execute(db, steps)
    except Exception as error:  # noqa: BLE001  raised where the write was asked for
        _raise_if_broken(db, error)
        db.execute("ROLLBACK TO w")
        db.execute("RELEASE w")
        return error
    db.execute("RELEASE w")
    return None


def _execute(db: sqlite3.Connection, steps: tuple[Step, ...]) -> None:
    for step in steps:
        if step.statement is not None:
            compiled = step.statement.compiled(DIALECT)
            if step.many:
                db.execute(_of_json(step.statement), (msgspec.json.encode(step.many).decode(),))
                continue
            step.check(db.execute(compiled.sql, compiled.line_up(step.params)).rowcount)


@lru_cache
def _of_json(statement: Statement) -> str:
    """The statement for many rows at once, given as one JSON array. So the database takes them all in one step, in
    which the GIL is free: `executemany` would give it away and want it back for every row, and wait for the loop."""
    insert: Any = statement.clause
    columns = ", ".join(column.name for column in insert.table.c)
    values = ", ".join(f"json_extract(value, '$[{at}]')" for at in range(len(insert.table.c)))
    otherwise = " ON CONFLICT DO NOTHING" if insert._post_values_clause is not None else ""
    return f"INSERT INTO {insert.table.name} ({columns}) SELECT {values} FROM json_each(?) WHERE true{otherwise}"  # noqa: S608


def _raise_if_broken(db: sqlite3.Connection, error: Exception) -> None:
    if isinstance(error, sqlite3.OperationalError) or not db.in_transaction:
        raise error


def _ours(error: Exception) -> Exception:
    full = "full" in str(error) or "disk I/O" in str(error)
    return StorageFull() if full else error
