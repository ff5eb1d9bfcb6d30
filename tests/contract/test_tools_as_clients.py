"""Programs that people use, unmodified, with a gateway as their vendor: `llm`, and agents of pydantic-ai."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.driven import Drive, cases
from tests.contract.gateways import CLIENTS, Gateways

DRIVEN = {name: CLIENTS[name] for name in ("llm", "pydantic-ai")}


@pytest.mark.parametrize(("client", "server", "mode", "scenario"), cases(DRIVEN))
@pytest.mark.timeout(400)  # the first one makes the client's environment
def test_tool(
    client: str, server: str, mode: str, scenario: str, drive_chat: Callable[[str], Drive], chat_gateways: Gateways
) -> None:
    drive_chat(client).check(server, scenario, mode, lambda: chat_gateways.log_tail(server))
