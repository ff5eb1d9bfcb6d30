"""Callers' webhooks when their receivers falter: repeated until taken, in order, and nobody waits for another's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.fault.stage import Gateway, Stage, side_by_side, statuses, until
from tests.live import free_port
from tests.rigs.counting import Counting
from tests.webhook_receiver import Answer, Delivery, WebhookReceiver

ENDED = {"succeeded", "failed", "canceled"}
OUTBOX = "SELECT state, attempts, last_status FROM outbox WHERE task = ? ORDER BY id"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Counting) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("webhooks")
    channels = [
        {"name": "hooks", "base_url": upstream.base_url("hooks"), "models": ["hooks/m"]},
        {"name": "u", "provider": "uncancellable", "base_url": upstream.base_url("hooks"), "models": ["unstoppable/m"]},
    ]
    stage = Stage.build(folder / "stage", channels, ["hooks/m", "unstoppable/m"])
    made = stage.gateway(folder / "live", webhook_timeout_s="1")
    with made.live:
        yield made


def told(gateway: Gateway, deliveries: list[Delivery]) -> list[str]:
    return statuses(gateway.webhook_secret(), deliveries)


def test_every_event_in_order_and_the_end_last(gateway: Gateway) -> None:
    with WebhookReceiver() as hooks:
        task = gateway.made("hooks/m", {"duration_s": 2.0}, hook=f"{hooks.url}/all")
        hooks.wait(lambda came: told(gateway, came)[-1:] == ["succeeded"])
        time.sleep(1.0)
        came = told(gateway, hooks.deliveries)
        assert came.index("processing") < came.index("succeeded")
        assert came[-1] == "succeeded"
        assert [state for state, _, _ in gateway.rows(OUTBOX, task)] == ["delivered", "delivered"]


def test_news_that_grows_is_told_twice_a_second_at_most(gateway: Gateway) -> None:
    with WebhookReceiver() as hooks:
        gateway.made("hooks/m", {"duration_s": 3.0}, hook=f"{hooks.url}/grows")
        hooks.wait(lambda came: told(gateway, came)[-1:] == ["succeeded"])
        news = [one.arrived_at for one in hooks.deliveries if one.json()["status"] == "processing"]  # type: ignore[index]
        assert len(news) >= 3
        assert min(after - before for before, after in pairwise(news[1:])) > 0.45


def test_only_the_events_that_were_asked_for(gateway: Gateway) -> None:
    with WebhookReceiver() as hooks:
        body: dict[str, Any] = {"input": {"rig": {"duration_s": 1.2}}, "webhook": f"{hooks.url}/some"}
        body["webhook_events_filter"] = ["completed"]
        answer = gateway.ask("POST", "/models/hooks/m/predictions", body)
        gateway.ended(answer.json["id"])
        hooks.wait(1)
        time.sleep(0.7)
        assert told(gateway, hooks.deliveries) == ["succeeded"]


def test_what_was_not_taken_is_repeated_as_the_same_message(gateway: Gateway) -> None:
    troubles = [Answer(500), Answer(404), Answer(hang_up=True), Answer(302), Answer(delay_s=2.0)]
    side_by_side(lambda trouble: _is_repeated(gateway, trouble), troubles)


def _is_repeated(gateway: Gateway, trouble: Answer) -> None:
    with WebhookReceiver(script=[trouble, trouble]) as hooks:
        task = gateway.made("hooks/m", hook=f"{hooks.url}/falters")
        hooks.wait(lambda came: len(came) >= 4, 20)
        until(lambda: {row[0] for row in gateway.rows(OUTBOX, task)} == {"delivered"} or None, 10)
        first, again, finally_, *_ = [one.headers["webhook-id"] for one in hooks.deliveries]
        assert first == again == finally_
        assert told(gateway, hooks.deliveries)[-1] == "succeeded"
        assert gateway.rows(OUTBOX, task)[0][1:] == (3, 200)


def test_a_dead_receiver_delays_nobody_elses(gateway: Gateway) -> None:
    with WebhookReceiver() as hooks, WebhookReceiver(otherwise=Answer(delay_s=30.0)) as silent:
        for _ in range(20):
            gateway.made("hooks/m", hook=f"http://127.0.0.1:{free_port()}/dead")
            gateway.made("hooks/m", hook=f"{silent.url}/silent")
        began = time.monotonic()
        task = gateway.made("hooks/m", hook=f"{hooks.url}/well")
        gateway.ended(task)
        hooks.wait(lambda came: told(gateway, came)[-1:] == ["succeeded"])
        assert time.monotonic() - began < 6.0


def test_what_waits_outlives_the_process(gateway: Gateway) -> None:
    port = free_port()
    task = gateway.made("hooks/m", hook=f"http://127.0.0.1:{port}/later")
    gateway.ended(task)
    until(lambda: gateway.rows(OUTBOX, task)[0][1] or None, 5)
    gateway.live.kill()
    gateway.live.start()
    assert {row[0] for row in gateway.rows(OUTBOX, task)} == {"pending"}
    with WebhookReceiver(port=port) as hooks:
        hooks.wait(lambda came: len(came) >= 2, 15)
        assert told(gateway, hooks.deliveries)[-1] == "succeeded"


def test_a_vendor_that_can_not_cancel_has_no_last_word(gateway: Gateway) -> None:
    """Its caller was told `canceled`; what the vendor goes on to say is no news."""
    with WebhookReceiver() as hooks:
        task = gateway.made("unstoppable/m", {"duration_s": 2.0}, hook=f"{hooks.url}/unstoppable")
        until(lambda: gateway.show(task)["status"] == "processing" or None, 5)
        gateway.cancel(task)
        until(lambda: gateway.facts(task)["state"] == "succeeded" or None, 10)
        time.sleep(0.7)
        came = told(gateway, hooks.deliveries)
        assert {status for status in came if status in ENDED} == {"canceled"}
        assert came[-1] == "canceled"
