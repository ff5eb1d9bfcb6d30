from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from penstock.canonical.task import State
from penstock.clock import SECOND, parse
from penstock.config import Settings
from penstock.errors import GatewayError
from penstock.store import DataLock, accounts, open_store, spending, tasks
from penstock.store.opening import _upgrade, head
from penstock.store.tables import metadata
from penstock.store.tables import tasks as tasks_table
from tests.stores import Postgres, Stores, account, task

pytestmark = pytest.mark.anyio


async def test_from_empty_to_head_and_again(tmp_path: Path) -> None:
    for _ in range(2):
        store = await open_store(Settings(data=tmp_path / "new"))
        if not await accounts.every(store):
            await account(store, "acme")
        assert [row[1] for row in await accounts.every(store)] == ["acme"]
        await store.close()
    with closing(sqlite3.connect(tmp_path / "new" / "penstock.db")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [(head(),)]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("scheme", ["postgresql://", "postgres://", "postgresql+asyncpg://"])
async def test_from_empty_to_head_and_again_on_postgres(postgres: Postgres, tmp_path: Path, scheme: str) -> None:
    async with postgres.database() as url:
        settings = Settings(data=tmp_path, database_url=url.replace("postgresql://", scheme))
        for _ in range(2):
            store = await open_store(settings)
            if not await accounts.every(store):
                await account(store, "acme")
            assert [row[1] for row in await accounts.every(store)] == ["acme"]
            await store.close()
        db = await asyncpg.connect(url)
        assert await db.fetchval("SELECT version_num FROM alembic_version") == head()
        await db.close()


async def test_the_migrations_make_the_tables(settings: Settings) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    url = f"sqlite:///{settings.data / 'penstock.db'}"
    if settings.database_url:
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(settings.database_url)
        )
        async with engine.connect() as db:
            wrong = await db.run_sync(lambda db: compare_metadata(MigrationContext.configure(db), metadata))
        await engine.dispose()
    else:
        with create_engine(url).connect() as db:
            wrong = compare_metadata(MigrationContext.configure(db), metadata)
    assert wrong == []


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from penstock.canonical.task import State
from penstock.clock import SECOND, parse
from penstock.config import Settings
from penstock.store import open_store
from alembic import op

made = []
inner = op.create_table

def counted(*args, **given):
    made.append(args)
    if len(made) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(*args, **given)
op.create_table = counted
asyncio.run(open_store(Settings(data=Path(sys.argv[1]))))
"""


async def test_a_migration_that_was_killed_begins_anew(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    store = await open_store(Settings(data=tmp_path))
    await account(store)
    await store.close()


async def test_a_database_of_the_first_version_stays_readable(tmp_path: Path) -> None:
    first = Path(__file__).parent / "first.sql"
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as db:
        db.executescript(first.read_text())
    store = await open_store(Settings(data=tmp_path))
    assert [row[1] for row in await accounts.every(store)] == ["acme"]
    assert [each.output for each in await tasks.page(store, None, "")] == ['"ä🚢"']
    assert await accounts.sums(store) == [("acc", "live", 5)]
    await store.close()


CHARGE = "INSERT INTO charges VALUES ({}, 'acc', 'live', 'k', 'm', 'r', '{}', {}, 0, FALSE, {})"
TASK = "INSERT INTO tasks SELECT {} FROM (SELECT 1) AS one"
REFUND = "INSERT INTO entries VALUES ('e', 'acc', 'live', 'refund', 't', 4, '{{}}', 0, {})"


def before_spending(at: int) -> list[str]:
    """In the last release's database: two calls on a day, one on the next, a task of 30 micros of which 4 went back."""
    fields = {"id": "t", "account": "acc", "charge": 30, "hold": 40, "state": State.SUCCEEDED, "created_at": at}
    columns = [column.name for column in tasks_table.c if column.name not in ("group", "asked")]
    row = [getattr(task(**fields), name) for name in columns]
    literals = ["NULL" if value is None else repr(str(value) if isinstance(value, str) else value) for value in row]
    return [
        CHARGE.format(1, '{"input_token":7,"cached_token":3}', 50, at),
        CHARGE.format(2, '{"output_token":4}', 25, at),
        CHARGE.format(3, "{}", 1, at + 86_400 * SECOND),
        TASK.format(", ".join(literals)),
        REFUND.format(at),
    ]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_what_was_spent_before_is_summed_up(stores: Stores, tmp_path: Path, kind: str) -> None:
    def fill(connection: Any) -> None:
        _upgrade(connection, "0003")
        for statement in before_spending(parse("2026-03-04T23:59:59Z")):
            connection.exec_driver_sql(statement)

    settings = Settings(data=tmp_path)
    async with AsyncExitStack() as stack:
        if kind == "postgres":
            url = await stack.enter_async_context(stores.postgres.database())
            settings = Settings(data=tmp_path, database_url=url)
            engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
            async with engine.begin() as connection:
                await connection.run_sync(fill)
            await engine.dispose()
        else:
            with create_engine(f"sqlite:///{tmp_path / 'penstock.db'}").begin() as connection:
                fill(connection)
        store = await open_store(settings)
        stack.push_async_callback(store.close)
        assert await spending.of_account(store, "acc", "live", "2026-03-04", "2026-03-05") == [
            ("2026-03-04", "k", "acme/boat", 1, 0, 0, 26),
            ("2026-03-04", "k", "m", 2, 10, 4, 75),
            ("2026-03-05", "k", "m", 1, 0, 0, 1),
        ]
        assert await spending.sums(store) == [("acc", "live", 102, 30, 4)]


def _try_to_lock(data: Path) -> None:
    try:
        DataLock(data)
    except GatewayError:
        os._exit(7)
    os._exit(0)


def test_a_data_directory_is_one_process_s(tmp_path: Path) -> None:
    def other() -> int | None:
        process = multiprocessing.get_context("spawn").Process(target=_try_to_lock, args=(tmp_path,))
        process.start()
        process.join(30)
        return process.exitcode

    lock = DataLock(tmp_path)
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    assert other() == 7
    with pytest.raises(GatewayError):
        DataLock(tmp_path)
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    lock.release()
    assert other() == 0


async def test_one_node_serves_a_postgres_database(stores: Stores, tmp_path: Path) -> None:
    async with stores.settings("postgres", tmp_path) as settings:
        store = await open_store(settings, sole=True)
        with pytest.raises(GatewayError, match="one node"):
            await open_store(settings, sole=True)
        command = await open_store(settings)
        await store.write(tasks.insert(task("acme")))
        assert len(await tasks.page(command, "acme", "live")) == 1
        await command.close()
        await store.close()
        await (await open_store(settings, sole=True)).close()


async def test_what_a_killed_process_left_in_the_log_is_there(tmp_path: Path) -> None:
    script = """
import asyncio, os, sys
from pathlib import Path
from penstock.config import Settings
from penstock.store import open_store, tasks
from tests.stores import task

async def main():
    store = await open_store(Settings(data=Path(sys.argv[1])), sole=True)
    await store.write(tasks.insert(task("acme")))
    os._exit(9)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 9
    store = await open_store(Settings(data=tmp_path), sole=True)
    assert len(await tasks.page(store, "acme", "live")) == 1
    await store.close()
