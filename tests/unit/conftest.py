"""Stores and contexts, over SQLite and over PostgreSQL: a test that asks for one runs over both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.context import Context
from penstock.store import Store
from tests.stores import KINDS, Postgres, Stores, opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Stores:
    return Stores(tmp_path_factory.mktemp("stores"), postgres)


@pytest.fixture(params=KINDS)
async def settings(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> AsyncIterator[Settings]:
    async with stores.settings(request.param, tmp_path) as given:
        yield given


@pytest.fixture
async def context(settings: Settings) -> AsyncIterator[Context]:
    async with opened(settings) as ctx:
        yield ctx


@pytest.fixture
def store(context: Context) -> Store:
    return context.store
