"""Test mode, as docs/test-mode.md describes it: each script by model and by directive, on its own books."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.asking import ask
from tests.live import Live

MODEL = "black-forest-labs/flux-schnell"


def create(live: Live, model: str, prompt: str, key: str | None = None, **input: Any) -> dict[str, Any]:
    url = f"{live.url}/replicate/v1/models/{model}/predictions"
    return dict(ask(url, "POST", key=key or live.test_key, body={"input": {"prompt": prompt, **input}}).json)


def ended(live: Live, made: dict[str, Any], within_s: float = 20) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while True:
        found = ask(f"{live.url}/replicate/v1/predictions/{made['id']}", key=live.test_key).json
        if found["status"] not in ("starting", "processing"):
            return dict(found)
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("model", "prompt", "status", "words"),
    [
        ("sandbox/instant", "a boat", "succeeded", None),
        ("sandbox/failing", "a boat", "failed", ""),
        ("sandbox/refusing", "a boat", "failed", ""),
        ("sandbox/busy", "a boat", "succeeded", None),
        ("sandbox/flaky", "a boat", "succeeded", None),
        ("sandbox/dying", "a boat", "failed", "lost"),
        (MODEL, "a boat [[fail:out of paint]]", "failed", "out of paint"),
        (MODEL, "a boat [[refuse]]", "failed", ""),
        (MODEL, "a boat [[busy:1]]", "succeeded", None),
        (MODEL, "a boat [[flaky]]", "succeeded", None),
        (MODEL, "a boat [[die]]", "failed", "lost"),
        (MODEL, "a boat [[slow:1]]", "succeeded", None),
    ],
)
def test_scripts_end_as_they_say(live: Live, model: str, prompt: str, status: str, words: str | None) -> None:
    done = ended(live, create(live, model, prompt))
    assert (done["status"], done["error"] is None) == (status, words is None), done
    if words:
        assert words in done["error"]


def test_outputs_by_directive(live: Live) -> None:
    assert len(ended(live, create(live, MODEL, "a boat [[outputs:4]]"))["output"]) == 4


def test_what_hangs_is_cancelled_or_ends_by_its_deadline(live: Live) -> None:
    made = create(live, "sandbox/hanging", "a boat")
    ask(f"{live.url}/replicate/v1/predictions/{made['id']}/cancel", "POST", key=live.test_key)
    assert ended(live, made)["status"] == "canceled"
    url = f"{live.url}/replicate/v1/models/{MODEL}/predictions"
    late = ask(url, "POST", key=live.test_key, body={"input": {"prompt": "[[hang]]"}}, cancel_after="5").json
    assert late["deadline"] and ended(live, late)["status"] == "canceled"


def test_broke_is_402(live: Live) -> None:
    url = f"{live.url}/replicate/v1/models/{MODEL}/predictions"
    refused = ask(url, "POST", key=live.test_key, body={"input": {"prompt": "[[broke]]"}})
    assert (refused.status, refused.json["title"]) == (402, "Insufficient credit")


def test_live_keys_get_no_sandbox(live: Live) -> None:
    key = live.keys("real", mode="live")["key"]
    url = f"{live.url}/replicate/v1/models/sandbox/instant/predictions"
    assert ask(url, "POST", key=key, body={"input": {"prompt": "x"}}).status == 403


def test_a_model_that_only_a_channel_allows_echoes_its_input(live: Live) -> None:
    given = ("--provider", "replicate", "--base-url", "http://127.0.0.1:1", "--model", "house/*")
    live.cli("channels", "add", "house", *given)
    done = ended(live, create(live, "house/own", "hello", strength=3))
    assert json.loads("".join(done["output"])) == {"prompt": "hello", "strength": 3}


def test_test_money_is_spent_and_settled(live: Live) -> None:
    key = live.keys("spends", account="spender")["key"]
    url = f"{live.url}/replicate/v1/models/{MODEL}/predictions"
    ask(url, "POST", key=key, body={"input": {"prompt": "x"}}, prefer="wait")
    entries = json.loads(live.cli("ledger", "show", "spender", "--test", "--json"))
    assert [entry["kind"] for entry in entries] == ["settle", "hold", "topup"]
    assert sum(entry["amount"] for entry in entries) == 1_000_000_000 - 3_000
    assert "books balance" in live.cli("ledger", "check")
