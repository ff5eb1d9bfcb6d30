"""The request log: one lean row a call, written in batches and not waited for; the books (`ledger`) do not need it."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.context import Context
from penstock.log import logger
from penstock.store import calls

FLUSH_S = 0.5
AT_ONCE = 2000


class Journal:
    """Rows wait here for at most half a second. A row that can't be written is lost, and said so in the log."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._rows: list[tuple[Any, ...]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def note(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._due)

    async def flush(self) -> None:
        """Write what waits, now."""
        while self._rows:
            rows, self._rows = self._rows[:AT_ONCE], self._rows[AT_ONCE:]
            try:
                await self._ctx.store.write(calls.log_all(rows))
            except Exception as error:  # noqa: BLE001  a log that can't be written stops nothing
                logger("calls").error("request log not written", calls=len(rows), why=str(error))

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self.flush()

    def _due(self) -> None:
        self._timer = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self.flush())
        else:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._due)
