"""Whether this gateway can take work: its store writes, its disk has room, and nobody asked it to stop."""

from __future__ import annotations

import asyncio
import time

from penstock.context import Context
from penstock.errors import StorageFull
from penstock.log import logger
from penstock.store import files

HOLDS_S = 1.0
"""A finding is good for so long, so that asking often costs nothing."""

WRITES_WITHIN_S = 5.0
PROBE = ("", "readyz", "")
"""The idempotency record that is written and removed: no account has an empty id."""


class Readiness:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = asyncio.Lock()
        self._found: str | None = None
        self._until = 0.0

    async def reason(self) -> str | None:
        """Why no work can be taken; None where it can."""
        if self._ctx.closing.is_set():
            return "shutting down"
        async with self._lock:
            if time.monotonic() >= self._until:
                self._found = await self._look()
                self._until = time.monotonic() + HOLDS_S
        return self._found

    async def _look(self) -> str | None:
        try:
            self._ctx.blobs.check_space()
            async with asyncio.timeout(WRITES_WITHIN_S):
                await self._ctx.store.write(files.unrecord(*PROBE, task=""), files.record(*PROBE, body="", task=""))
        except StorageFull:
            return "the disk is nearly full"
        except Exception as error:  # noqa: BLE001  whatever the database's driver raises, it does not write
            logger("readiness").warning("the store does not write", error=str(error) or type(error).__name__)
            return "the store does not write"
        return None
