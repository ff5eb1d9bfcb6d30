"""Ready means that work can be taken: each thing that is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.console.readiness import Readiness
from penstock.store.blobs import Blobs
from tests.stores import opened

pytestmark = pytest.mark.anyio


async def test_it_is_ready_while_the_store_writes(tmp_path: Path) -> None:
    async with opened(Settings(data=tmp_path)) as ctx:
        assert await Readiness(ctx).reason() is None
        assert await Readiness(ctx).reason() is None  # the probe leaves nothing in its own way


async def test_it_is_not_when_it_is_told_to_stop(tmp_path: Path) -> None:
    async with opened(Settings(data=tmp_path)) as ctx:
        ready = Readiness(ctx)
        assert await ready.reason() is None
        ctx.closing.set()
        assert await ready.reason() == "shutting down"


async def test_it_is_not_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    async with opened(Settings(data=tmp_path)) as ctx:
        ctx.blobs = Blobs.local(tmp_path / "files", min_free=1 << 62)
        assert await Readiness(ctx).reason() == "the disk is nearly full"


async def test_it_is_not_when_the_store_does_not_write(tmp_path: Path) -> None:
    async with opened(Settings(data=tmp_path)) as ctx:
        db = ctx.store._reader  # type: ignore[attr-defined]  a second connection, to break the table with
        db.execute("PRAGMA query_only=OFF")
        db.execute("DROP TABLE idempotency")
        assert await Readiness(ctx).reason() == "the store does not write"
