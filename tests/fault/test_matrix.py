"""Every cell of the fault matrix, made to happen: once with no other channel, once with a well one behind it.

Without another the caller's error is seen, and what the books say; with one, who was asked, and who rests afterwards:
where the next piece of work of the same model goes, and one of another model.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from penstock import gateway as penstock
from penstock.config import load
from penstock.console.asking import operate
from penstock.dialects._installed import dialects
from penstock.store import accounts
from tests.fault.matrix import ACCOUNT, MATRIX, STREAMED, TOLD, TOLD_S, Action, Cell, Charge, Fault, Rest
from tests.fault.stage import ENDED, PLUGINS, RUN_MICROS, Answer, Gateway, Stage, until
from tests.fault.test_calls import GUESSED, PRICE, TOPUP, USUAL, charge, is_refusal, is_stream, request
from tests.live import free_port
from tests.rigs.faulty import CALL, FIRST, SUBMIT, WATCH, Faulty

T = TypeVar("T")
PATIENCE = {
    "connect_timeout_s": "0.8",
    "first_byte_timeout_s": "1.5",
    "idle_timeout_s": "1.5",
    "call_timeout_s": "2",
    "upstream_timeout_s": "1.5",
    "uncertain_s": "3",
    "longest_s": "14",
}
AT_ONCE = 64
"""Cells: they wait more than they work."""
PRODUCED = {"input_token": GUESSED, "output_token": len(FIRST) // 4}
HELD, RELEASED = [("hold", -RUN_MICROS)], [("hold", -RUN_MICROS), ("release", RUN_MICROS)]
Logged = tuple[str, str, int, int]


@dataclass
class World:
    gateway: Gateway
    vendor: Faulty
    tasks: Gateway
    """The same one, by Replicate's paths."""
    spent: list[int] = field(default_factory=list)
    """What every call and task must have been charged, in micros."""

    def logged(self, model: str, calls: int) -> list[Logged]:
        """(outcome, channel, attempts, charge) of every call of a model, in the request log."""
        query = "SELECT outcome, channel, attempts, charge FROM calls WHERE model = ? ORDER BY at, id"
        rows = until(lambda: found if len(found := self.gateway.rows(query, model)) >= calls else None, 10, model)
        return [(str(outcome), str(channel), int(attempts), int(cost)) for outcome, channel, attempts, cost in rows]

    def booked(self, task: str) -> list[tuple[str, int]]:
        query = "SELECT kind, amount FROM entries WHERE work = ? ORDER BY id"
        return [(kind, amount) for kind, amount in self.gateway.rows(query, task)]

    def channel(self, name: str) -> dict[str, Any]:
        """As its operator sees it."""
        every = asyncio.run(operate(load(data=self.gateway.live.data), "channels.list", {}))
        return next(channel for channel in every if channel["name"] == name)

    def at(self, name: str) -> list[str]:
        return self.vendor.account(name).asked


