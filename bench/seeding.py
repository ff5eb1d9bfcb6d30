"""Data directories as a busy gateway would have left them, written through the real store: the books balance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from penstock.access import Keys
from penstock.canonical.task import State, Task
from penstock.canonical.who import LIVE, Caller
from penstock.catalog.loaded import catalog
from penstock.clock import SECOND, now
from penstock.config import load
from penstock.context import Context
from penstock.gateway import opened
from penstock.ids import new_id
from penstock.ledger import Charge, Prices, hold, settle, topup
from penstock.routing import Channels
from penstock.store import Step, tasks

CHAT_MODEL = "gpt-4o"
CHAT_PRICE = {"input_token": 2_500_000, "output_token": 10_000_000}
"""Micro-dollars for a million."""
MONEY = 10**15
LIMITS: dict[str, Any] = {
    "rpm": 10**8,
    "tpm": 10**9,
    "concurrency": 10**6,
    "models": ["gpt-*"],
    "networks": ["127.0.0.0/8"],
    **dict.fromkeys(("quota_total", "quota_month", "quota_day"), MONEY),
}
"""Each that a key can have, wide enough for all that is asked, so that each is counted."""
MODEL = "kwaivgi/kling-v1.6-standard"
INPUT = {"prompt": "a paper boat on a lake at sunset, seen from the shore", "duration": 5, "aspect_ratio": "16:9"}
HOLD = 250_000
GET = "/replicate/v1/predictions/"
AT_ONCE = 500


@dataclass(frozen=True)
class Create:
    """A request that makes a task."""

    path: str = f"/replicate/v1/models/{MODEL}/predictions"
    body: str = msgspec.json.encode({"input": INPUT}).decode()


CREATE = Create()


@dataclass(frozen=True)
class Seeded:
    """`usual_s` is how long the model usually takes; `finished` and `running` are ids."""

    data: Path
    key: str
    usual_s: float
    finished: Sequence[str]
    running: Sequence[str]


def seed(data: Path, upstream: str, *, finished: int = 0, running: int = 0) -> Seeded:
    """A live key with money, a channel to `upstream`, so many finished tasks, and so many running ones whose ages are
    spread evenly over what the model usually takes."""
    return asyncio.run(_seed(data, upstream, finished, running))


def seed_chat(data: Path, upstream: str) -> str:
    """A live key with money, a channel to `upstream`, and a price, so that every call is held for and charged."""
    return asyncio.run(_seed_chat(data, upstream))


async def _seed(data: Path, upstream: str, finished: int, running: int) -> Seeded:
    async with opened(load(data=data)) as ctx:
        key, caller = await _paying(ctx)
        given = {"name": "upstream", "provider": "replicate", "base_url": upstream, "options": {"idempotent": True}}
        channel = await ctx.of(Channels).add({**given, "models": ["*"]})
        model = catalog(ctx).find(MODEL)
        assert model is not None
        done = list(_tasks(caller, channel.id, State.SUCCEEDED, finished, model.usual_s, model.longest_s))
        going = list(_tasks(caller, channel.id, State.RUNNING, running, model.usual_s, model.longest_s))
        await _write(ctx, caller, [*done, *going])
    return Seeded(data, key, model.usual_s, [task.id for task in done], [task.id for task in going])


async def _seed_chat(data: Path, upstream: str) -> str:
    async with opened(load(data=data)) as ctx:
        key, _ = await _paying(ctx, **LIMITS)
        await ctx.of(Channels).add({"name": "chat", "provider": "openai", "base_url": upstream, "models": [CHAT_MODEL]})
        lines = [{"unit": unit, "micros": micros, "per": 1_000_000} for unit, micros in CHAT_PRICE.items()]
        await ctx.of(Prices).add(CHAT_MODEL, lines)
    return key


async def _paying(ctx: Context, **limits: Any) -> tuple[str, Caller]:
    """A live key whose account has more than it will spend."""
    key: str = (await ctx.of(Keys).create("bench", LIVE, "default", **limits))["key"]
    caller = await ctx.of(Keys).caller(key)
    await ctx.store.write(*topup(caller.account, LIVE, MONEY))
    return key, caller


async def _write(ctx: Context, caller: Caller, made: list[Task]) -> None:
    for start in range(0, len(made), AT_ONCE):
        await ctx.store.write(*[step for task in made[start : start + AT_ONCE] for step in _steps(caller, task)])


def _steps(caller: Caller, task: Task) -> Iterator[Step]:
    yield from hold(caller, task.id, task.hold)
    yield tasks.insert(task)
    if task.ended:
        yield from settle(task, Charge(task.charge or 0, 0, {"rule": "bench"}))


def _tasks(caller: Caller, channel: str, state: State, count: int, usual_s: float, longest_s: float) -> Iterator[Task]:
    for number in range(count):
        began = now() - int(usual_s * SECOND * (number + 1) / count)
        yield _task(caller, channel, state, began, longest_s)


def _task(caller: Caller, channel: str, state: State, began: int, longest_s: float) -> Task:
    ended = state is State.SUCCEEDED
    id = new_id()
    return Task(
        id=id,
        name=None,
        dialect="replicate",
        account=caller.account,
        key=caller.key,
        mode=LIVE,
        source="api",
        model=MODEL,
        version="hidden",
        deployment=None,
        input=msgspec.json.encode(INPUT).decode(),
        files=None,
        state=state,
        attempt=1,
        channel=channel,
        upstream_model=MODEL,
        ref=id,
        refused_by="",
        report=None,
        output='"done"' if ended else None,
        logs="",
        metrics='{"predict_time":31.4159}' if ended else "{}",
        error=None,
        error_code=None,
        price='{"lines":[{"unit":"run","micros":250000}],"version":"bench","source":""}',
        hold=HOLD,
        charge=HOLD if ended else None,
        webhook=None,
        webhook_events="",
        created_at=began,
        moved_at=began,
        submitted_at=began,
        started_at=began,
        completed_at=now() if ended else None,
        due_at=began,
        deadline=None,
        longest_s=longest_s,
        canceled_at=None,
        data_removed=False,
        seq=0,
    )
