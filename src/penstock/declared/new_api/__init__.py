"""The database of new-api or one-api, as a document of ours.

Source: model/*.go, constant/channel.go, and setting/ratio_setting/*.go of QuantumNous/new-api as of the autumn of 2026;
model/*.go, relay/channeltype/*.go, and relay/billing/ratio/model.go of songquanpeng/one-api at 8df4a26 (2025-02-21);
read 2026-11-21.
Units: quota is money: `QuotaPerUnit` (500,000 unless set) of it make a dollar. A model's ratio is quota per input
token, so 1 is 2 dollars a million; `CompletionRatio`, `CacheRatio`, and the like multiply it. `ModelPrice` is dollars
per call.
Quirks: only what an operator once saved is in `options`; the rest is in their code, so completion ratios that they
write into it stand in `ratios.py`. Types of channels above 24 mean other vendors in one-api than in new-api.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from penstock.declared.moved import Moved
from penstock.declared.new_api.reading import Database
from penstock.errors import CallerError

GO_MYSQL = re.compile(
    r"(?P<username>[^:@/]+)(:(?P<password>.*))?@tcp\((?P<host>[^:)]+)(:(?P<port>\d+))?\)/(?P<database>[^?]+)"
)
"""As new-api itself has it in SQL_DSN."""


def read(source: str) -> Moved:
    """Read a SQLite file or the database at a URL, without ever writing to it. Raises CallerError where it can't be
    read or is no such database."""
    url = _url(source)
    database = url.database or ""
    where = Path(database).name if url.get_backend_name() == "sqlite" else f"{url.host or 'localhost'}/{database}"
    try:
        if url.get_backend_name() == "postgresql":
            return asyncio.run(_read_postgres(url, where))
        engine = _engine(url)
        try:
            with engine.connect() as connection:
                return Database(connection, where).moved()
        finally:
            engine.dispose()
    except (DBAPIError, OSError, asyncpg.PostgresError) as error:
        said = str(getattr(error, "orig", None) or error)
        raise CallerError(f"{url.render_as_string()} can't be read: {said}") from None


def _url(source: str) -> URL:
    if found := GO_MYSQL.fullmatch(source.partition("?")[0]):
        port = int(found["port"] or 3306)
        return URL.create("mysql+pymysql", found["username"], found["password"], found["host"], port, found["database"])
    if "://" not in source:
        return URL.create("sqlite", database=source)
    try:
        urlsplit(source)
        url = make_url(source.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise CallerError("the database's URL makes no sense; see docs/moving.md") from None
    if url.get_backend_name() not in ("sqlite", "postgresql", "mysql"):
        raise CallerError(
            f"{url.get_backend_name()} can't be read: give a SQLite file, or a postgresql:// or mysql:// URL"
        )
    return url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not path.is_file():
            raise CallerError(f"there is no file {path}")
        read_only = {"mode": "ro", "uri": "true"}
        return create_engine(URL.create("sqlite", database=path.absolute().as_uri(), query=read_only))
    try:
        return create_engine(
            url.set(drivername="mysql+pymysql", query={"charset": "utf8mb4"}),
            connect_args={"init_command": "SET SESSION TRANSACTION READ ONLY"},
        )
    except ModuleNotFoundError:
        raise CallerError("reading MySQL needs a driver: pip install 'penstock[mysql]'") from None


async def _read_postgres(url: URL, where: str) -> Moved:
    """The driver gets the URL as it is, since it knows more of PostgreSQL's own words than SQLAlchemy passes on."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(plain))
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            return await connection.run_sync(lambda inner: Database(inner, where).moved())
    finally:
        await engine.dispose()
