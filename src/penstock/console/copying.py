"""A backup of a running gateway: the database as of one moment, the files, and the secret for the credentials."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from penstock.context import Context
from penstock.errors import CallerError


async def backup(ctx: Context, to: str) -> dict[str, Any]:
    """Copy everything into a new folder. Rows are copied before files, so no row speaks of a file that is not there
    unless it was removed meanwhile. Raises CallerError where the folder exists."""
    target = Path(to)
    if target.exists() and any(target.iterdir()):
        raise CallerError(f"{to} is not empty; a backup wants a folder of its own")
    if ctx.store.kind != "sqlite":
        raise CallerError("the database is PostgreSQL: back it up with pg_dump, and the data folder's files beside it")
    await asyncio.to_thread(_copy, ctx.settings.data, target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return {"to": str(target), "bytes": size}


def _copy(data: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    source, copy = sqlite3.connect(data / "penstock.db"), sqlite3.connect(target / "penstock.db")
    try:
        source.backup(copy)
    finally:
        source.close()
        copy.close()
    if (data / "secret").exists():
        shutil.copy2(data / "secret", target / "secret")
    if (data / "files").exists():
        shutil.copytree(data / "files", target / "files", ignore=shutil.ignore_patterns("parts"), dirs_exist_ok=True)
