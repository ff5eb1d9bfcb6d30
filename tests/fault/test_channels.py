"""Which channel gets the work, what is done about one that fails, and how tasks are stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fault.stage import RUN_MICROS, Gateway, Stage, side_by_side, until
from tests.live import free_port
from tests.rigs.counting import Counting

LONGEST_S = 12
UNCERTAIN_S = 4

TRIED_ELSEWHERE: dict[str, dict[str, Any]] = {
    "wrong-credential": {"answer": 401},
    "account-empty": {"answer": 402},
    "forbidden": {"answer": 403},
    "unknown-model": {"answer": 404},
    "rate-limited": {"answer": 429},
    "failing": {"answer": 500},
    "overloaded": {"answer": 503},
    "not-listening": {},
}
"""The first channel surely took nothing: the second gets the work."""
NEVER_ELSEWHERE: dict[str, dict[str, Any]] = {
    "bad-gateway": {"answer": 502},
    "gateway-timeout": {"answer": 504},
    "a-page-of-500": {"answer": 500, "words": False},
    "hung-up-before": {"hang_up": "before"},
    "hung-up-after": {"hang_up": "after"},
    "too-late": {"after_s": 4.0},
    "not-json": {"garbled": True},
}
"""Sent, fate unknown: the first channel may have taken it."""
ALONE: dict[str, dict[str, Any]] = {
    "refusing-input": {"answer": 422},
    "all-rejected": {"answer": 401},
    "busy-at-first": {"answer": 429, "retry_after_s": 0.3, "times": 2},
    "busy-for-long": {"answer": 429, "retry_after_s": 60},
    "endless": {"duration_s": None},
    "quick": {},
    "slow-to-take": {"duration_s": None, "before_s": 1.5},
    "slow-to-refuse": {"answer": 429, "retry_after_s": 0.2, "times": 1, "before_s": 1.5},
    "slow-and-lost": {"duration_s": None, "before_s": 1.5, "hang_up": "before", "times": 1, "honours_keys": True},
}
"""Channels that are the only one for their model."""

CHAINS: dict[str, dict[str, Any]] = {
    "chain-refused": {"answer": 404},
    "chain-failing": {"answer": 500},
    "chain-lost": {"hang_up": "after"},
}
"""What the first model of an alias meets; the second is well."""
PACE = 20
"""A minute's worth of it may go at once, then one every 3 s."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Counting) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("channels")
    channels: list[dict[str, Any]] = []
    for name, behaviour in (TRIED_ELSEWHERE | NEVER_ELSEWHERE).items():
        upstream.control(f"{name}-1", **behaviour)
        channels += [alone(upstream, name, f"{name}-1", priority=9), alone(upstream, name, f"{name}-2")]
    for name, behaviour in ALONE.items():
        upstream.control(name, **behaviour)
        channels.append(alone(upstream, name, name, options={"idempotent": "honours_keys" in behaviour}))
    upstream.control("narrow", duration_s=0.6)
    upstream.control("full", duration_s=1.5)
    channels += [
        alone(upstream, "narrow", "narrow", concurrency=2),
        alone(upstream, "spill", "full", concurrency=1, priority=9),
        alone(upstream, "spill", "spill"),
        alone(upstream, "unstoppable", "unstoppable", provider="uncancellable"),
    ]
    for name, behaviour in CHAINS.items():
        upstream.control(f"{name}-1", **behaviour)
        channels += [
            *(alone(upstream, f"{name}-1", f"{name}-1"), alone(upstream, f"{name}-2", f"{name}-2", priority=9)),
        ]
    channels += [
        alone(upstream, "paced", "paced", rpm=PACE),
        alone(upstream, "doubled", "doubled", credential="one\ntwo", concurrency=1),
    ]
    next(c for c in channels if c["name"] == "not-listening-1")["base_url"] = f"http://127.0.0.1:{free_port()}"
    stage = Stage.build(folder / "stage", channels, {channel["models"][0] for channel in channels})
    made = stage.gateway(
        folder / "live",
        longest_s=f"{LONGEST_S}",
        uncertain_s=f"{UNCERTAIN_S}",
        upstream_timeout_s="2",
    )
    with made.live:
        for name in CHAINS:
            made.live.cli("aliases", "set", f"{name}/m", f"{name}-1/m", f"{name}-2/m")
        yield made


def alone(upstream: Counting, model: str, account: str, **more: Any) -> dict[str, Any]:
    return {"name": account, "base_url": upstream.base_url(account), "models": [f"{model}/m"], **more}


@pytest.fixture(scope="module")
def lasting(gateway: Gateway) -> dict[str, str]:
    """Tasks that take their time, begun together."""
    slow = {name: gateway.made(f"{name}/m") for name in NEVER_ELSEWHERE}
    return slow | {
        "overdue": gateway.made("endless/m"),
        "overdue-queued": gateway.made("busy-for-long/m"),
        "deadline": gateway.made("endless/m", cancel_after="5s"),
        "deadline-queued": gateway.made("busy-for-long/m", cancel_after="5s"),
    }


