from __future__ import annotations

import pytest

from penstock.access import Limits
from penstock.canonical.who import Caller
from penstock.errors import LimitReached


class Clock:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(None, clock)  # type: ignore[arg-type]


def test_a_minute_s_worth_in_a_burst_then_one_at_a_time(limits: Limits, clock: Clock) -> None:
    caller = Caller("k", "a", "acme", "live", rpm=60)
    for _ in range(60):
        limits.admit(caller)
    with pytest.raises(LimitReached) as refused:
        limits.admit(caller)
    assert refused.value.retry_after_s == pytest.approx(1.0)
    clock.at += 1.0
    limits.admit(caller)
    with pytest.raises(LimitReached):
        limits.admit(caller)
    limits.admit(Caller("other", "a", "acme", "live", rpm=60))
    limits.admit(Caller("k", "a", "acme", "live"))


def test_a_changed_rate_holds_at_once(limits: Limits, clock: Clock) -> None:
    limits.admit(Caller("k", "a", "acme", "live", rpm=1))
    quick, slow = Caller("k", "a", "acme", "live", rpm=60), Caller("k", "a", "acme", "live", rpm=2)
    for _ in range(59):
        limits.admit(quick)
    with pytest.raises(LimitReached):
        limits.admit(quick)
    with pytest.raises(LimitReached) as refused:
        limits.admit(slow)
    assert refused.value.retry_after_s == pytest.approx(30.0)
    clock.at += 30.0
    limits.admit(slow)


def reserved(limits: Limits, caller: Caller, tokens: int) -> float:
    """How long to wait; 0 where it was counted."""
    try:
        limits.reserve(caller, tokens)
    except LimitReached as refused:
        return refused.retry_after_s or 0.0
    return 0.0


def test_so_many_tokens_a_minute(limits: Limits, clock: Clock) -> None:
    caller = Caller("k", "a", "acme", "live", tpm=600)
    assert reserved(limits, caller, 500) == 0
    assert reserved(limits, caller, 200) == pytest.approx(10.0)
    assert reserved(limits, caller, 100) == 0
    clock.at += 20.0
    assert reserved(limits, caller, 200) == 0
    assert reserved(limits, Caller("other", "a", "acme", "live", tpm=600), 600) == 0
    assert reserved(limits, Caller("k", "a", "acme", "live"), 10**9) == 0


def test_what_was_reserved_is_corrected(limits: Limits, clock: Clock) -> None:
    caller = Caller("k", "a", "acme", "live", tpm=600)
    limits.reserve(caller, 500)
    limits.correct("k", 500, 100)
    limits.reserve(caller, 500)
    limits.correct("k", 500, 1100)
    assert reserved(limits, caller, 60) == pytest.approx((1200 + 60 - 600) / 10)
    clock.at += 3600.0
    limits.correct("k", 500, 0)
    assert reserved(limits, caller, 600) == 0
    limits.correct("unknown", 5, 500)


def test_a_correction_long_after_counts_whole(limits: Limits, clock: Clock) -> None:
    caller = Caller("k", "a", "acme", "live", tpm=600)
    limits.reserve(caller, 10)
    clock.at += 600.0
    limits.correct("k", 10, 310)
    assert reserved(limits, caller, 301) == pytest.approx(0.1)
    assert reserved(limits, caller, 300) == 0


def test_one_larger_than_the_limit_counts_as_much_as_that(limits: Limits, clock: Clock) -> None:
    caller = Caller("k", "a", "acme", "live", tpm=600)
    limits.reserve(caller, 5000)
    assert reserved(limits, caller, 1) == pytest.approx(0.1)
    limits.correct("k", 5000, 900)
    clock.at += 30.0
    assert reserved(limits, caller, 1) == pytest.approx(0.1)
    clock.at += 60.0
    assert reserved(limits, caller, 600) == 0


def test_so_many_unfinished_tasks(limits: Limits) -> None:
    caller = Caller("k", "a", "acme", "live", concurrency=2)
    limits.resume("k")
    limits.begin(caller)
    with pytest.raises(LimitReached):
        limits.begin(caller)
    limits.end("k")
    limits.begin(caller)
    for _ in range(5):
        limits.end("k")
    limits.begin(caller)
    limits.begin(caller)
