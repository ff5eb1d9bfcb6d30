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