@pytest.mark.parametrize("name", TRIED_ELSEWHERE)
def test_what_the_first_surely_did_not_take_goes_to_the_second(
    name: str, gateway: Gateway, lasting: dict[str, str], upstream: Counting
) -> None:
    task = gateway.made(f"{name}/m")
    assert gateway.ended(task)["status"] == "succeeded"
    assert upstream.creates(f"{name}-1") == {}
    assert upstream.creates(f"{name}-2") == {task: 1}
    if name != "not-listening":
        assert upstream.report(f"{name}-1")["attempts"] == {task: 1}


@pytest.mark.parametrize("name", NEVER_ELSEWHERE)
def test_what_the_first_may_have_taken_goes_nowhere_else(
    name: str, gateway: Gateway, lasting: dict[str, str], upstream: Counting
) -> None:
    task = lasting[name]
    ended = gateway.ended(task)
    assert (ended["status"], gateway.facts(task)["error_code"]) == ("failed", "fate_unknown")
    assert upstream.report(f"{name}-1")["attempts"] == {task: 1}
    assert upstream.report(f"{name}-2")["attempts"] == {}
    assert gateway.facts(task)["charge"] == 0


def test_what_would_fail_anywhere_is_tried_once(gateway: Gateway, upstream: Counting) -> None:
    task = gateway.made("refusing-input/m")
    ended = gateway.ended(task)
    assert (ended["status"], ended["error"]) == ("failed", "scripted 422")
    assert upstream.report("refusing-input")["attempts"] == {task: 1}


def test_our_trouble_with_a_vendor_is_not_the_callers_to_read(gateway: Gateway) -> None:
    task = gateway.made("all-rejected/m")
    ended = gateway.ended(task)
    assert (ended["status"], gateway.facts(task)["error_code"]) == ("failed", "channel_rejected")
    assert "scripted" not in str(ended)


def test_when_all_are_busy_the_task_waits(gateway: Gateway, upstream: Counting) -> None:
    task = gateway.made("busy-at-first/m")
    assert gateway.ended(task)["status"] == "succeeded"
    report = upstream.report("busy-at-first")
    assert (report["attempts"], report["creates"]) == ({task: 3}, {task: 1})


def test_a_channel_never_has_more_at_once_than_it_may(gateway: Gateway, upstream: Counting) -> None:
    tasks = side_by_side(lambda _: gateway.made("narrow/m"), range(8))
    assert {gateway.ended(task)["status"] for task in tasks} == {"succeeded"}
    report = upstream.report("narrow")
    assert report["most_at_once"] == 2
    assert report["creates"] == dict.fromkeys(tasks, 1)


def test_what_finds_no_place_at_the_best_goes_to_the_next(gateway: Gateway, upstream: Counting) -> None:
    tasks = [gateway.made("spill/m") for _ in range(3)]
    assert {gateway.ended(task)["status"] for task in tasks} == {"succeeded"}
    assert len(upstream.creates("full")) == 1
    assert len(upstream.creates("spill")) == 2


def test_a_rate_is_kept_to_by_those_in_line(gateway: Gateway, upstream: Counting) -> None:
    began = time.monotonic()
    tasks = side_by_side(lambda _: gateway.made("paced/m"), range(PACE + 2))
    assert {gateway.ended(task)["status"] for task in tasks} == {"succeeded"}
    assert 5.0 < time.monotonic() - began < 11.0
    assert upstream.creates("paced") == dict.fromkeys(tasks, 1)


def test_each_credential_has_its_own_places(gateway: Gateway, upstream: Counting) -> None:
    tasks = side_by_side(lambda _: gateway.made("doubled/m", {"rig": {"duration_s": 1.0}}), range(4))
    assert {gateway.ended(task)["status"] for task in tasks} == {"succeeded"}
    assert upstream.report("doubled")["most_at_once"] == 2
    used = gateway.rows(
        "SELECT channel, count(*) FROM tasks WHERE model = 'doubled/m' GROUP BY channel ORDER BY channel"
    )
    (first, most), (second, others) = used
    assert (most, others) == (2, 2)
    assert second.startswith(f"{first}.")


@pytest.mark.parametrize("name", ["chain-refused", "chain-failing"])
def test_an_alias_falls_back_where_its_first_model_was_surely_not_taken(
    name: str, gateway: Gateway, upstream: Counting
) -> None:
    task = gateway.made(f"{name}/m")
    assert gateway.ended(task)["status"] == "succeeded"
    assert upstream.report(f"{name}-1")["attempts"] == {task: 1}
    assert upstream.creates(f"{name}-1") == {}
    assert upstream.creates(f"{name}-2") == {task: 1}
    assert gateway.rows("SELECT upstream_model FROM tasks WHERE id = ?", task) == [(f"{name}-2/m",)]


