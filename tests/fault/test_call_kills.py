"""kill -9 while calls run, on a disk that syncs slowly: what a client saw to its end is charged, once, and all books
balance; what nobody saw holds no money."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fault.stage import PLUGINS, Answer, Gateway, Stage, until
from tests.fault.test_calls import FIRST, HALF, PRICE, TOPUP, ask, build, channel, charge, request
from tests.live import Live
from tests.rigs.chatting import COMPLETION, PROMPT, STREAM, Chatting
from tests.rigs.counting import ROOT, Counting

SLOWLY = f"{PLUGINS['PENSTOCK_PLUGINS']},tests.rigs.slow_disk"
HASTILY = f"{SLOWLY},tests.rigs.hasty"
COST = PROMPT * PRICE["input_token"] + COMPLETION * PRICE["output_token"]
"""Of every call here."""
SEED = 20261121
CLIENTS, KILLS, ALIVE_S, MOST_CALLS = 32, 6, (0.3, 1.2), 8000


# ── at random, under load ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_client_saw_is_charged_once_whenever_the_server_dies(
    tmp_path: Path, chatting: Chatting, capsys: pytest.CaptureFixture[str]
) -> None:
    clients, gateway = under_fire(tmp_path, chatting, SLOWLY, KILLS)
    assert wrong(clients, gateway, chatting) == []
    with capsys.disabled():
        print(f"\n{clients.begun()} calls, {KILLS} kills; seen to the end: {len(clients.finished)}")
    assert len(clients.finished) > 100
    assert clients.begun() > len(clients.finished)


def test_books_that_answer_too_early_are_caught(tmp_path: Path, chatting: Chatting) -> None:
    """So the test above has teeth."""
    clients, gateway = under_fire(tmp_path, chatting, HASTILY, 2)
    found = wrong(clients, gateway, chatting)
    assert any("was not charged" in words for words in found)


@dataclass
class Clients:
    """Callers who each ask for a model of its own every time, so that a charge tells whose it is."""

    name: str
    gateway: Gateway
    numbers: Iterator[int] = field(default_factory=itertools.count)
    finished: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    strange: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.is_set():
            self.call(next(self.numbers))

    def call(self, number: int) -> None:
        model = f"{self.name}-{number}"
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.live.port, timeout=20)
        while not self.over.is_set():
            try:
                connection.connect()
                break
            except OSError:  # just killed: nothing was sent
                time.sleep(0.02)
        try:
            headers = {"authorization": f"Bearer {self.gateway.key}"}
            connection.request("POST", "/v1/chat/completions", request(model, stream=number % 2 == 1), headers)
            reply = connection.getresponse()
            heard = bytearray()
            while piece := reply.read1():
                heard += piece
                if reply.status == 200 and (b"[DONE]" in heard or is_whole(heard)):
                    self.finished.add(model)
            if model not in self.finished:
                self.strange.append(f"{model}: {reply.status} {bytes(heard)!r}")
        except (OSError, http.client.HTTPException):
            self.cut.add(model)
        finally:
            connection.close()

    def begun(self) -> int:
        return len(self.finished | self.cut)


def is_whole(heard: bytearray) -> bool:
    try:
        return "usage" in json.loads(heard)
    except ValueError:
        return False


def under_fire(folder: Path, chatting: Chatting, plugins: str, kills: int) -> tuple[Clients, Gateway]:
    """Calls without end while the server is killed again and again; at the end it starts once more, and stops."""
    chance = random.Random(SEED)
    name = folder.name
    models = [f"{name}-{number}" for number in range(MOST_CALLS)]
    stage = build(folder / "stage", [channel(chatting, name, f"{name}-*")], models)
    gateway = stage.gateway(folder / "live", plugins=plugins)
    clients = Clients(name, gateway)
    threads = [threading.Thread(target=clients.run) for _ in range(CLIENTS)]
    gateway.live.start()
    try:
        for thread in threads:
            thread.start()
        for _ in range(kills):
            time.sleep(chance.uniform(*ALIVE_S))
            assert gateway.live.kill() == -9
            gateway.live.start()
    finally:
        clients.over.set()
        for thread in threads:
            thread.join(30)
        assert gateway.live.stop() == 0
    return clients, gateway


def wrong(clients: Clients, gateway: Gateway, chatting: Chatting) -> list[str]:
    """What is wrong with the books, in words."""
    rows = gateway.rows("SELECT model, amount, estimated FROM charges")
    charged, arrived = Counter(row[0] for row in rows), chatting.counts()
    found = list(clients.strange)
    found += [f"{model} was not charged" for model in clients.finished if not charged[model]]
    found += [f"{model} was charged {count} times" for model, count in charged.items() if count > 1]
    found += [f"{model} was charged, and never asked for" for model in charged if not arrived[model]]
    found += [
        f"{row} is no charge of these calls" for row in rows if row[0] in clients.finished and row[1:] != (COST, 0)
    ]
    if gateway.balance() != TOPUP - sum(row[1] for row in rows):
        found.append(f"{gateway.balance()} is left")
    return found + gateway.errors_in_the_books()


# ── a gentle end ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_is_asked_to_end_settles_what_streams(tmp_path: Path, chatting: Chatting) -> None:
    chatting.script("gentle", "m", STREAM + FIRST, 30.0)
    stage = build(tmp_path / "stage", [channel(chatting, "gentle", "m")], ["m"])
    gateway = stage.gateway(tmp_path / "live", shutdown_s="1", plugins=SLOWLY)
    gateway.prefix = "/v1"
    with ThreadPoolExecutor(1) as pool, gateway.live:
        streaming = pool.submit(ask, gateway, "m", stream=True)
        until(lambda: chatting.at("m") or None, 5, "the stream")
        time.sleep(0.2)
        assert gateway.live.stop() == 0
        streaming.exception(10)
    units, amount, estimated = charge(HALF, request("m", stream=True), estimated=True)
    ((written, *paid),) = gateway.rows("SELECT units, amount, estimated FROM charges")
    assert (json.loads(written), *paid) == (units, amount, estimated)
    assert gateway.rows("SELECT count(*) FROM epochs WHERE closed_at IS NULL") == [(0,)]
    assert gateway.balance() == TOPUP - amount
    assert gateway.errors_in_the_books() == []


# ── at named moments ──────────────────────────────────────────────────────────────────────────────────────────────────

MONEY, PICTURE = 2_000_000, 1_950_000
"""A picture costs more than the balance holds while a part of it is drawn for calls."""


@dataclass(frozen=True)
class Story:
    """Where the process dies, and how many calls are charged by then; `picture`: a task asks for the drawn money."""

    point: str
    stream: bool = False
    charged: int = 0
    picture: bool = False
    later: bool = False
    """The answer is out when the server dies."""

    def __str__(self) -> str:
        return f"{self.point}-{'picture' if self.picture else 'stream' if self.stream else 'whole'}"


STORIES = [
    Story("call.answered"),
    Story("call.answered", stream=True),
    Story("call.settled", charged=1),
    Story("call.settled", stream=True, charged=1),
    Story("call.drawing"),
    Story("call.drawn"),
    Story("call.returning", charged=1, picture=True),
    Story("call.returned", charged=1, picture=True),
    Story("call.summing", charged=1, later=True),
    Story("call.summed", charged=1, later=True),
]


def test_every_named_moment_is_tried() -> None:
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    named = {name for source in sources for name in re.findall(r'faults\.reach\("(call\.[^"]+)"\)', source)}
    assert named == {story.point for story in STORIES}


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, chatting: Chatting, upstream: Counting
) -> Iterator[dict[str, Future[None]]]:
    chosen = [
        item.callspec.params["story"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and "story" in item.fixturenames
    ]
    folder = tmp_path_factory.mktemp("call-kills")
    pictures = {"name": "pictures", "base_url": upstream.base_url("pictures"), "models": ["p/*"]}
    stage = build(folder / "stage", [channel(chatting, "points", "m"), pictures], ["m"], usd=MONEY / 1e6)
    Live(stage.folder).cli("prices", "set", "p/m", "--run", f"{PICTURE / 1e6}")
    with ThreadPoolExecutor(4) as pool:
        yield {str(story): pool.submit(tell, story, stage, folder / f"{n}", chatting) for n, story in enumerate(chosen)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_money_survives_kill_9(story: Story, told: dict[str, Future[None]]) -> None:
    told[str(story)].result()


def tell(story: Story, stage: Stage, folder: Path, chatting: Chatting) -> None:
    gateway = stage.gateway(folder, faults=story.point, plugins=SLOWLY)
    gateway.prefix = "/v1"
    try:
        gateway.live.start()
        _tell(story, gateway)
    except BaseException as error:
        error.add_note(gateway.live.log_tail())
        raise
    finally:
        if gateway.live.process is not None:
            gateway.live.kill()


def _tell(story: Story, gateway: Gateway) -> None:
    pictures = Gateway(gateway.live, gateway.key)
    if story.picture:
        assert bounded(gateway).status == 200
        dies(lambda: pictures.create("p/m", idempotency_key="one"))
    elif story.later:
        assert bounded(gateway).status == 200
    else:
        dies(lambda: bounded(gateway, stream=story.stream))
    assert gateway.crash() == -9

    del gateway.live.environment["PENSTOCK_FAULTS"]
    gateway.live.start()
    assert gateway.rows("SELECT amount FROM charges") == [(COST,)] * story.charged
    assert gateway.balance() == MONEY - story.charged * COST
    assert gateway.rows("SELECT runs, amount FROM spending") == [(1, COST)] * story.charged
    if story.picture:
        assert pictures.create("p/m", idempotency_key="one").status == 201
    assert bounded(gateway, stream=story.stream).status == 200
    gateway.live.stop()
    spent = (story.charged + 1) * COST + (PICTURE if story.picture else 0)
    assert gateway.balance() == MONEY - spent
    assert gateway.errors_in_the_books() == []


def bounded(gateway: Gateway, *, stream: bool = False) -> Answer:
    return ask(gateway, "m", stream=stream, max_tokens=1000)


def dies(act: Any) -> None:
    """The client sees no answer."""
    with pytest.raises((OSError, http.client.HTTPException)):
        act()
