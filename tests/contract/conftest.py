"""Fixtures of the contract tests: the gateways that clients of language models are driven against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.contract import driven
from tests.contract.driven import Drive
from tests.contract.gateways import CLIENTS, Gateways, gateways


@pytest.fixture(scope="session")
def chat_gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with gateways(tmp_path_factory.mktemp("chat")) as running:
        yield running


@pytest.fixture(scope="session")
def drive_chat(chat_gateways: Gateways) -> Callable[[str], Drive]:
    """Run a client's driver against all its servers, once in a session."""

    @cache
    def run(name: str) -> Drive:
        client = CLIENTS[name]
        return driven.drive(client, {server: chat_gateways.told(server) for server in client.servers})

    return run
