"""Who is asked when a vendor does not do well, and who is left alone: calls at channels with several credentials,
rates, aliases, trials, and probes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from penstock.config import load
from penstock.console.asking import operate
from tests.fault.stage import Answer, Gateway, side_by_side, until
from tests.fault.test_calls import build, request
from tests.rigs.chatting import COMPLETION, PROMPT, completion, usage

WELL = 200
MODELS = ("pool", "told", "chain", "later", "trial", "paced", "paced-alone", "probed", "sick", "kept")


@dataclass
class Behaviour:
    """Of whoever shows this credential."""

    status: int = WELL
    retry_after: str | None = None
    pause_s: float = 0.0
    models: dict[str, int] = field(default_factory=dict)
    """Statuses of single models."""


class Vendor(ThreadingHTTPServer):
    """Chat completions and a list of models; does as it is told, by credential, and notes who asked for what."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.does: dict[str, Behaviour] = {}
        self.asked: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def behaviour(self, credential: str) -> Behaviour:
        return self.does.setdefault(credential, Behaviour())

    def counts(self, model: str) -> Counter[str]:
        """How often each credential asked for this model."""
        return Counter(credential for credential, asked in self.asked if asked == model)


class _Handler(BaseHTTPRequestHandler):
    server: Vendor
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say(200, {"data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        credential = self.headers["authorization"].removeprefix("Bearer ")
        self.server.asked.append((credential, body["model"]))
        behaviour = self.server.behaviour(credential)
        time.sleep(behaviour.pause_s)
        status = behaviour.models.get(body["model"], behaviour.status)
        good = completion("A weir.", usage(PROMPT, COMPLETION))
        self._say(status, good if status == WELL else {"error": {"message": f"scripted {status}"}}, behaviour)

    def _say(self, status: int, said: Any, behaviour: Behaviour | None = None) -> None:
        raw = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        if behaviour and behaviour.retry_after and status != WELL:
            self.send_header("retry-after", behaviour.retry_after)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with Vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, vendor: Vendor) -> Iterator[Gateway]:
    def channel(name: str, *models: str, **more: Any) -> dict[str, Any]:
        base_url = f"http://127.0.0.1:{vendor.server_port}/v1"
        fields = {"name": name, "provider": "compatible", "base_url": base_url, "credential": name, "models": models}
        return fields | more

    folder = tmp_path_factory.mktemp("fallbacks")
    channels = [
        channel("pool", "pool", credential="bad\ngood"),
        channel("told", "told"),
        channel("chain", "chain", "later"),
        channel("trial-1", "trial", priority=9),
        channel("trial-2", "trial"),
        channel("paced-1", "paced", priority=9, rpm=3),
        channel("paced-2", "paced"),
        channel("paced-alone", "paced-alone", rpm=2),
        channel("probed", "probed", options={"probe_s": 1}),
        channel("sick-1", "sick", priority=9),
        channel("sick-2", "sick"),
        *(channel(f"kept-{number}", "kept") for number in range(4)),
    ]
    made = build(folder / "stage", channels, MODELS).gateway(folder / "live")
    made.prefix = "/v1"
    with made.live:
        yield made
    assert made.errors_in_the_books() == []


def ask(gateway: Gateway, model: str, text: str = "x") -> Answer:
    return gateway.ask("POST", "/chat/completions", request(model, text))


def health(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    every = asyncio.run(operate(load(data=gateway.live.data), "channels.list", {}))
    found: list[dict[str, Any]] = next(channel["health"] for channel in every if channel["name"] == name)
    return found


def test_a_rejected_credential_rests_alone(gateway: Gateway, vendor: Vendor) -> None:
    vendor.behaviour("bad").status = 401
    assert {ask(gateway, "pool").status for _ in range(12)} == {200}
    assert vendor.counts("pool")["good"] == 12
    assert vendor.counts("pool")["bad"] == 1
    assert [each["state"] for each in health(gateway, "pool")] == ["resting", "ready"]
    vendor.behaviour("bad").status = WELL
    asyncio.run(operate(load(data=gateway.live.data), "channels.test", {"name": "pool"}))
    assert [each["state"] for each in health(gateway, "pool")] == ["ready", "ready"]


def test_retry_after_is_kept_to(gateway: Gateway, vendor: Vendor) -> None:
    behaviour = vendor.behaviour("told")
    behaviour.status, behaviour.retry_after = 429, "2"
    refused = ask(gateway, "told")
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    behaviour.status = WELL
    early = ask(gateway, "told")
    assert (early.status, early.headers["retry-after"]) == (503, "2")
    assert vendor.counts("told") == {"told": 1}
    time.sleep(2.1)
    assert ask(gateway, "told").status == 200


def test_an_alias_falls_back_on_its_next_model(gateway: Gateway, vendor: Vendor) -> None:
    gateway.live.cli("aliases", "set", "chain", "chain", "later")
    gateway.live.cli("aliases", "set", "whatever", "chain")
    vendor.behaviour("chain").models["chain"] = 404
    assert {ask(gateway, name).status for name in ("chain", "whatever", "chain")} == {200}
    assert (vendor.counts("chain").total(), vendor.counts("later").total()) == (1, 3)
    [whole] = health(gateway, "chain")
    assert (whole["state"], list(whole["models"])) == ("ready", ["chain"])


def test_after_its_rest_one_call_tries_it(gateway: Gateway, vendor: Vendor) -> None:
    behaviour = vendor.behaviour("trial-1")
    behaviour.status = 429
    assert ask(gateway, "trial").status == 200
    behaviour.status, behaviour.pause_s = WELL, 1.0
    time.sleep(2.1)
    before = vendor.counts("trial")
    assert {answer.status for answer in side_by_side(lambda _: ask(gateway, "trial"), range(8))} == {200}
    assert vendor.counts("trial") - before == {"trial-1": 1, "trial-2": 7}
    behaviour.pause_s = 0.0
    assert {ask(gateway, "trial").status for _ in range(4)} == {200}
    assert (vendor.counts("trial") - before)["trial-1"] == 5


def test_what_is_beyond_a_channels_rate_goes_to_the_next(gateway: Gateway, vendor: Vendor) -> None:
    assert {ask(gateway, "paced").status for _ in range(5)} == {200}
    assert vendor.counts("paced") == {"paced-1": 3, "paced-2": 2}


def test_beyond_the_only_rate_the_caller_is_told_when_to_come_back(gateway: Gateway, vendor: Vendor) -> None:
    answers = [ask(gateway, "paced-alone") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 503]
    assert 25 <= int(answers[-1].headers["retry-after"]) <= 30
    assert vendor.counts("paced-alone").total() == 2


def test_a_probe_ends_the_rest_of_a_server_that_failed(gateway: Gateway, vendor: Vendor) -> None:
    vendor.behaviour("probed").status = 500
    assert {ask(gateway, "probed").status for _ in range(3)} == {502}
    vendor.behaviour("probed").status = WELL
    began = time.monotonic()
    until(lambda: not health(gateway, "probed")[0]["models"] or None, 4, "the end of the rest")
    assert time.monotonic() - began < 4.5
    assert vendor.counts("probed").total() == 3


def test_channels_that_are_not_well_take_few_retries(gateway: Gateway, vendor: Vendor) -> None:
    for name in ("sick-1", "sick-2"):
        vendor.behaviour(name).status = 401
    assert {ask(gateway, "sick").status for _ in range(31)} == {503}
    asked = vendor.counts("sick")
    assert asked["sick-1"] == 31
    assert 11 <= asked["sick-2"] <= 13


def test_long_calls_that_begin_alike_stay_together(gateway: Gateway, vendor: Vendor) -> None:
    for number in range(6):
        before = vendor.counts("kept")
        for more in range(4):
            assert ask(gateway, "kept", f"{number}" * 5000 + f" question {more}").status == 200
        assert len(vendor.counts("kept") - before) == 1
    assert len(vendor.counts("kept")) > 1
