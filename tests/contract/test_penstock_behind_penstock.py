"""One penstock as the upstream of another: what its callers see is what the one behind it does, and nothing is lost."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from penstock.config import load
from penstock.console.asking import operate
from tests.fault.stage import Gateway, until
from tests.live import Live

RUN_MICROS = 10_000
PICTURES = "black-forest-labs/flux-schnell"
EDITS = "black-forest-labs/flux-kontext-pro"
WORDS = "meta/meta-llama-3-8b-instruct"


@dataclass(frozen=True)
class Pair:
    """The gateway that callers speak with, and the one behind it, where a test key is the credential."""

    front: Gateway
    back: Gateway

    def creates(self, task: str) -> int:
        """Whether this task of the front arrived at the back: the front's tag is the back's idempotency key."""
        query = "SELECT count(*) FROM idempotency WHERE key = ?"
        return int(self.back.rows(query, task)[0][0])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Live(tmp_path_factory.mktemp("back")) as behind, Live(tmp_path_factory.mktemp("front")) as before:
        back, front = Gateway(behind, new_key(behind, "test")), Gateway(before, new_key(before, "live"))
        operator(before, "accounts.topup", name="default", usd="100", mode="live")
        given = {"name": "behind", "provider": "replicate", "base_url": f"{behind.url}/replicate/v1"}
        given |= {"credential": back.key, "models": ["*"], "options": {"idempotent": True}}
        operator(before, "channels.add", **given)
        for model in (PICTURES, EDITS, WORDS):
            operator(before, "prices.set", model=model, lines=[{"unit": "run", "micros": RUN_MICROS, "per": 1}])
        yield Pair(front, back)


def test_pictures_logs_and_metrics_come_through(pair: Pair) -> None:
    before = pair.front.balance()
    task = create(pair.front, PICTURES, prompt="a weir in the morning [[slow:2]] [[outputs:2]]")
    seen = set()
    while not (shown := pair.front.show(task)).get("completed_at"):
        seen.add(shown["logs"])
        time.sleep(0.05)
    assert shown["status"] == "succeeded", shown
    assert len(seen - {""}) >= 2
    assert shown["metrics"]["predict_time"] > 0
    assert len(shown["output"]) == 2
    for url in shown["output"]:
        assert url.startswith(pair.front.live.url)
        Image.open(io.BytesIO(download(url))).load()
    assert before - pair.front.balance() == RUN_MICROS
    assert pair.creates(task) == 1


def test_words_come_through(pair: Pair) -> None:
    ended = pair.front.ended(create(pair.front, WORDS, prompt="say something"))
    assert ended["status"] == "succeeded"
    assert isinstance(ended["output"], list)
    assert "".join(ended["output"])


def test_a_cancel_is_passed_on(pair: Pair) -> None:
    before = pair.front.balance()
    task = create(pair.front, PICTURES, prompt="[[slow:60]]")
    until(lambda: pair.front.show(task)["logs"] or None, 10, "logs")
    pair.front.cancel(task)
    assert pair.front.ended(task, 5)["status"] == "canceled"
    assert latest(pair.back)["status"] == "canceled"
    assert pair.front.balance() == before


def test_a_failure_is_passed_on_in_its_words(pair: Pair) -> None:
    before = pair.front.balance()
    ended = pair.front.ended(create(pair.front, PICTURES, prompt="[[slow:0]] [[fail:the lock gate is stuck]]"))
    assert (ended["status"], ended["error"]) == ("failed", "the lock gate is stuck")
    assert pair.front.balance() == before


def test_a_refusal_is_passed_on(pair: Pair) -> None:
    before = pair.front.balance()
    task = create(pair.front, PICTURES, prompt="[[refuse]]")
    assert pair.front.ended(task)["error"] == latest(pair.back)["error"]
    assert pair.front.balance() == before


@pytest.mark.parametrize("how", ["uploaded", "data", "large data"])
def test_a_file_reaches_the_one_behind(pair: Pair, how: str) -> None:
    picture = png(Image.effect_noise((500, 400), 120) if how != "data" else Image.new("RGB", (50, 40), "teal"))
    given = "data:image/png;base64," + base64.b64encode(picture).decode()
    url = upload(pair.front, picture) if how == "uploaded" else given
    task = create(pair.front, EDITS, prompt="as a woodcut [[slow:0]]", input_image=url)
    ended = pair.front.ended(task)
    assert ended["status"] == "succeeded", ended
    arrived = file_behind(pair.back, latest(pair.back)["id"], latest(pair.back)["input"]["input_image"])
    assert arrived == picture


def test_kill_9_of_the_front_right_after_its_intent(pair: Pair) -> None:
    front = pair.front
    front.live.environment["PENSTOCK_FAULTS"] = "submit.intent"
    front.live.restart()
    before = front.balance()
    given = {"input": {"prompt": "[[slow:1]]"}}
    with suppress(OSError):
        front.ask("POST", f"/models/{PICTURES}/predictions", given, idempotency_key="once")
    front.crash()
    del front.live.environment["PENSTOCK_FAULTS"]
    front.live.start()
    again = front.ask("POST", f"/models/{PICTURES}/predictions", given, idempotency_key="once")
    task = again.json["id"]
    assert front.ended(task)["status"] == "succeeded"
    assert pair.creates(task) == 1
    assert before - front.balance() == RUN_MICROS


def test_kill_9_of_the_front_while_it_runs(pair: Pair) -> None:
    tasks = [create(pair.front, PICTURES, prompt=f"{number} [[slow:1.5]]") for number in range(5)]
    pair.front.live.kill()
    pair.front.live.start()
    assert [pair.front.ended(task)["status"] for task in tasks] == ["succeeded"] * 5
    assert [pair.creates(task) for task in tasks] == [1] * 5


def test_kill_9_of_the_back_while_it_runs(pair: Pair) -> None:
    tasks = [create(pair.front, PICTURES, prompt=f"{number} [[slow:1.5]]") for number in range(5)]
    until(lambda: all(pair.creates(task) for task in tasks) or None, 10, "all at the back")
    pair.back.live.kill()
    time.sleep(1)
    pair.back.live.start()
    assert [pair.front.ended(task)["status"] for task in tasks] == ["succeeded"] * 5
    assert [pair.creates(task) for task in tasks] == [1] * 5


def test_what_comes_while_the_back_is_away_waits_for_it(pair: Pair) -> None:
    pair.back.live.kill()
    task = create(pair.front, PICTURES, prompt="patience [[slow:0]]")
    time.sleep(1)
    assert pair.front.show(task)["status"] == "starting"
    pair.back.live.start()
    assert pair.front.ended(task)["status"] == "succeeded"
    assert pair.creates(task) == 1


def test_each_task_was_made_once_behind(pair: Pair) -> None:
    assert pair.back.count("tasks") == pair.front.count("tasks")


def test_the_books_balance_in_the_end(pair: Pair) -> None:
    assert operator(pair.front.live, "ledger.check") == []
    assert operator(pair.back.live, "ledger.check") == []


# ── how ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def operator(live: Live, act: str, **given: Any) -> Any:
    """What a command of the operator's does, without a process of its own."""
    return asyncio.run(operate(load(data=live.data), act, given))


