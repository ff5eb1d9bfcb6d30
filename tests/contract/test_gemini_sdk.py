"""Google's own client of the Gemini API, unmodified, in two generations; own upstreams and translated ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.driven import Drive, Lost, cases
from tests.contract.gateways import CLIENTS, Gateways

DRIVEN = {name: CLIENTS[name] for name in ("genai-1", "genai-3")}
LOST: Lost = {
    "image_made": dict.fromkeys(("openai", "responses", "anthropic"), "these vendors' models do not draw in a chat"),
    "embed_content": {"anthropic": "Anthropic has no embeddings"},
    "generate_stop": {"responses": "the Responses API has no stop sequences"},
}
"""By the tables of losses: `loses` of each format, and what the vendors have."""


@pytest.mark.parametrize(("client", "server", "mode", "scenario"), cases(DRIVEN, LOST))
@pytest.mark.timeout(400)  # the first one makes the client's environment
def test_gemini_client(
    client: str, server: str, mode: str, scenario: str, drive_chat: Callable[[str], Drive], chat_gateways: Gateways
) -> None:
    drive_chat(client).check(server, scenario, mode, lambda: chat_gateways.log_tail(server))


def test_the_books_balance(drive_chat: Callable[[str], Drive], chat_gateways: Gateways) -> None:
    for client in DRIVEN:
        drive_chat(client)
    assert chat_gateways.imbalances() == []
