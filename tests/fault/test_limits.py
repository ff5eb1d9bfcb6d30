"""200 calls and tasks at once on every limit of a key: never one micro-dollar, request, or piece of work over."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault.stage import Gateway, Stage, side_by_side, until
from tests.live import Live
from tests.rigs.chatting import PROMPT, Chatting, completion, usage, whole
from tests.rigs.counting import Counting

ASKED, AFFORDED, TOKENS, MICROS = 200, 100, 100, 10
EACH = TOKENS * MICROS
"""What a call or a task holds and costs."""
PLACES, RPM = 10, 60
QUOTA = f"{AFFORDED * EACH / 1e6:.6f}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, chatting: Chatting, upstream: Counting) -> Stage:
    chatting.script("limits", "", 0.3, whole(completion("A weir.", usage(PROMPT, TOKENS))))
    upstream.control("limits", duration_s=0.3)
    chat = {"name": "chat", "provider": "openai", "base_url": f"{chatting.base_url('limits')}/v1", "models": ["c"]}
    pictures = {"name": "pictures", "base_url": upstream.base_url("limits"), "models": ["p/*"]}
    made = Stage.build(tmp_path_factory.mktemp("limits"), [chat, pictures], [], usd=10.0)
    live = Live(made.folder)
    live.cli("prices", "set", "c", "--line", f"output_token={MICROS / 1e6:.6f}")
    live.cli("prices", "set", "p/m", "--run", f"{EACH / 1e6:.6f}")
    return made


@pytest.fixture(scope="module")
def gateway(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = stage.gateway(tmp_path_factory.mktemp("gateway"))
    with made.live:
        yield made
        made.books_balance()
    assert made.errors_in_the_books() == []


def limited(gateway: Gateway, name: str, *options: str) -> tuple[Gateway, str]:
    """The gateway as a new key's holder sees it, and the key's id."""
    made = gateway.live.keys(name, mode="live", options=options)
    return Gateway(gateway.live, made["key"]), made["id"]


def storm(theirs: Gateway, tag: str) -> Counter[tuple[str, int]]:
    """Calls, streamed and whole, and tasks, all at once: how they were answered."""
    chat = Gateway(theirs.live, theirs.key, prefix="/v1")

    def one(n: int) -> tuple[str, int]:
        if n % 2:
            return "task", theirs.create("p/m").status
        said = [{"role": "user", "content": f"{tag}-{n}"}]
        return "call", chat.ask(
            "POST", "/chat/completions", {"model": "c", "messages": said, "max_tokens": TOKENS}
        ).status

    answers = Counter(side_by_side(one, range(ASKED), threads=ASKED))
    until(lambda: not theirs.rows("SELECT 1 FROM tasks WHERE charge IS NULL") or None, 30, "the end of all tasks")
    return answers


def spent(gateway: Gateway, key: str) -> tuple[int, int]:
    """How many pieces of work this key's holder paid for, and how much in all."""
    both = (
        "SELECT count(*), coalesce(sum(amount), 0) FROM (SELECT amount FROM charges WHERE key = ?"
        " UNION ALL SELECT charge FROM tasks WHERE key = ?)"
    )
    return gateway.rows(both, key, key)[0]


@pytest.mark.parametrize("period", ["--quota", "--quota-month", "--quota-day"])
def test_a_quota(gateway: Gateway, period: str) -> None:
    theirs, key = limited(gateway, period, period, QUOTA)
    answers = storm(theirs, period)
    assert {what for what in answers if what[1] in (200, 201)} == {("call", 200), ("task", 201)}
    assert answers["call", 200] + answers["task", 201] == AFFORDED
    assert answers["call", 403] + answers["task", 402] == ASKED - AFFORDED
    assert spent(gateway, key) == (AFFORDED, AFFORDED * EACH)
    refused = theirs.create("p/m")
    assert refused.status == 402
    assert "quota" in refused.json["detail"]


def test_a_quota_lasts_over_a_restart(stage: Stage, tmp_path: Path) -> None:
    made = stage.gateway(tmp_path)
    with made.live:
        theirs, key = limited(made, "over", "--quota", QUOTA)
        assert theirs.create("p/m").status == 201
        made.live.process.kill()  # type: ignore[union-attr]
        made.live.process.wait()  # type: ignore[union-attr]
        made.live.start()
        storm(theirs, "over")
        assert spent(made, key) == (AFFORDED, AFFORDED * EACH)
        made.books_balance()


def test_places(gateway: Gateway) -> None:
    theirs, key = limited(gateway, "places", "--concurrency", str(PLACES))
    answers = storm(theirs, "places")
    assert set(answers) <= {("call", 200), ("task", 201), ("call", 429), ("task", 429)}
    assert answers["call", 429] + answers["task", 429] > 0
    calls = gateway.rows("SELECT at - took_us * 1000, at FROM calls WHERE key = ? AND outcome = 'ok'", key)
    tasks = gateway.rows("SELECT created_at, completed_at FROM tasks WHERE key = ?", key)
    assert len(calls) + len(tasks) >= PLACES
    assert most_at_once([*calls, *tasks]) <= PLACES


def most_at_once(spans: list[tuple[int, int]]) -> int:
    moments = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans], key=lambda m: (m[0], m[1]))
    at_once = most = 0
    for _, step in moments:
        at_once += step
        most = max(most, at_once)
    return most


def test_a_rate(gateway: Gateway) -> None:
    theirs, key = limited(gateway, "rate", "--rpm", str(RPM))
    began = time.monotonic()
    answers = storm(theirs, "rate")
    took_s = time.monotonic() - began
    admitted = answers["call", 200] + answers["task", 201]
    assert RPM <= admitted <= RPM + took_s * RPM / 60 + 1
    assert answers["call", 429] + answers["task", 429] == ASKED - admitted
    assert spent(gateway, key) == (admitted, admitted * EACH)


def test_tokens(gateway: Gateway) -> None:
    each = TOKENS + 25  # what may come out, and a guess of what goes in, at least
    theirs, key = limited(gateway, "tokens", "--tpm", str(each * 20))
    chat = Gateway(theirs.live, theirs.key, prefix="/v1")
    began = time.monotonic()

    def one(n: int) -> Any:
        said = [{"role": "user", "content": f"tokens-{n} {'x' * 60}"}]
        return chat.ask("POST", "/chat/completions", {"model": "c", "messages": said, "max_tokens": TOKENS})

    answers = side_by_side(one, range(60), threads=60)
    took_s = time.monotonic() - began
    admitted = sum(answer.status == 200 for answer in answers)
    assert 5 <= admitted <= 20 + took_s * 20 / 60 + 1
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.json["error"]["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) >= 1
    assert spent(gateway, key)[0] == admitted
