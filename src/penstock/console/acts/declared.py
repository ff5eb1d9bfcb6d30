"""What is declared in one document, compared and applied; and all there is, as one."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.console.acts._base import act
from penstock.context import Context
from penstock.declared import applying, comparing, exporting
from penstock.declared.document import decoded


@act("declared.compare", reads=True)
async def compare(ctx: Context, document: dict[str, Any]) -> list[dict[str, Any]]:
    """What applying a document would add and change. What it asks of the environment is filled in already."""
    return [msgspec.to_builtins(change) for change in await comparing.compared(ctx, decoded(document))]


@act("declared.apply")
async def apply(ctx: Context, document: dict[str, Any]) -> dict[str, Any]:
    """Add and change what a document declares. The secrets of keys that are made anew are in the result, and nowhere
    else."""
    done: dict[str, Any] = msgspec.to_builtins(await applying.apply(ctx, decoded(document)))
    return done


@act("declared.export", reads=True, local=True)
async def export(ctx: Context, secrets: bool = False) -> dict[str, Any]:
    """All there is as a document in TOML; with the channels' credentials, if so told."""
    made: dict[str, Any] = msgspec.to_builtins(await exporting.export(ctx, secrets=secrets))
    return made
