"""A gateway that is killed while it makes a response in the background: what was sent and can't be asked for is given
up and costs nothing, what was not sent is made, what was paid for is there."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fault.stage import Gateway, until
from tests.live import Live

GIVEN_UP = ("failed", "failed", "fate_unknown")
MADE = ("completed", "succeeded", None)
MOMENTS = {
    "intake.committed": MADE,
    "submit.intent": GIVEN_UP,
    "progress.committed": GIVEN_UP,
    "progress.committed:3": GIVEN_UP,
    "end.before": GIVEN_UP,
    "end.committed": MADE,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at(moment: str, tmp_path: Path) -> None:
    with Live(tmp_path, environment={"PENSTOCK_FAULTS": moment}) as live:
        gateway = Gateway(live, live.test_key, prefix="/v1")
        with suppress(OSError):
            gateway.ask("POST", "/responses", {"model": "gpt-5-mini", "input": "Name a river.", "background": True})
        gateway.crash()
        live.environment.clear()
        live.start()
        response = until(lambda: _ended(gateway), 20.0)
        facts = gateway.facts(response["id"].removeprefix("resp_"))
        assert (response["status"], facts["state"], facts["error_code"]) == MOMENTS[moment]
        assert (facts["charge"] > 0) is (response["status"] == "completed")
        told = gateway.ask("GET", f"/responses/{response['id']}?stream=true").raw.decode()
        events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert events[-1]["response"] == response
        assert "balance" in gateway.books_balance()


def _ended(gateway: Gateway) -> dict[str, Any] | None:
    ((id,),) = gateway.rows("SELECT id FROM responses")
    response = dict(gateway.ask("GET", f"/responses/{id}").json)
    return response if response["status"] not in ("queued", "in_progress") else None
