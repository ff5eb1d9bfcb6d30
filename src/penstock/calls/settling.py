"""Calls that ended before their end, settled in the background: whoever waited for them may be gone."""

from __future__ import annotations

import asyncio

from penstock.calls.work import Work
from penstock.context import Context
from penstock.log import logger


class Settling:
    def __init__(self, ctx: Context) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def finish(self, work: Work, outcome: str) -> asyncio.Task[None] | None:
        """Settle what was produced, if that is not done yet."""
        if work.closed:
            return None
        if not work.accepted:
            work.release(outcome)
            return None
        task = asyncio.create_task(self._settle(work, outcome))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    async def _settle(self, work: Work, outcome: str) -> None:
        try:
            whole = await work.draining if work.draining is not None else False
            await work.settle(outcome, whole=whole)
        except Exception as error:  # noqa: BLE001  nobody else is there to hear it
            logger("calls").error("a call was not charged", call=work.asked.id, why=str(error))
