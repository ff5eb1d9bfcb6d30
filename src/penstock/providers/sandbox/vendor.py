"""The pretend vendor: an API over jobs that it keeps as small files, so that they outlive the gateway.

    POST /jobs                  {tag, model, kind, input, usual_s, output_schema}; the same tag again is the same job
    GET  /jobs/{tag}            GET /jobs?tag={tag} → {"jobs": [...]}            POST /jobs/{tag}/cancel
    GET  sandbox://files/{tag}/{n}.{ext}
    POST /calls/{format}/{model}    see `calls`

Nothing runs in between: what a job shows follows from its record and the clock, and its files are drawn when they are
asked for.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from weakref import WeakValueDictionary

import msgspec

from penstock.clock import Nanos, after, now
from penstock.errors import InvalidInput, UpstreamForgot
from penstock.providers._base import Ask
from penstock.providers.sandbox import jobs, orders
from penstock.providers.sandbox.calls import Calls
from penstock.providers.sandbox.jobs import ENDED, Job, NewJob
from penstock.providers.sandbox.script import RETRY_AFTER_S

Reply = tuple[int, dict[str, str], bytes]
TAG = r"[0-9A-Za-z_-]{1,64}"
ONE = re.compile(rf"/jobs/({TAG})")
CANCEL = re.compile(rf"/jobs/({TAG})/cancel")
FIND = re.compile(rf"/jobs\?tag=({TAG})")
CALL = re.compile(r"/calls/([a-z0-9_]+)/(.+)", re.DOTALL)
FILE = re.compile(rf"sandbox://files/({TAG})/(\d{{1,2}})\.[a-z0-9]{{2,4}}")
KEPT_S = 86_400.0
SWEEP_S = 3600.0
REMEMBERED = 20_000
DRAWN_AT_ONCE = 2
NO_PAGE = "There is no such page at the sandbox."


class Vendor:
    """The transport of test keys. `clock` gives nanoseconds since 1970."""

    def __init__(self, data: Path, clock: Callable[[], Nanos] = now) -> None:
        self._memory = Memory(data / "jobs")
        self._clock = clock
        self._calls = Calls(clock)
        self._drawing = asyncio.Semaphore(DRAWN_AT_ONCE)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._polls: dict[str, int] = {}
        self._swept_at = clock()
        self._sweeping: asyncio.Task[None] | None = None

    async def answer(self, ask: Ask) -> Reply:
        path = ask.path if ask.path.startswith("sandbox:") else unquote(ask.path)
        try:
            if (ask.method, path) == ("POST", "/jobs"):
                return await self._create(ask.body or b"")
            if ask.method == "POST" and (call := CALL.fullmatch(path)):
                return await self._calls.answer(call[1], call[2], ask.body or b"")
            for method, pattern, step in (
                ("GET", ONE, self._show),
                ("GET", FIND, self._find),
                ("POST", CANCEL, self._cancel),
                ("GET", FILE, self._file),
            ):
                if method == ask.method and (match := pattern.fullmatch(path)):
                    return await step(*match.groups())
        except OSError as error:
            return said(500, f"The sandbox can't use its disk: {error.strerror}.")
        return said(404, NO_PAGE)

    def stream(self, ask: Ask) -> AsyncIterator[bytes]:
        call = CALL.fullmatch(unquote(ask.path)) if ask.method == "POST" else None
        if call is None:
            raise UpstreamForgot(NO_PAGE)
        return self._calls.stream(call[1], call[2], ask.body or b"")

    async def close(self) -> None:
        if self._sweeping is not None:
            await asyncio.wait([self._sweeping])

    # ── what it answers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, body: bytes) -> Reply:
        self._sweep_sometimes()
        try:
            new = await asyncio.to_thread(msgspec.json.decode, body, type=NewJob)
        except msgspec.DecodeError as error:
            return said(400, f"Not a job: {error}.")
        if not re.fullmatch(TAG, new.tag):
            return said(400, "A tag is 1 to 64 letters, digits, hyphens, or underscores.")
        async with self._lock(new.tag):
            known = await self._memory.get(new.tag)
            if known is not None and known.created_at:
                return json(200, jobs.shown(known, self._clock()))
            return await self._take_on(new, known.turned_away if known else 0)

    async def _take_on(self, new: NewJob, turned_away: int) -> Reply:
        acting = jobs.behaviour(new)
        if turned_away < acting.busy_times:
            await self._memory.put(Job(new.tag, new.kind, turned_away=turned_away + 1))
            return said(429, "The sandbox is busy, as its script says.", {"retry-after": f"{RETRY_AFTER_S:g}"})
        if acting.refuses:
            return said(451, jobs.REFUSED)
        source = await asyncio.to_thread(orders.picture_in, new.input)
        async with self._drawing if source else nullcontext():
            job = await asyncio.to_thread(jobs.taken_on, new, source, self._clock())
        if job.order is not None and job.order.with_source and source:
            await self._memory.put_source(job.tag, source)
        await self._memory.put(job)
        return json(201, jobs.shown(job, self._clock()))

    async def _show(self, tag: str) -> Reply:
        job = await self._known(tag)
        if job is None:
            return said(404, "The sandbox has no such job.")
        if job.flaky and self._every_second(tag):
            return said(503, "The sandbox is out of order for a moment, as its script says.")
        return json(200, jobs.shown(job, self._clock()))

    async def _find(self, tag: str) -> Reply:
        job = await self._known(tag)
        return json(200, {"jobs": [jobs.shown(job, self._clock())] if job else []})

    async def _cancel(self, tag: str) -> Reply:
        async with self._lock(tag):
            job, at = await self._known(tag), self._clock()
            if job is None:
                return said(404, "The sandbox has no such job.")
            if job.completed_at(at) is None:
                job = msgspec.structs.replace(job, canceled_at=at)
                await self._memory.put(job)
            return json(200, jobs.shown(job, at))

    async def _file(self, tag: str, number: str) -> Reply:
        job = await self._memory.get(tag)
        if job is None or job.order is None or int(number) >= job.files:
            return said(404, "The sandbox has no such file.")
        source = await self._memory.source(tag) if job.order.with_source else None
        try:
            async with self._drawing:
                content_type, data = await asyncio.to_thread(orders.made, job.order, int(number), source)
        except InvalidInput as error:
            return said(422, str(error))
        return 200, {"content-type": content_type}, data

    # ── what it remembers ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _known(self, tag: str) -> Job | None:
        """A job that was taken on and that the vendor still admits to."""
        job = await self._memory.get(tag)
        return None if job is None or not job.created_at or job.forgotten(self._clock()) else job

    def _every_second(self, tag: str) -> bool:
        if len(self._polls) > REMEMBERED:
            self._polls.clear()
        self._polls[tag] = self._polls.get(tag, 0) + 1
        return self._polls[tag] % 2 == 0

    def _lock(self, tag: str) -> asyncio.Lock:
        return self._locks.setdefault(tag, asyncio.Lock())

    def _sweep_sometimes(self) -> None:
        at = self._clock()
        if at >= after(SWEEP_S, self._swept_at) and (self._sweeping is None or self._sweeping.done()):
            self._swept_at = at
            self._sweeping = asyncio.create_task(self._memory.sweep(after(-KEPT_S, at)))


class Memory:
    """One small file a job, written whole or not at all, and the newest jobs at hand. Files are touched in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recent: OrderedDict[str, Job] = OrderedDict()

    async def get(self, tag: str) -> Job | None:
        if tag not in self._recent:
            job = await asyncio.to_thread(self._read, tag)
            if job is not None and tag not in self._recent:  # a write in the meantime knows better
                self._remember(job)
        return self._recent.get(tag)

    async def put(self, job: Job) -> None:
        await asyncio.to_thread(self._write, f"{job.tag}.json", msgspec.json.encode(job))
        self._remember(job)

    async def source(self, tag: str) -> bytes | None:
        """The caller's picture."""
        return await asyncio.to_thread(self._bytes, f"{tag}.source")

    async def put_source(self, tag: str, data: bytes) -> None:
        await asyncio.to_thread(self._write, f"{tag}.source", data)

    async def sweep(self, before: Nanos) -> None:
        """Forget the jobs that ended before a moment, and those that were only ever turned away."""
        for tag in await asyncio.to_thread(self._removed, before):
            self._recent.pop(tag, None)

    def _remember(self, job: Job) -> None:
        self._recent[job.tag] = job
        self._recent.move_to_end(job.tag)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def _removed(self, before: Nanos) -> list[str]:
        gone = []
        for file in list(self._folder.glob("*.json")):
            job = self._read(file.stem)
            if job is not None and (job.created_at or file.stat().st_mtime_ns) < before and job.status(before) in ENDED:
                file.unlink(missing_ok=True)
                (self._folder / f"{job.tag}.source").unlink(missing_ok=True)
                gone.append(job.tag)
        return gone

    def _read(self, tag: str) -> Job | None:
        data = self._bytes(f"{tag}.json")
        try:
            return msgspec.json.decode(data, type=Job) if data is not None else None
        except msgspec.DecodeError:
            return None  # of a version to come, or damaged: forgotten, as vendors do

    def _bytes(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, name: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f"{name}.draft"  # one writer a tag, so one draft
        draft.write_bytes(data)
        draft.replace(self._folder / name)


def json(status: int, body: Any) -> Reply:
    return status, {"content-type": "application/json"}, msgspec.json.encode(body)


def said(status: int, words: str, headers: dict[str, str] | None = None) -> Reply:
    code, typed, body = json(status, {"detail": words})
    return code, {**typed, **(headers or {})}, body
