"""OpenAI's own clients, unmodified: two generations in Python, and JavaScript; own upstreams and translated ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.driven import Drive, Lost, cases
from tests.contract.gateways import CLIENTS, Gateways

DRIVEN = {name: CLIENTS[name] for name in ("openai-2", "openai-3", "openai-js")}
NO_EMBEDDINGS = {"anthropic": "Anthropic has no embeddings"}
NO_STOP = {"responses": "the Responses API has no stop sequences"}
LOST: Lost = {
    "embeddings": NO_EMBEDDINGS,
    "embeddings_as_floats": NO_EMBEDDINGS,
    "embeddings_dimensions": NO_EMBEDDINGS,
    "moderations": dict.fromkeys(("anthropic", "google"), "only OpenAI moderates"),
    "chat_json_object": {"anthropic": "asked for in words, which the sandbox does not obey"},
    "response_json_object": {"anthropic": "asked for in words, which the sandbox does not obey"},
    "chat_stop": NO_STOP,
}
"""By the tables of losses: `loses` of each format, and what the vendors have."""


@pytest.mark.parametrize(("client", "server", "mode", "scenario"), cases(DRIVEN, LOST))
@pytest.mark.timeout(400)  # the first one makes the client's environment
def test_openai_client(
    client: str, server: str, mode: str, scenario: str, drive_chat: Callable[[str], Drive], chat_gateways: Gateways
) -> None:
    drive_chat(client).check(server, scenario, mode, lambda: chat_gateways.log_tail(server))


def test_the_books_balance(drive_chat: Callable[[str], Drive], chat_gateways: Gateways) -> None:
    for client in DRIVEN:
        drive_chat(client)
    assert chat_gateways.imbalances() == []
