"""Replicate's own clients, unmodified, against a live server: two generations in Python, and JavaScript.

A client runs all its scenarios in one child process for each transport (`drivers/`); every scenario is reported as a
test of its own. Over HTTPS outputs are links and over plain HTTP they are `data:`, so both are tried.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.contract.environments import node_client, python_client
from tests.live import Live
from tests.webhook_receiver import WebhookReceiver

DRIVERS = Path(__file__).parent / "drivers"
DRIVEN_WITHIN_S = 90.0

IMAGE = "black-forest-labs/flux-kontext-pro"
IMAGES = "black-forest-labs/flux-schnell"
LANGUAGE = "meta/meta-llama-3-8b-instruct"
CROWD = 105
"""Predictions of one account: more than a page of 100."""


@dataclass(frozen=True)
class Client:
    """How a client's driver is started, what registers a scenario in its source, and in which modes it runs."""

    driver: str
    command: Callable[[], list[str]]
    folder: Callable[[], Path]
    scenario: str
    modes: tuple[str, ...] = ("sync", "async")
    marks: tuple[pytest.MarkDecorator, ...] = ()

    def scenarios(self) -> list[str]:
        return re.findall(self.scenario, (DRIVERS / self.driver).read_text(), re.MULTILINE)


PYTHON = r"^@scenario\nasync def (\w+)\("
NODE = r"^  async (\w+)\(\) \{$"
CLIENTS = {
    "py1": Client("replicate_1.py", lambda: [str(python_client("replicate-1"))], Path, PYTHON),
    "py2": Client("replicate_2.py", lambda: [str(python_client("replicate-2"))], Path, PYTHON),
    "js": Client("replicate.mjs", lambda: ["node"], lambda: node_client("js"), NODE, ("async",), (pytest.mark.node,)),
}
SERVERS = {"http": "live", "https": "live_tls"}


def cases() -> Iterator[Any]:
    for name, client in CLIENTS.items():
        for transport in SERVERS:
            for mode in client.modes:
                for scenario in client.scenarios():
                    case_id = f"{name}-{transport}-{mode}-{scenario}"
                    yield pytest.param(name, transport, mode, scenario, id=case_id, marks=client.marks)


@dataclass(frozen=True)
class Drive:
    """What one run of a driver came to: a result by scenario and mode, and, for those missing, how it ended."""

    results: dict[tuple[str, str], dict[str, Any]]
    ending: str


@pytest.fixture(scope="session")
def drive(request: pytest.FixtureRequest, receiver: WebhookReceiver) -> Callable[[str, str], Drive]:
    """Run a client's driver over a transport, once in a session."""

    @cache
    def target(transport: str) -> dict[str, Any]:
        server: Live = request.getfixturevalue(SERVERS[transport])
        return describe(server, receiver)

    @cache
    def run(name: str, transport: str) -> Drive:
        server: Live = request.getfixturevalue(SERVERS[transport])
        return run_driver(CLIENTS[name], target(transport), server.ca_file)

    return run


@pytest.mark.parametrize(("client", "transport", "mode", "scenario"), list(cases()))
@pytest.mark.timeout(400)  # the first one makes the client's environment
def test_replicate_client(
    client: str,
    transport: str,
    mode: str,
    scenario: str,
    drive: Callable[[str, str], Drive],
    request: pytest.FixtureRequest,
) -> None:
    driven = drive(client, transport)
    result = driven.results.get((scenario, mode))
    if result is None:
        pytest.fail(f"{scenario} ({mode}) was not told of; the driver {driven.ending}", pytrace=False)
    if result["error"]:
        print(request.getfixturevalue(SERVERS[transport]).log_tail())
        pytest.fail(f"{scenario} ({mode}, {result['seconds']} s)\n{result['error']}", pytrace=False)


def run_driver(client: Client, target: dict[str, Any], ca_file: Path | None) -> Drive:
    """All scenarios of a client in one child process. What it told before it hung or died counts."""
    command, folder = [*client.command(), str(DRIVERS / client.driver)], client.folder()
    trust = {"SSL_CERT_FILE": str(ca_file), "NODE_EXTRA_CA_CERTS": str(ca_file)} if ca_file else {}
    quick = {"REPLICATE_POLL_INTERVAL": "0.05", "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}
    environ = os.environ | trust | quick | {"CONTRACT": json.dumps(target)}
    child = subprocess.Popen(
        command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        told, errors = child.communicate(timeout=DRIVEN_WITHIN_S)
        ending = f"ended with {child.returncode}"
    except subprocess.TimeoutExpired:
        child.kill()
        told, errors = child.communicate()
        ending = f"was killed after {DRIVEN_WITHIN_S:g} s"
    results = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return Drive({(one["scenario"], one["mode"]): one for one in results}, f"{ending}\n{errors[-6000:]}")


# ── what the drivers are told ─────────────────────────────────────────────────────────────────────────────────────────


def describe(server: Live, receiver: WebhookReceiver) -> dict[str, Any]:
    crowd_key = server.keys("crowd", account="crowd")["key"]
    with ThreadPoolExecutor(8) as pool:
        body = {"input": {"prompt": "[[slow:0]] one of many"}}
        path = f"/models/{LANGUAGE}/predictions"
        list(pool.map(lambda _: post(server, crowd_key, path, body), range(CROWD)))
    return {
        "url": server.url,
        "key": server.test_key,
        "other_key": server.test_key_2,
        "crowd_key": crowd_key,
        "crowd": CROWD,
        "receiver": receiver.url,
        "image": IMAGE,
        "images": IMAGES,
        "language": LANGUAGE,
    }


def post(server: Live, key: str, path: str, body: object) -> None:
    data = json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/replicate/v1{path}", data, headers)
    with urllib.request.urlopen(request, timeout=30, context=server.tls) as reply:
        reply.read()
