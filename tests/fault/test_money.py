"""Parallel requests can't overdraw an account by a single run; work costs what it cost when it began."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fault.stage import RUN_MICROS, Gateway, Stage, side_by_side, until
from tests.rigs.chatting import COMPLETION, DONE, END, PROMPT, STREAM, Chatting, chunk, counting, usage
from tests.rigs.counting import Counting

AFFORDED, ASKED = 100, 200
COUNTED = counting(usage(PROMPT, COMPLETION))


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


def test_work_settles_at_the_price_of_its_beginning(tmp_path: Path, upstream: Counting, chatting: Chatting) -> None:
    """Prices, multiplier, and the channel's own price change while a task runs and a stream is answered."""
    upstream.control("frozen", duration_s=2.0)
    chatting.script("frozen", "slow", STREAM + chunk("A weir"), 1.5, chunk(finish="stop") + COUNTED + DONE + END)
    pictures = {"name": "pictures", "base_url": upstream.base_url("frozen"), "models": ["frozen/m"]}
    chat = {"name": "chat", "provider": "openai", "base_url": f"{chatting.base_url('frozen')}/v1", "models": ["c"]}
    stage = Stage.build(tmp_path / "stage", [pictures, chat], ["frozen/m"])
    gateway = stage.gateway(tmp_path / "live")
    cli, talk = gateway.live.cli, Gateway(gateway.live, gateway.key, prefix="/v1")

    def price(run: str, token: str) -> None:
        cli("prices", "set", "frozen/m", "--run", run)
        cli("prices", "set", "c", "--line", f"output_token={token}")

    def charged(work: str) -> tuple[int, int]:
        told = talk.ask("GET", f"/account/charges/{work}").json
        return told["charge"], told["recomputed"]

    with gateway.live, ThreadPoolExecutor(1) as pool:
        cli("groups", "set", "default", "--multiplier", "1.5")
        price("0.012345", "0.000007")
        task = gateway.made("frozen/m")
        said = {"model": "c", "messages": [{"role": "user", "content": "slow"}], "stream": True}
        streaming = pool.submit(talk.ask, "POST", "/chat/completions", said)
        until(lambda: chatting.at("slow") or None, 5, "the stream")
        cli("groups", "set", "default", "--multiplier", "3")
        price("0.5", "0.005")
        cli("prices", "set", "frozen/m", "--channel", "pictures", "--run", "0.9")
        assert gateway.ended(task)["status"] == "succeeded"
        call = streaming.result().headers["x-request-id"]
        assert charged(task) == (18518, 18518)  # 12,345 × 1.5, rounded half up
        assert charged(call) == (round(COMPLETION * 7 * 1.5),) * 2
        newer = gateway.made("frozen/m")
        gateway.ended(newer)
        assert charged(newer) == (2_700_000, 2_700_000)
        gateway.books_balance()
