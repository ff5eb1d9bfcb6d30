"""For vendors whose meter runs on when we hang up: a client's leaving does not stop the reading, within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from penstock.calls.work import Work
from penstock.canonical.events import Frame

AHEAD = 64
"""Portions that are read before the client takes them."""


class ReadOn:
    """The portions of a stream, read in a task of its own. Closed before its end, it goes on alone: `work.draining`
    tells whether it got there."""

    def __init__(self, source: AsyncIterator[list[Frame]], work: Work) -> None:
        self._work, self._meter = work, work.meter
        self._portions: asyncio.Queue[list[Frame] | BaseException] = asyncio.Queue(AHEAD)
        self._reading = asyncio.create_task(self._read(source))
        self._over = False

    def __aiter__(self) -> ReadOn:
        return self

    async def __anext__(self) -> list[Frame]:
        portion = await self._portions.get()
        if isinstance(portion, BaseException):
            self._over = True
            raise portion
        return portion

    async def aclose(self) -> None:
        if not self._over:
            self._over = True
            self._work.draining = asyncio.create_task(self._drain())

    async def _read(self, source: AsyncIterator[list[Frame]]) -> None:
        try:
            async for batch in source:
                await self._portions.put(batch)
        except BaseException as error:  # noqa: BLE001  raised where the portion is taken
            await self._portions.put(error)
        else:
            await self._portions.put(StopAsyncIteration())

    async def _drain(self) -> bool:
        """Count what still comes. Whether it came to its end."""
        try:
            async with asyncio.timeout(self._work.ctx.settings.drain_s):
                while not isinstance(portion := await self._portions.get(), BaseException):
                    for frame in portion:
                        self._meter.see(frame.events)
        except TimeoutError:
            self._reading.cancel()
            return False
        return isinstance(portion, StopAsyncIteration)