@dataclass(frozen=True)
class Scene:
    """One cell: its models and its channels, which are also accounts of the vendor's."""

    fault: Fault
    work: str

    def __str__(self) -> str:
        return f"{self.fault}-{self.work}"

    @property
    def cell(self) -> Cell:
        return self.fault.cells[self.work]

    @property
    def takes_tasks(self) -> bool:
        return self.work in (SUBMIT, WATCH)

    @property
    def alone(self) -> str:
        return f"{self}-alone"

    @property
    def first(self) -> str:
        return f"{self}-1"

    @property
    def second(self) -> str:
        return f"{self}-2"

    @property
    def model(self) -> str:
        return f"{self}/m"

    @property
    def other(self) -> str:
        """Another model of the same channels."""
        return f"{self}/other"

    @property
    def lone(self) -> str:
        return f"{self.alone}/m"

    @property
    def models(self) -> tuple[str, str, str]:
        return self.model, self.other, self.lone

    def bends(self, vendor: Faulty, account: str, times: int | None = None) -> None:
        at = CALL if self.work == STREAMED else self.work
        vendor.bend(account, self.fault.bend, at, times=times, takes=self.fault.takes)
        if self._leaves:
            vendor.leave(account, 60.0 if times is None else 0.7)

    def channels(self, vendor: Faulty) -> list[dict[str, Any]]:
        pair, alone = ("askable", "replicate") if self.takes_tasks else ("compatible", "compatible")
        both: dict[str, Any] = {"provider": pair, "models": [self.model, self.other]}
        return [
            {"name": self.alone, "provider": alone, "models": [self.lone], "base_url": self._at(vendor, self.alone)},
            {"name": self.first, "priority": 9, "base_url": self._at(vendor, self.first), **both},
            {"name": self.second, "base_url": vendor.base_url(self.second), **both},
        ]

    @property
    def _leaves(self) -> bool:
        """It must have been there for the submission."""
        return self.fault.at == "nobody" and self.work == WATCH

    def _at(self, vendor: Faulty, account: str) -> str:
        if self._leaves:
            return f"http://127.0.0.1:{vendor.door(account)}/{account}"
        ports = {"deaf": vendor.deaf_port, "nobody": free_port()}
        scheme, port = "https" if self.fault.at == "tls" else "http", ports.get(self.fault.at, vendor.port)
        return f"{scheme}://127.0.0.1:{port}/{account}"


SCENES = [Scene(fault, work) for fault in MATRIX for work in fault.cells]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    with Faulty() as vendor:
        channels = [channel for scene in SCENES for channel in scene.channels(vendor)]
        stage = Stage.build(folder / "stage", channels, [])
        asyncio.run(price(folder / "stage" / "data"))
        gateway = stage.gateway(folder / "live", **PATIENCE)
        with gateway.live:
            world = World(replace(gateway, prefix="/v1"), vendor, gateway)
            yield world
    assert gateway.errors_in_the_books() == []
    assert gateway.balance() == TOPUP - sum(world.spent)


