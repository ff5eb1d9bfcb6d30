"""Prices from the command line to what a live key is told: the same figures, dated, conditional, and imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.live import Live

FLUX = "black-forest-labs/flux-dev"
LISTED = {
    "big-boat": {
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
        "mode": "chat",
        "source": "https://a.b",
    },
    "free-boat": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "mode": "chat"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("prices")) as running:
        running.cli("channels", "add", "shut", "--provider", "replicate", "--base-url", "http://127.0.0.1:9")
        chat = ("--provider", "openai", "--base-url", "http://127.0.0.1:9", "--credential", "c")
        running.cli("channels", "add", "talk", *chat, "--model", "boat=big-boat", "--model", "odd-boat")
        yield running


@pytest.fixture(scope="module")
def key(server: Live) -> str:
    made = server.keys("prices", mode="live")["key"]
    server.cli("accounts", "topup", "default", "50")
    return made


def quoted(server: Live, key: str, input: dict[str, Any], model: str = FLUX) -> Reply:
    url = f"{server.url}/replicate/v1/models/{model}/predictions?dry_run=1"
    return ask(url, "POST", key=key, body={"input": {"prompt": "a boat", **input}})


def hold(server: Live, key: str, input: dict[str, Any]) -> int:
    reply = quoted(server, key, input)
    assert reply.status == 200, reply.body
    return int(reply.json["hold"])


def chat(server: Live, key: str, model: str, **more: Any) -> Reply:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1000, **more}
    return ask(f"{server.url}/v1/chat/completions?dry_run=1", "POST", key=key, body=body)


def test_what_a_picture_costs_goes_by_its_input(server: Live, key: str) -> None:
    assert hold(server, key, {}) == 25_000
    lines = ("--line", "output=0.03 when megapixels=1", "--line", "output=0.01 when megapixels=0.25")
    server.cli("prices", "set", FLUX, *lines, "--run", "0.001")
    assert hold(server, key, {}) == 31_000, "the model's default is 1"
    assert hold(server, key, {"megapixels": "0.25", "num_outputs": 3}) == 31_000
    server.cli("prices", "set", FLUX, "--output", "0.05", "--channel", "shut")
    assert hold(server, key, {}) == 50_000, "the dearest channel"
    server.cli("prices", "set", FLUX, "--output", "9", "--from", "2200-01-01")
    server.cli("prices", "unset", FLUX, "--channel", "shut")
    server.cli("groups", "set", "default", "--multiplier", "1.5")
    assert hold(server, key, {}) == 46_500
    server.cli("groups", "set", "default", "--multiplier", "1")
    server.cli("prices", "unset", FLUX)
    assert hold(server, key, {}) == 25_000
    rows = json.loads(server.cli("prices", "list", FLUX, "--all", "--json"))
    assert [row["holds"] for row in rows if row["price"] == ["output=9"]] == ["coming"]


def test_an_input_that_no_line_fits_is_refused_for_live_keys_alone(server: Live, key: str) -> None:
    server.cli("prices", "set", FLUX, "--line", "output=0.01 when megapixels=0.25")
    reply = quoted(server, key, {})
    assert (reply.status, "megapixels=1" in reply.json["detail"]) == (403, True)
    assert quoted(server, server.test_key, {}).status == 200
    server.cli("prices", "unset", FLUX)


def test_calls_go_by_their_body(server: Live, key: str) -> None:
    assert chat(server, key, "odd-boat").status == 403
    lines = ("--line", "output_token=1/1000", "--line", "output_token=3/1000 when service_tier=priority")
    server.cli("prices", "set", "odd-boat", *lines)
    assert chat(server, key, "odd-boat").json["hold"] == 1_000_000
    assert chat(server, key, "odd-boat", service_tier="priority").json["hold"] == 3_000_000


def test_an_imported_price_is_what_a_live_key_pays(server: Live, key: str, tmp_path: Path) -> None:
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps(LISTED))
    assert chat(server, key, "boat").status == 403
    assert "added" in server.cli("prices", "import", str(listed), "--dry-run")
    assert chat(server, key, "boat").status == 403
    server.cli("prices", "import", str(listed))
    assert chat(server, key, "boat").json["price"]["source"] == "https://a.b"
    assert json.loads(server.cli("prices", "import", str(listed), "--json"))["changes"] == []
    shown = server.cli("prices", "show", "boat")
    assert "output_token=2/1000000" in shown
    assert "https://a.b" in shown


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("set", "m", "--line", "output 4"), "write UNIT=USD"),
        (("set", "m", "--run", "1", "--from", "soon"), "write 2026-12-01"),
        (("set", "m", "--run", "1", "--channel", "nowhere"), "there are shut, talk"),
        (("unset", "nothing"), "no price of 'nothing'"),
        (("show", "nothing"), "prices set"),
        (("import", __file__), "no JSON"),
    ],
)
def test_refusals_say_what_to_do(server: Live, args: tuple[str, ...], words: str) -> None:
    command = [sys.executable, "-m", "penstock", "prices", *args, "--data", str(server.data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, words in " ".join(done.stderr.split())) == (1, True), done.stderr
