"""Replicate's own clients, unmodified, against a live server: two generations in Python, and JavaScript.

A client runs all its scenarios in one child process for each transport (`drivers/`); every scenario is reported as a
test of its own. Over HTTPS outputs are links and over plain HTTP they are `data:`, so both are tried.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest

from tests.contract import driven
from tests.contract.driven import BOTH, Drive, node, python
from tests.live import Live
from tests.webhook_receiver import WebhookReceiver

IMAGE = "black-forest-labs/flux-kontext-pro"
IMAGES = "black-forest-labs/flux-schnell"
LANGUAGE = "meta/meta-llama-3-8b-instruct"
CROWD = 105
"""Predictions of one account: more than a page of 100."""

SERVERS = {"http": "live", "https": "live_tls"}
CLIENTS = {
    "py1": python("replicate_1.py", "replicate-1", dict.fromkeys(SERVERS, BOTH)),
    "py2": python("replicate_2.py", "replicate-2", dict.fromkeys(SERVERS, BOTH)),
    "js": node("replicate.mjs", SERVERS),
}


@pytest.fixture(scope="session")
def drive(request: pytest.FixtureRequest, receiver: WebhookReceiver) -> Callable[[str, str], Drive]:
    """Run a client's driver over a transport, once in a session."""

    @cache
    def told(transport: str) -> dict[str, Any]:
        server: Live = request.getfixturevalue(SERVERS[transport])
        return describe(server, receiver)

    @cache
    def run(name: str, transport: str) -> Drive:
        server: Live = request.getfixturevalue(SERVERS[transport])
        return driven.drive(CLIENTS[name], {transport: told(transport)}, server.ca_file)

    return run


@pytest.mark.parametrize(("client", "transport", "mode", "scenario"), driven.cases(CLIENTS))
@pytest.mark.timeout(400)  # the first one makes the client's environment
def test_replicate_client(
    client: str,
    transport: str,
    mode: str,
    scenario: str,
    drive: Callable[[str, str], Drive],
    request: pytest.FixtureRequest,
) -> None:
    server: Live = request.getfixturevalue(SERVERS[transport])
    drive(client, transport).check(transport, scenario, mode, server.log_tail)


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
