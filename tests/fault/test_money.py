"""Parallel requests can't overdraw an account by a single run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.fault.stage import RUN_MICROS, Stage, side_by_side
from tests.rigs.counting import Counting

AFFORDED, ASKED = 100, 200


def test_200_parallel_creates_on_an_account_that_can_pay_for_100(tmp_path: Path, upstream: Counting) -> None:
    upstream.control("money", duration_s=None)
    channel = {"name": "money", "base_url": upstream.base_url("money"), "models": ["money/*"]}
    stage = Stage.build(tmp_path / "stage", [channel], ["money/m"], usd=AFFORDED * RUN_MICROS / 1e6)
    gateway = stage.gateway(tmp_path / "live")
    with gateway.live:
        answers = side_by_side(lambda _: gateway.create("money/m"), range(ASKED), threads=ASKED)

        assert Counter(answer.status for answer in answers) == {201: AFFORDED, 402: ASKED - AFFORDED}
        refused = next(answer for answer in answers if answer.status == 402)
        assert refused.json["title"] == "Insufficient credit"
        assert refused.json["status"] == 402
        assert "insufficient credit" in refused.json["detail"]
        assert len({answer.json["id"] for answer in answers if answer.status == 201}) == AFFORDED
        assert gateway.balance() == 0
        assert gateway.count("tasks") == AFFORDED
        assert gateway.rows("SELECT count(*), sum(amount) FROM entries WHERE kind = 'hold'") == [
            (AFFORDED, -AFFORDED * RUN_MICROS)
        ]
        gateway.books_balance()
    assert set(upstream.creates("money")) <= {answer.json["id"] for answer in answers if answer.status == 201}
