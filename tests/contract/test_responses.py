"""Responses over HTTP: kept, gone on from, and made in the background, by test keys and through an upstream that is
another gateway, in the same format and in others."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.config import load
from penstock.console.asking import operate
from tests.fault.stage import Gateway, until
from tests.live import Live

SAME, OTHER = "gpt-5-mini", "gpt-4o-mini"
"""The first goes to the upstream as it is, the second by way of its chat completions."""
GONE = {"completed", "incomplete", "failed", "cancelled"}


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("behind")) as running:
        yield running


@pytest.fixture(scope="module")
def front(back: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Live(tmp_path_factory.mktemp("before")) as running:
        key, test_key = new_key(running, "live"), new_key(running, "test")
        operator(running, "accounts.topup", name="default", usd="100", mode="live")
        strangers_key = str(operator(running, "keys.create", name="s", mode="live", account="strangers")["key"])
        for provider, model in (("openai", SAME), ("compatible", OTHER)):
            given = {"name": provider, "provider": provider, "base_url": f"{back.url}/v1", "models": [model]}
            operator(running, "channels.add", **given, credential=new_key(back, "test"))
            lines = [{"unit": "input_token", "micros": 100}, {"unit": "output_token", "micros": 1000}]
            operator(running, "prices.set", model=model, lines=lines)
        yield Gateway(running, key, strangers_key, test_key, prefix="/v1")


def operator(live: Live, act: str, **given: Any) -> Any:
    return asyncio.run(operate(load(data=live.data), act, given))


def new_key(live: Live, mode: str) -> str:
    return str(operator(live, "keys.create", name="callers", mode=mode, account="default")["key"])


def respond(front: Gateway, **fields: Any) -> dict[str, Any]:
    answer = front.ask("POST", "/responses", fields)
    assert answer.status == 200, answer.raw
    return dict(answer.json)


def get(front: Gateway, id: str) -> dict[str, Any]:
    answer = front.ask("GET", f"/responses/{id}")
    assert answer.status == 200, answer.raw
    return dict(answer.json)


def ended(front: Gateway, id: str) -> dict[str, Any]:
    return until(lambda: found if (found := get(front, id))["status"] in GONE else None, 20.0, id)


def streamed(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: ")]


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item.get("content", ()))


@pytest.mark.parametrize("model", [SAME, OTHER])
def test_an_answer_is_kept_for_its_owner(front: Gateway, model: str) -> None:
    made = respond(front, model=model, input="Name a river.", metadata={"a": "b"})
    assert made["status"] == "completed"
    assert (made["metadata"], made["usage"]["output_tokens"] > 0) == ({"a": "b"}, True)
    assert get(front, made["id"]) == made
    for key in (front.strangers_key, front.test_key):
        assert front.ask("GET", f"/responses/{made['id']}", key=key).status == 404
    assert front.ask("DELETE", f"/responses/{made['id']}").json == {
        "id": made["id"],
        "object": "response",
        "deleted": True,
    }
    assert front.ask("GET", f"/responses/{made['id']}").status == 404


def test_what_shall_not_be_kept_is_not(front: Gateway) -> None:
    made = respond(front, model=SAME, input="Name a river.", store=False)
    assert front.ask("GET", f"/responses/{made['id']}").status == 404


@pytest.mark.parametrize("model", [SAME, OTHER])
def test_a_dialogue_goes_on(front: Gateway, model: str) -> None:
    first = respond(front, model=model, input="Name a river.")
    answer = front.ask(
        "POST", "/responses", {"model": model, "input": "Longer?", "previous_response_id": first["id"], "stream": True}
    )
    events = streamed(answer.raw)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    second = events[-1]["response"]
    assert second["previous_response_id"] == first["id"]
    assert get(front, second["id"]) == second
    items = front.ask("GET", f"/responses/{second['id']}/input_items?order=asc").json
    said = ["".join(part["text"] for part in item["content"]) for item in items["data"] if item["type"] == "message"]
    assert said == ["Name a river.", text_of(first), "Longer?"]
    last = front.ask("GET", f"/responses/{second['id']}/input_items?limit=1").json
    assert (last["data"][0], last["has_more"]) == (items["data"][-1], True)
    rest = front.ask("GET", f"/responses/{second['id']}/input_items?after={last['last_id']}").json
    assert (rest["data"], rest["has_more"]) == (items["data"][-2::-1], False)


def test_what_is_not_there(front: Gateway) -> None:
    assert front.ask("GET", "/responses/resp_nothing").status == 404
    missing = front.ask("POST", "/responses", {"model": SAME, "input": "x", "previous_response_id": "resp_nothing"})
    assert (missing.status, missing.json["error"]["param"]) == (400, "previous_response_id")
    assert "'resp_nothing' not found" in missing.json["error"]["message"]
    strange = front.ask("POST", "/responses", {"model": "nobody/knows", "input": "x", "background": True})
    assert strange.status == 404
    assert front.ask("POST", "/responses/compact", {"model": SAME}).status == 404
    loose = front.ask("POST", "/responses", {"model": SAME, "input": "x", "background": True, "store": False})
    assert (loose.status, loose.json["error"]["param"]) == (400, "store")
    made = respond(front, model=SAME, input="x")
    assert front.ask("POST", f"/responses/{made['id']}/cancel").status == 400
    assert front.ask("GET", f"/responses/{made['id']}?stream=true").status == 400
    for query in ("limit=0", "limit=x", "order=up", "after=msg_1"):
        assert front.ask("GET", f"/responses/{made['id']}/input_items?{query}").status == 400


@pytest.mark.parametrize("model", [SAME, OTHER])
def test_tokens_are_counted(front: Gateway, model: str) -> None:
    answer = front.ask("POST", "/responses/input_tokens", {"model": model, "input": "one two three four"})
    assert answer.status == 200, answer.raw
    assert answer.json["object"] == "response.input_tokens"
    assert answer.json["input_tokens"] > 1


@pytest.mark.parametrize("model", [SAME, OTHER])
def test_in_the_background(front: Gateway, model: str) -> None:
    before, charges = front.balance(), front.count("charges")
    made = respond(front, model=model, input="Name a river.", background=True, max_output_tokens=400)
    assert (made["status"], made["background"], made["output"]) == ("queued", True, [])
    done = ended(front, made["id"])
    assert done["status"] == "completed"
    assert (done["id"], done["background"], done["max_output_tokens"]) == (made["id"], True, 400)
    assert text_of(done)
    usage = done["usage"]
    task = made["id"].removeprefix("resp_")
    assert front.facts(task)["charge"] == usage["input_tokens"] * 100 + usage["output_tokens"] * 1000
    assert front.count("charges") == charges, "charged as a call too"
    assert before - front.balance() >= front.facts(task)["charge"]
    events = streamed(front.ask("GET", f"/responses/{made['id']}?stream=true").raw)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert events[-1] == {"type": "response.completed", "sequence_number": len(events) - 1, "response": done}
    later = streamed(front.ask("GET", f"/responses/{made['id']}?stream=true&starting_after=4").raw)
    assert later == events[5:]
    shown = front.ask("GET", f"/tasks/{task}").json
    assert (shown["state"], shown["output"]) == ("succeeded", text_of(done))


@pytest.mark.parametrize("model", [SAME, OTHER])
def test_a_background_stream_is_left_and_taken_up_again(front: Gateway, model: str) -> None:
    body = {"model": model, "input": "Name a river. [[slow:3]]", "background": True, "stream": True}
    headers = {"authorization": f"Bearer {front.key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{front.live.url}/v1/responses", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        first = [reply.readline() for _ in range(2)]
    id = streamed(b"".join(first))[0]["response"]["id"]
    events = streamed(front.ask("GET", f"/responses/{id}?stream=true&starting_after=0").raw)
    assert [event["sequence_number"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "response.completed"
    assert get(front, id) == events[-1]["response"]


def test_a_cancel_costs_what_was_made(front: Gateway) -> None:
    made = respond(front, model=SAME, input="Name a river. [[slow:20]]", background=True)
    until(lambda: get(front, made["id"])["status"] == "in_progress" or None, 10.0)
    cancelled = front.ask("POST", f"/responses/{made['id']}/cancel")
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    facts = front.facts(made["id"].removeprefix("resp_"))
    assert facts["state"] == "canceled"
    assert 0 < facts["charge"] < facts["hold"]
    assert front.ask("POST", f"/responses/{made['id']}/cancel").json["status"] == "cancelled"


def test_a_refused_call_fails_and_costs_nothing(front: Gateway) -> None:
    made = respond(front, model=SAME, input="Name a river. [[refuse]]", background=True)
    done = ended(front, made["id"])
    assert done["status"] in ("failed", "incomplete", "completed")
    if done["status"] == "failed":
        assert done["error"]["message"]
        assert front.facts(made["id"].removeprefix("resp_"))["charge"] == 0


def test_a_killed_gateway_gives_up_what_it_was_at(front: Gateway) -> None:
    before = front.balance()
    made = respond(front, model=SAME, input="Name a river. [[slow:20]]", background=True)
    until(lambda: get(front, made["id"])["status"] == "in_progress" or None, 10.0)
    front.live.kill()
    front.live.start()
    done = ended(front, made["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "server_error")
    facts = front.facts(made["id"].removeprefix("resp_"))
    assert (facts["state"], facts["error_code"], facts["charge"]) == ("failed", "fate_unknown", 0)
    events = streamed(front.ask("GET", f"/responses/{made['id']}?stream=true").raw)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1] == {"type": "response.failed", "sequence_number": len(events) - 1, "response": done}
    assert "balance" in front.books_balance()
    assert before - front.balance() <= 1_000_000  # an allowance may be drawn, no more


def test_deleting_what_is_being_made_ends_it(front: Gateway) -> None:
    made = respond(front, model=SAME, input="Name a river. [[slow:20]]", background=True)
    assert front.ask("DELETE", f"/responses/{made['id']}").status == 200
    assert front.ask("GET", f"/responses/{made['id']}").status == 404
    task = made["id"].removeprefix("resp_")
    assert (
        until(lambda: found if (found := front.facts(task))["charge"] is not None else None, 10.0)["state"]
        == "canceled"
    )