def new_key(live: Live, mode: str) -> str:
    return str(operator(live, "keys.create", name="callers", mode=mode, account="default")["key"])


def create(gateway: Gateway, model: str, **input: Any) -> str:
    answer = gateway.ask("POST", f"/models/{model}/predictions", {"input": input})
    assert answer.status == 201, (answer.status, answer.raw)
    return str(answer.json["id"])


def latest(gateway: Gateway) -> dict[str, Any]:
    return dict(gateway.ask("GET", "/predictions").json["results"][0])


def file_behind(back: Gateway, task: str, said: str) -> bytes:
    """The file that the one behind was given: in the input itself, or as it fetched it."""
    if said.startswith("data:"):
        return base64.b64decode(said.partition(",")[2])
    with sqlite3.connect(f"file:{back.live.data}/penstock.db?mode=ro", uri=True) as database:
        query = "SELECT sha256 FROM files WHERE task = ? AND role = 'input'"
        sha256 = str(database.execute(query, (task,)).fetchone()[0])
    return (Path(back.live.data) / "files" / "by-hash" / sha256[:2] / sha256).read_bytes()


def upload(gateway: Gateway, data: bytes) -> str:
    edge = "edge-of-a-part"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="content"; filename="mine.png"\r\n\r\n'.encode()
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": f"multipart/form-data; boundary={edge}"}
    body = head + data + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(f"{gateway.live.url}{gateway.prefix}/files", body, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return str(json.load(reply)["urls"]["get"])


def download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as reply:
        body: bytes = reply.read()
        return body


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
