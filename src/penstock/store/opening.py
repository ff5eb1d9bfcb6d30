"""Open the database that the settings name, brought up to date, and locked to this process."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO, Any

from penstock.config import Settings
from penstock.errors import GatewayError
from penstock.store.connection import Store

HERE = Path(__file__).parent / "migrations"


def head() -> str:
    """The newest migration: versions are named `NNNN_words.py`, in order."""
    return max(path.name[:4] for path in (HERE / "versions").glob("[0-9]*.py"))


async def open_store(settings: Settings, *, sole: bool = False) -> Store:
    """Migrate if need be, then open. `sole`: refuse if another node serves this PostgreSQL database."""
    if settings.database_url:
        from penstock.store.postgres import PostgresStore

        store = await PostgresStore.open(settings.database_url, sole=sole)
        try:
            if await store.version() != head():
                await _migrate(settings.database_url)
        except BaseException:
            await store.close()
            raise
        return store
    from penstock.store.sqlite import SqliteStore

    settings.data.mkdir(parents=True, exist_ok=True)
    path = settings.data / "penstock.db"
    if _version(path) != head():
        await asyncio.to_thread(_migrate_sqlite, path)
    return SqliteStore(path)


class DataLock:
    """One process per data directory. Raises GatewayError where another one has it; the kernel frees it at our end."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = open(data / "lock", "a+")  # noqa: SIM115  held open as long as the lock
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise GatewayError(f"another penstock process uses the data directory {data}") from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def _version(path: Path) -> str | None:
    if not path.exists():
        return None
    db = sqlite3.connect(path)
    try:
        return str(db.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except sqlite3.Error:
        return None
    finally:
        db.close()


def _migrate_sqlite(path: Path) -> None:
    from sqlalchemy import create_engine, event

    engine = create_engine(f"sqlite:///{path}", connect_args={"isolation_level": None})
    # The driver begins no transaction before DDL by itself, and a kill would leave half a migration behind.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        _upgrade(connection)
    engine.dispose()


async def _migrate(url: str) -> None:
    import asyncpg
    from sqlalchemy.ext.asyncio import create_async_engine

    from penstock.store.postgres import plain

    # The driver reads the URL, for SQLAlchemy knows neither `postgres://` nor all of its options.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(plain(url)))
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)
    await engine.dispose()


def _upgrade(connection: Any, to: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
