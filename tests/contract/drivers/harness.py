"""What the Python drivers share. The standard library alone: this runs inside a client's own environment.

A driver runs its scenarios against each server in the modes that the server asks for, many at a time, and prints one
JSON line as each ends: `{"server", "scenario", "mode", "seconds", "error"}`, where `error` is null or a traceback.
Arguments name the scenarios to run (all, when there are none); the servers come as JSON in the variable `CONTRACT`:
`{name: {"modes": […], …}}`, the rest being the fields of the driver's own kind of `Case`.
"""

from __future__ import annotations

import asyncio
import base64
import faulthandler
import inspect
import json
import os
import sys
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

AT_ONCE = 12
STUCK_AFTER_S = 75
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsItkNKMZ0Qi+hcEKLNXzWgQE"
    "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELgvg2wE81D8XVgAAAABJRU5ErkJggg=="
)

Scenario = Callable[[Any], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


class Mode:
    """How a client is called: its plain methods in a thread, or their asynchronous twins on the loop.

    `prefix` is what the client puts before the twin's name, if they share a class.
    """

    def __init__(self, name: str, prefix: str = "") -> None:
        self.name, self.prefix = name, prefix

    @property
    def is_sync(self) -> bool:
        return self.name == "sync"

    async def do(self, owner: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.is_sync:
            return await asyncio.to_thread(getattr(owner, method), *args, **kwargs)
        result = getattr(owner, self.prefix + method)(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def collect(self, items: Iterable[Any] | AsyncIterator[Any], into: list[Any] | None = None) -> list[Any]:
        """All items; `into` holds those that came, also when the rest fails."""
        got = [] if into is None else into
        if hasattr(items, "__aiter__") and not (self.is_sync and hasattr(items, "__iter__")):
            async for item in items:
                got.append(item)
        else:
            await asyncio.to_thread(got.extend, items)
        return got

    async def helped(self, manager: Any, final: str) -> tuple[list[Any], Any]:
        """The events of a client's stream helper, a context manager, and what its method `final` makes of them."""
        if not self.is_sync:
            async with manager as stream:
                return [event async for event in stream], await getattr(stream, final)()

        def read() -> tuple[list[Any], Any]:
            with manager as stream:
                return list(stream), getattr(stream, final)()

        return await asyncio.to_thread(read)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a scenario needs to know."""

    server: str
    url: str
    key: str
    mode: Mode
    modes: tuple[str, ...]
    unique: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    async def do(self, owner: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return await self.mode.do(owner, method, *args, **kwargs)

    async def collect(self, items: Any) -> list[Any]:
        return await self.mode.collect(items)

    async def raises(self, kind: type[Exception], owner: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        """The error that the call must end with."""
        try:
            result = await self.do(owner, method, *args, **kwargs)
        except kind as error:
            return error
        raise AssertionError(f"{method} returned {result!r}; expected {kind.__name__}")

    async def breaks(self, kind: type[Exception], items: Any) -> tuple[list[Any], Any]:
        """What came of a stream, and the error that it must end with."""
        got: list[Any] = []
        try:
            await self.mode.collect(items, got)
        except kind as error:
            return got, error
        raise AssertionError(f"the stream ended well after {len(got)} items; expected {kind.__name__}: {got[-1:]!r}")

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https:")


def scenario(run: Scenario) -> Scenario:
    """Register a scenario, to be run in every mode."""
    SCENARIOS[run.__name__] = run
    return run


def equal(actual: Any, expected: Any, what: str = "value") -> None:
    assert actual == expected, f"{what}: got {actual!r}, expected {expected!r}"


def true(claim: Any, words: str) -> None:
    assert claim, words


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while not (found := await look()):
        true(time.monotonic() < deadline, f"nothing came within {seconds:g} s")
        await asyncio.sleep(0.05)
    return found


def main(case: type[Case], modes: tuple[Mode, ...]) -> None:
    faulthandler.dump_traceback_later(STUCK_AFTER_S, exit=True)
    asyncio.run(run_all(cases(case, modes, json.loads(os.environ["CONTRACT"])), set(sys.argv[1:])))


def cases(case: type[Case], modes: tuple[Mode, ...], servers: dict[str, Any]) -> list[Callable[[], Case]]:
    """What makes a fresh case, for each server and each of its modes."""
    return [
        partial(case, server=server, mode=mode, **told)
        for server, told in servers.items()
        for mode in modes
        if mode.name in told["modes"]
    ]


async def run_all(cases: list[Callable[[], Case]], wanted: set[str]) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4 * AT_ONCE))
    turns = asyncio.Semaphore(AT_ONCE)
    runs = [
        run_one(name, run, case(), turns)
        for name, run in SCENARIOS.items()
        for case in cases
        if not wanted or name in wanted
    ]
    await asyncio.gather(*runs)


async def run_one(name: str, run: Scenario, case: Case, turns: asyncio.Semaphore) -> None:
    async with turns:
        started, error = time.monotonic(), None
        try:
            await run(case)
        except Exception:
            error = traceback.format_exc()
    told = {"server": case.server, "scenario": name, "mode": case.mode.name}
    print(json.dumps({**told, "seconds": round(time.monotonic() - started, 3), "error": error}), flush=True)
