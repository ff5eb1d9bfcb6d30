"""What the Python drivers share. Standard library and httpx alone: this runs inside a client's own environment.

A driver runs its scenarios in both modes, many at a time, and prints one JSON line as each ends:
`{"scenario", "mode", "seconds", "error"}`, where `error` is null or a traceback. Arguments name the scenarios to run
(all, when there are none); what to run them against comes as JSON in the variable `CONTRACT`.
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
from typing import Any

import httpx

AT_ONCE = 12
STUCK_AFTER_S = 75
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsItkNKMZ0Qi+hcEKLNXzWgQE"
    "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELgvg2wE81D8XVgAAAABJRU5ErkJggg=="
)

BOAT = "[[slow:0.2]] a boat"
TELL = "[[slow:0.5]] Tell me of boats."

Scenario = Callable[["Case"], Awaitable[None]]
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

    async def collect(self, items: Iterable[Any] | AsyncIterator[Any]) -> list[Any]:
        if hasattr(items, "__aiter__") and not (self.is_sync and hasattr(items, "__iter__")):
            return [item async for item in items]
        return await asyncio.to_thread(list, items)


@dataclass(frozen=True)
class Case:
    """What a scenario needs to know. The account of `crowd_key` has exactly `crowd` predictions."""

    url: str
    key: str
    other_key: str
    crowd_key: str
    crowd: int
    receiver: str
    image: str
    images: str
    language: str
    mode: Mode
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

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https:")

    @property
    def mailbox(self) -> str:
        """A webhook address of this scenario's own. The query is there to be kept."""
        return f"{self.receiver}/{self.unique}?job=17"

    async def deliveries(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """What the receiver got at `mailbox`: a list of (headers, raw body, decoded body), as soon as it is enough."""

        async def look() -> list[Any] | None:
            got = await asyncio.to_thread(httpx.get, self.mailbox)
            bodies = [(one["headers"], base64.b64decode(one["body_base64"])) for one in got.json()]
            came = [(headers, body, json.loads(body)) for headers, body in bodies]
            return came if enough(came) else None

        return await until(look)


def scenario(run: Scenario) -> Scenario:
    """Register a scenario, to be run in every mode."""
    SCENARIOS[run.__name__] = run
    return run


def equal(actual: Any, expected: Any, what: str = "value") -> None:
    assert actual == expected, f"{what}: got {actual!r}, expected {expected!r}"


def true(claim: Any, words: str) -> None:
    assert claim, words


def png(content: bytes) -> None:
    """A whole PNG, first byte to last."""
    true(content.startswith(b"\x89PNG\r\n\x1a\n"), f"not a PNG: {content[:60]!r}")
    true(content.endswith(b"IEND\xaeB`\x82"), f"a PNG cut short: {len(content)} bytes, ends in {content[-20:]!r}")


async def fetch_without_key(url: str) -> bytes:
    """As a browser would: no key, no cookies."""
    reply = await asyncio.to_thread(httpx.get, url)
    equal(reply.status_code, 200, f"status of {url}")
    return reply.content


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while not (found := await look()):
        true(time.monotonic() < deadline, f"nothing came within {seconds:g} s")
        await asyncio.sleep(0.05)
    return found


def main(modes: tuple[Mode, ...]) -> None:
    faulthandler.dump_traceback_later(STUCK_AFTER_S, exit=True)
    asyncio.run(run_all(json.loads(os.environ["CONTRACT"]), modes, set(sys.argv[1:])))


async def run_all(target: dict[str, Any], modes: tuple[Mode, ...], wanted: set[str]) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4 * AT_ONCE))
    turns = asyncio.Semaphore(AT_ONCE)
    runs = [
        run_one(name, run, Case(**target, mode=mode), turns)
        for name, run in SCENARIOS.items()
        for mode in modes
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
    line = {"scenario": name, "mode": case.mode.name, "seconds": round(time.monotonic() - started, 3), "error": error}
    print(json.dumps(line), flush=True)
