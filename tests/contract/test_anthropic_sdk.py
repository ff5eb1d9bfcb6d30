"""Anthropic's own client, unmodified, in two generations; own upstreams and translated ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.driven import Drive, Lost, cases
from tests.contract.gateways import CLIENTS, Gateways

DRIVEN = {name: CLIENTS[name] for name in ("anthropic-0", "anthropic-2")}
OTHERS = ("openai", "responses", "google")
LOST: Lost = {
    "message_stopped": {"responses": "the Responses API has no stop sequences"},
    "message_stop_sequence": dict.fromkeys(OTHERS, "other vendors do not say which sequence they met"),
    "thinking_signed": dict.fromkeys(OTHERS, "a signature is of use to none but its vendor"),
}
"""By the tables of losses: `loses` of each format, and what the vendors have."""


@pytest.mark.parametrize(("client", "server", "mode", "scenario"), cases(DRIVEN, LOST))
@pytest.mark.timeout(400)  # the first one makes the client's environment
def test_anthropic_client(
    client: str, server: str, mode: str, scenario: str, drive_chat: Callable[[str], Drive], chat_gateways: Gateways
) -> None:
    drive_chat(client).check(server, scenario, mode, lambda: chat_gateways.log_tail(server))


def test_the_books_balance(drive_chat: Callable[[str], Drive], chat_gateways: Gateways) -> None:
    for client in DRIVEN:
        drive_chat(client)
    assert chat_gateways.imbalances() == []
