"""What concerns the whole installation."""

from __future__ import annotations

from typing import Any

from penstock.console import checkup, copying
from penstock.console.acts._base import act
from penstock.context import Context
from penstock.tasks import retention


@act("files.prune")
async def prune(ctx: Context) -> dict[str, int]:
    """Remove what its time is over for: inputs and outputs of tasks, files, logged calls. How many of each went."""
    return await retention.prune(ctx)


@act("backup", local=True)
async def backup(ctx: Context, to: str) -> dict[str, Any]:
    """Copy the database, the files, and the secret to a directory."""
    return await copying.backup(ctx, to)


@act("doctor", reads=True)
async def doctor(ctx: Context) -> list[dict[str, Any]]:
    """Look the installation over."""
    return await checkup.doctor(ctx)
