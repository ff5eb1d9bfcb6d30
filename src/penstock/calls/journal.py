"""The request log: one lean row a call, not waited for; the books (`ledger`) do not need it.

Where there are many, rows go along with the next charges, so that no charge waits behind them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.context import Context
from penstock.ledger import Allowances
from penstock.log import logger
from penstock.store import Step, calls

FLUSH_S = 0.5
AT_ONCE = 200
WORTH_IT = 16
"""Fewer rows would slow a charge that nobody else waits with."""


class Journal:
    """Rows wait here for at most half a second. Those that can't be written are lost, and that is said in the log."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._rows: list[tuple[Any, ...]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        ctx.of(Allowances).charges.alongside = lambda: self._taken() if len(self._rows) >= WORTH_IT else ()

    def note(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._due)

    async def flush(self) -> None:
        """Write what waits now; what comes meanwhile has time."""
        for _ in range(-(-len(self._rows) // AT_ONCE)):
            steps = self._taken()
            if not steps:  # they went along with a charge
                return
            try:
                await self._ctx.store.write(*steps)
            except Exception as error:  # noqa: BLE001  a log that can't be written stops nothing
                logger("calls").error("request log not written", calls=len(steps[0].many), why=str(error))

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self.flush()

    def _taken(self) -> tuple[Step, ...]:
        rows, self._rows = self._rows[:AT_ONCE], self._rows[AT_ONCE:]
        return (calls.log_all(rows),) if rows else ()

    def _due(self) -> None:
        self._timer = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self.flush())
        else:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._due)