def test_an_alias_never_falls_back_from_what_may_have_been_taken(gateway: Gateway, upstream: Counting) -> None:
    task = gateway.made("chain-lost/m")
    gateway.ended(task)
    assert gateway.facts(task)["error_code"] == "fate_unknown"
    assert upstream.creates("chain-lost-1") == {task: 1}
    assert upstream.report("chain-lost-2")["attempts"] == {}


# ── stopped by the caller ─────────────────────────────────────────────────────────────────────────────────────────────


def test_cancel_queued(gateway: Gateway, lasting: dict[str, str], upstream: Counting) -> None:
    until(lambda: upstream.report("busy-for-long")["attempts"] or None, 5)
    task = gateway.made("busy-for-long/m")
    assert gateway.cancel(task)["status"] == "canceled"
    assert gateway.facts(task) == {
        "state": "canceled",
        "attempt": 1,
        "error_code": None,
        "hold": RUN_MICROS,
        "charge": 0,
    }
    assert task not in upstream.report("busy-for-long")["attempts"]


def test_cancel_running(gateway: Gateway, upstream: Counting) -> None:
    task = gateway.made("endless/m")
    until(lambda: gateway.show(task)["status"] == "processing" or None, 5)
    gateway.cancel(task)
    assert gateway.ended(task, 5)["status"] == "canceled"
    assert task in upstream.report("endless")["cancels"]
    assert gateway.facts(task)["charge"] == 0


def test_cancel_ended(gateway: Gateway) -> None:
    task = gateway.made("quick/m")
    gateway.ended(task)
    assert gateway.cancel(task)["status"] == "succeeded"


def test_cancel_where_the_vendor_can_not(gateway: Gateway, upstream: Counting) -> None:
    """The caller sees it canceled at once, and for ever; what it came to is settled."""
    task = gateway.made("unstoppable/m", {"duration_s": 2.5})
    until(lambda: gateway.show(task)["status"] == "processing" or None, 5)
    assert gateway.cancel(task)["status"] == "canceled"
    assert gateway.facts(task)["state"] == "canceling"
    until(lambda: gateway.facts(task)["state"] == "succeeded" or None, 10)
    assert gateway.show(task)["status"] == "canceled"
    assert gateway.facts(task)["charge"] == RUN_MICROS
    assert upstream.report("unstoppable")["cancels"] == []


def test_cancel_while_it_is_submitted(gateway: Gateway, upstream: Counting) -> None:
    task = gateway.made("slow-to-take/m")
    until(lambda: upstream.report("slow-to-take")["attempts"].get(task), 5)
    gateway.cancel(task)
    assert gateway.ended(task, 8)["status"] == "canceled"
    assert upstream.report("slow-to-take")["cancels"] == [task]


def test_cancel_while_it_is_refused(gateway: Gateway, upstream: Counting) -> None:
    task = gateway.made("slow-to-refuse/m")
    until(lambda: upstream.report("slow-to-refuse")["attempts"].get(task), 5)
    gateway.cancel(task)
    assert gateway.ended(task, 3)["status"] == "canceled"
    assert upstream.creates("slow-to-refuse") == {}


def test_cancel_while_its_fate_is_open(gateway: Gateway, upstream: Counting) -> None:
    task = gateway.made("slow-and-lost/m")
    until(lambda: gateway.facts(task)["state"] == "uncertain" or None, 5)
    gateway.cancel(task)
    assert gateway.ended(task, 8)["status"] == "canceled"
    assert upstream.report("slow-and-lost")["cancels"] == [task]


# ── stopped by time ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["deadline", "deadline-queued"])
def test_a_deadline_cancels(name: str, gateway: Gateway, lasting: dict[str, str], upstream: Counting) -> None:
    task = lasting[name]
    assert gateway.ended(task)["status"] == "canceled"
    took_s = gateway.rows("SELECT (completed_at - created_at) / 1e9 FROM tasks WHERE id = ?", task)[0][0]
    assert 5.0 <= took_s < 8.0
    assert (task in upstream.report("endless")["cancels"]) == (name == "deadline")


@pytest.mark.parametrize("name", ["overdue", "overdue-queued"])
def test_no_task_lives_for_ever(name: str, gateway: Gateway, lasting: dict[str, str], upstream: Counting) -> None:
    task = lasting[name]
    assert gateway.ended(task)["status"] == "failed"
    took_s = gateway.rows("SELECT (completed_at - created_at) / 1e9 FROM tasks WHERE id = ?", task)[0][0]
    assert LONGEST_S <= took_s < LONGEST_S + 4
    assert gateway.facts(task)["charge"] == 0
    assert (task in upstream.report("endless")["cancels"]) == (name == "overdue")


def test_the_books_balance_after_all_that(gateway: Gateway, lasting: dict[str, str]) -> None:
    for task in lasting.values():
        gateway.ended(task)
    time.sleep(0.2)
    succeeded = gateway.rows("SELECT count(*) FROM tasks WHERE state = 'succeeded'")[0][0]
    assert gateway.balance() == 1_000_000_000 - succeeded * RUN_MICROS
    gateway.books_balance()