async def price(data: Path) -> None:
    """All models, in one write."""
    of_calls = json.dumps([{"unit": unit, "micros": micros} for unit, micros in PRICE.items()])
    of_tasks = json.dumps([{"unit": "run", "micros": RUN_MICROS}])
    lines = {model: of_tasks if scene.takes_tasks else of_calls for scene in SCENES for model in scene.models}
    async with penstock.opened(load(data=data, plugins=(PLUGINS["PENSTOCK_PLUGINS"],))) as ctx:
        await ctx.store.write(*(accounts.price(model, rule, "operator") for model, rule in lines.items()))


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, world: World) -> Iterator[dict[str, Future[None]]]:
    """All chosen scenes, many at a time."""
    chosen = [
        str(item.callspec.params["turn"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {turn: pool.submit(TURNS[turn][1], world, TURNS[turn][0]) for turn in chosen}
        pool.shutdown(cancel_futures=True)


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def call(world: World, scene: Scene, model: str) -> Answer:
    return world.gateway.ask("POST", "/chat/completions", asked(scene, model))


def asked(scene: Scene, model: str) -> bytes:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    return request(model, **more if scene.work == STREAMED else {})


def call_alone(world: World, scene: Scene) -> None:
    scene.bends(world.vendor, scene.alone)
    answer = call(world, scene, scene.lone)
    told(scene, answer)
    assert world.logged(scene.lone, 1) == [(scene.cell.code or "ok", scene.alone, 1, costs(scene, scene.lone))]
    world.spent.append(costs(scene, scene.lone))


def told(scene: Scene, answer: Answer) -> None:
    """What the caller is told where nobody else is left."""
    cell = scene.cell
    assert ACCOUNT not in answer.raw.decode()
    if cell.error is None or cell.action is Action.ENDS:
        assert answer.status == 200, answer.raw
        if scene.work == STREAMED:
            is_stream(answer, has_error=cell.error is not None)
        if cell.error is not None:
            assert f'"code":"{error_of(cell)["code"]}"' in answer.raw.decode()
        return
    is_refusal(answer)
    said, expected = answer.json["error"], error_of(cell)
    assert (answer.status, said["type"], said["code"]) == (expected["status"], expected["type"], expected["code"])
    assert answer.headers["retry-after"] == (f"{TOLD_S}" if cell.health is TOLD else None)
    assert cell.action is not Action.BACK or said["message"] == "scripted 400"


def error_of(cell: Cell) -> dict[str, Any]:
    assert cell.error is not None
    reply = dialects()["openai"].error(cell.error())
    return {"status": reply.status, **json.loads(reply.encoded())["error"]}


def costs(scene: Scene, model: str) -> int:
    """What a call is charged for the first channel's doing, in micros."""
    units = {Charge.WHOLE: USUAL, Charge.PRODUCED: PRODUCED}.get(scene.cell.charge)
    return 0 if units is None else charge(units, asked(scene, model), estimated=False)[1]


WELL: int = charge(USUAL, b"", estimated=False)[1]
"""What a call to a well channel is charged."""


def call_behind(world: World, scene: Scene) -> None:
    expected = in_turns(world, scene, call_once, then_called)
    assert world.logged(scene.model, len(expected)) == expected
    world.spent.append(sum(row[-1] for row in expected))


def in_turns(world: World, scene: Scene, once: Callable[..., T], then: Callable[..., T]) -> list[T]:
    """The fault once, and what is so then; where it takes several in a row for a rest, those too."""
    rest, since = scene.cell.health, time.monotonic()
    hit = rest is not None and rest.after == 1
    found = [once(world, scene), then(world, scene, rest if hit else None, since)]
    if rest is not None and not hit:
        for _ in range(rest.after):
            since = time.monotonic()
            found.append(once(world, scene))
        found.append(then(world, scene, rest, since))
    return found


def call_once(world: World, scene: Scene) -> Logged:
    """A call at a first channel that misbehaves; what the request log must say of it."""
    cell, before = scene.cell, len(world.at(scene.second))
    scene.bends(world.vendor, scene.first)
    answer = call(world, scene, scene.model)
    goes_on = cell.action is Action.ELSEWHERE
    assert len(world.at(scene.second)) - before == goes_on
    if not goes_on:
        told(scene, answer)
        return cell.code or "ok", scene.first, 1, costs(scene, scene.model)
    assert (answer.status, b"weir" in answer.raw) == (200, True), answer.raw
    return "ok", scene.second, 2, WELL


def then_called(world: World, scene: Scene, rest: Rest | None, since: float) -> Logged:
    """The next calls, while the first channel would answer again."""
    after_that(world, scene, rest, since, lambda model: call(world, scene, model).status == 200)
    world.spent.append(WELL)  # of the other model
    return "ok", scene.second if rest else scene.first, 1, WELL


def after_that(world: World, scene: Scene, rest: Rest | None, since: float, works: Callable[[str], object]) -> None:
    """The next work of the same model goes to the second where anything of the first rests; that of another model only
    where all of it does."""
    world.vendor.bend(scene.first, None)
    if rest is not None:
        rests(world, scene, rest, since)
    for model, elsewhere in ((scene.model, rest is not None), (scene.other, rest is not None and rest.whole)):
        before = [len(world.at(name)) for name in (scene.first, scene.second)]
        assert works(model)
        after = [len(world.at(name)) for name in (scene.first, scene.second)]
        assert [now - then for now, then in zip(after, before, strict=True)] == [not elsewhere, elsewhere], model


def rests(world: World, scene: Scene, rest: Rest, since: float) -> None:
    """Who rests, for how long, as the operator sees it. `since`: it began after that (`time.monotonic`)."""
    [health] = world.channel(scene.first)["health"]
    models = {model: each["resting_s"] for model, each in health["models"].items()}
    for_s = TOLD_S if rest.first_s is None else rest.first_s
    assert (health["state"], list(models)) == (("resting", []) if rest.whole else ("ready", [scene.model]))
    left_s, earliest_s = health["resting_s"] if rest.whole else models[scene.model], for_s - (time.monotonic() - since)
    assert earliest_s - 0.1 <= left_s <= for_s


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def ended(world: World, task: str, within_s: float = 40.0) -> dict[str, Any]:
    """Its row, when it has ended."""

    def look() -> dict[str, Any] | None:
        facts = world.gateway.facts(task)
        return facts if facts["state"] in ENDED else None

    return until(look, within_s, task)


def task_alone(world: World, scene: Scene) -> None:
    """A vendor that can't be asked by our tag, and never mends."""
    cell, vendor = scene.cell, world.vendor
    scene.bends(vendor, scene.alone)
    task = world.tasks.made(scene.lone)
    if cell.action is Action.ASKS:
        until(lambda: world.gateway.facts(task)["state"] == "uncertain" or None, 10, task)
        assert world.booked(task) == HELD
    facts = ended(world, task)
    if not cell.code:
        return is_paid(world, task, facts)
    assert (facts["state"], facts["error_code"], facts["charge"]) == ("failed", cell.code, 0)
    assert world.booked(task) == RELEASED
    assert ACCOUNT not in str(world.gateway.rows("SELECT error FROM tasks WHERE id = ?", task))
    account = vendor.account(scene.alone)
    sent = len(account.asked)
    connected = not scene.fault.at or scene.work == WATCH
    assert sent == 0 if not connected else sent > 1 if cell.action is Action.WAITS else sent == 1
    assert list(account.made.values()).count(task) == (scene.fault.takes or scene.work == WATCH)


def is_paid(world: World, task: str, facts: dict[str, Any]) -> None:
    assert (facts["state"], facts["error_code"], facts["charge"]) == ("succeeded", None, RUN_MICROS)
    assert world.booked(task) == [*HELD, ("settle", 0)]
    world.spent.append(RUN_MICROS)


def task_behind(world: World, scene: Scene) -> None:
    in_turns(world, scene, task_once, then_made)


def task_once(world: World, scene: Scene) -> None:
    """A task at a first vendor that misbehaves once, and can be asked by our tag."""
    cell, before = scene.cell, len(world.at(scene.second))
    scene.bends(world.vendor, scene.first, times=None if cell.action in (Action.WELL, Action.DOUBTS) else 1)
    task = world.tasks.made(scene.model)
    facts = ended(world, task)
    goes_on = cell.action in (Action.ELSEWHERE, Action.WAITS)
    assert len(world.at(scene.second)) - before == goes_on
    made_at = [list(world.vendor.account(name).made.values()).count(task) for name in (scene.first, scene.second)]
    if cell.action in (Action.BACK, Action.DOUBTS):
        assert (facts["state"], facts["error_code"], facts["charge"]) == ("failed", cell.code, 0)
        assert world.booked(task) == RELEASED
        assert made_at == [cell.action is Action.DOUBTS, False]
        return
    is_paid(world, task, facts)
    assert made_at == [not goes_on, goes_on]


def then_made(world: World, scene: Scene, rest: Rest | None, since: float) -> None:
    def works(model: str) -> bool:
        task = world.tasks.made(model)
        is_paid(world, task, ended(world, task))
        return True

    after_that(world, scene, rest, since, works)


PLAYS = {False: (call_alone, call_behind), True: (task_alone, task_behind)}
"""For calls, and for tasks."""
TURNS = {f"{scene}-{play.__name__}": (scene, play) for scene in SCENES for play in PLAYS[scene.takes_tasks]}


@pytest.mark.parametrize("turn", TURNS)
def test_what_comes_of_it(turn: str, played: dict[str, Future[None]]) -> None:
    played[turn].result()
