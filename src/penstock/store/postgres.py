"""PostgreSQL through asyncpg: one transaction per write, several at once."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from penstock.errors import GatewayError, StorageFull
from penstock.store.connection import Row, Statement, Step, ran

DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
NODE_LOCK = 0x70656E73746F636B  # "penstock": one node until the many-node alarm exists
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


def plain(url: str) -> str:
    """The URL as the driver knows it, without SQLAlchemy's name for it."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


class PostgresStore:
    kind = "postgres"

    def __init__(self, pool: asyncpg.Pool[Any], lock: asyncpg.Connection[Any] | None) -> None:
        self._pool = pool
        self._lock = lock

    @classmethod
    async def open(cls, url: str, *, sole: bool = False) -> PostgresStore:
        """`sole`: hold the advisory lock of the one serving node; raises GatewayError where another one has it."""
        lock = None
        if sole:
            lock = await asyncpg.connect(plain(url))
            if not await lock.fetchval("SELECT pg_try_advisory_lock($1)", NODE_LOCK):
                await lock.close()
                raise GatewayError("another penstock node serves this database already; one node per database for now")
            lock.add_termination_listener(_lost)
        pool = await asyncpg.create_pool(plain(url), min_size=2, max_size=16)
        return cls(pool, lock)

    def begin(self, *steps: Step) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.write(*steps))

    async def write(self, *steps: Step) -> None:
        if any(step.statement is not None for step in steps):
            await self._transact(steps)
        ran(steps)

    async def one(self, query: Statement, **params: Any) -> Row | None:
        compiled = query.compiled(DIALECT)
        row = await self._pool.fetchrow(compiled.sql, *compiled.line_up(params))
        return None if row is None else tuple(row)

    async def all(self, query: Statement, **params: Any) -> list[Row]:
        compiled = query.compiled(DIALECT)
        return [tuple(row) for row in await self._pool.fetch(compiled.sql, *compiled.line_up(params))]

    scan = all

    async def version(self) -> str | None:
        """The newest migration that was run here; None before the first."""
        try:
            found: str | None = await self._pool.fetchval("SELECT version_num FROM alembic_version")
        except asyncpg.UndefinedTableError:
            return None
        return found

    async def close(self) -> None:
        await self._pool.close()
        if self._lock is not None:
            self._lock.remove_termination_listener(_lost)
            await self._lock.close()

    async def _transact(self, steps: tuple[Step, ...]) -> None:
        for pause in (0.01, 0.05, 0.2, None):
            try:
                async with self._pool.acquire() as db, db.transaction():
                    for step in steps:
                        if step.statement is not None:
                            compiled = step.statement.compiled(DIALECT)
                            if step.many:
                                await db.executemany(compiled.sql, step.many)
                                continue
                            done = await db.execute(compiled.sql, *compiled.line_up(step.params))
                            step.check(int(done.rpartition(" ")[2]))
                return
            except asyncpg.DiskFullError as error:
                raise StorageFull() from error
            except _AGAIN:
                if pause is None:
                    raise
                await asyncio.sleep(pause)


def _lost(_: object) -> None:
    """The connection that holds the node's lock broke: another node may serve now, so this one ends."""
    os.kill(os.getpid(), signal.SIGTERM)
