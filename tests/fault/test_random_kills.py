"""kill -9 at random under load: every accepted task ends, none is made twice, the books balance, all are told."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fault.stage import RUN_MICROS, Gateway, Stage, side_by_side, statuses, until
from tests.fault.test_kill import ACCOUNTS, BALANCE, channel
from tests.rigs.counting import Counting
from tests.webhook_receiver import WebhookReceiver

SEED = 20261121
EACH = 100
KILLS = 8
ALIVE_S = (0.2, 2.0)
CALLERS = 12
Order = tuple[int, str, dict[str, Any]]


def test_300_tasks_under_random_kills(tmp_path: Path, upstream: Counting, capsys: pytest.CaptureFixture[str]) -> None:
    def say(words: str) -> None:
        with capsys.disabled():
            print(words)

    chance = random.Random(SEED)
    upstream.control("keys", honours_keys=True)
    models = [f"{name}/m" for name in ACCOUNTS]
    stage = Stage.build(tmp_path / "stage", [channel(upstream, name) for name in ACCOUNTS], models)
    gateway = stage.gateway(tmp_path / "live", uncertain_s="6", find_grace_s="0.5")
    orders = [(number, ACCOUNTS[number % 3], rig(chance)) for number in range(3 * EACH)]
    with WebhookReceiver() as hooks:
        try:
            gateway.live.start()
            accepted = under_fire(gateway, chance, orders, hooks)
            told_and_settled(gateway, upstream, hooks, orders, accepted, say)
        finally:
            if gateway.live.process is not None:
                gateway.live.stop()


def rig(chance: random.Random) -> dict[str, Any]:
    """How the upstream treats one create: mostly well, never in less than an instant."""
    trouble = chance.choices(
        [{}, {"hang_up": "before", "times": 1}, {"hang_up": "after", "times": 1}, {"answer": 429, "times": 1}],
        [85, 5, 5, 5],
    )[0]
    return trouble | {
        "duration_s": chance.uniform(0.2, 3.0),
        "before_s": chance.choice([0.0, 0.0, 0.1, 0.3]),
        "after_s": chance.choice([0.0, 0.0, 0.1, 0.3]),
        "outcome": chance.choices(["succeeded", "failed"], [9, 1])[0],
        "retry_after_s": 0.2,
    }


def under_fire(gateway: Gateway, chance: random.Random, orders: list[Order], hooks: WebhookReceiver) -> dict[int, str]:
    """Send all orders while the server is killed again and again. Each order's task."""
    over = threading.Event()
    accepted: dict[int, str] = {}
    callers = threading.Thread(target=lambda: accepted.update(place(gateway, orders, hooks, over)))
    callers.start()
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(*ALIVE_S))
            assert gateway.live.kill() == -9
            gateway.live.start()
        callers.join(30)
        assert not callers.is_alive(), "not every order was accepted"
    finally:
        over.set()
        callers.join(30)
    return accepted


def place(gateway: Gateway, orders: list[Order], hooks: WebhookReceiver, over: threading.Event) -> dict[int, str]:
    """Callers who repeat what was not answered, under the same Idempotency-Key, as a careful client does."""
    pace_s = KILLS * sum(ALIVE_S) / 2 / len(orders) * CALLERS

    def one(order: Order) -> tuple[int, str]:
        number, account, rig = order
        while not over.is_set():
            try:
                answer = gateway.create(
                    f"{account}/m", rig, hook=f"{hooks.url}/{number}", idempotency_key=f"order-{number}"
                )
            except OSError:
                time.sleep(0.1)
                continue
            assert answer.status in (201, 202, 503), (answer.status, answer.raw)
            if answer.status != 503:
                time.sleep(pace_s)
                return number, str(answer.json["id"])
        raise RuntimeError(f"order {number} was never accepted")

    return dict(side_by_side(one, orders, threads=CALLERS))


def told_and_settled(
    gateway: Gateway,
    upstream: Counting,
    hooks: WebhookReceiver,
    orders: list[Order],
    accepted: dict[int, str],
    say: Callable[[str], None],
) -> None:
    unfinished = "SELECT count(*) FROM tasks WHERE state NOT IN ('succeeded', 'failed', 'canceled')"
    until(lambda: gateway.rows(unfinished) == [(0,)] or None, 40, "every task's end")
    assert len(set(accepted.values())) == gateway.count("tasks") == len(orders)

    creates = upstream.creates()
    upstreams = {accepted[number]: account for number, account, _ in orders}
    made_twice = {task: creates[task] for task in upstreams if creates.get(task, 0) > 1}
    assert made_twice == {}
    unmade = [task for task in upstreams if not creates.get(task)]
    assert {upstreams[task] for task in unmade} <= {"neither"}
    for task in unmade:
        facts = gateway.facts(task)
        assert (facts["state"], facts["error_code"], facts["charge"]) == ("failed", "fate_unknown", 0)
    unknown = Counter(upstreams[t] for (t,) in gateway.rows("SELECT id FROM tasks WHERE error_code = 'fate_unknown'"))
    assert set(unknown) <= {"neither"}
    counted = f"{len(upstreams)} tasks, {KILLS} kills; fate unknown: {unknown['neither']}, never made: {len(unmade)}"
    say(f"\n{counted}")

    succeeded = gateway.rows("SELECT count(*) FROM tasks WHERE state = 'succeeded'")[0][0]
    assert gateway.balance() == BALANCE - succeeded * RUN_MICROS
    pending = "SELECT count(*) FROM outbox WHERE state = 'pending'"
    until(lambda: gateway.rows(pending) == [(0,)] or None, 20, "an empty outbox")
    gateway.books_balance()
    secret = gateway.webhook_secret()
    for number, task in accepted.items():
        assert statuses(secret, hooks.at(f"/{number}"))[-1] == gateway.facts(task)["state"]
