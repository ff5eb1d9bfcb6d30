from __future__ import annotations

import pytest

from penstock.canonical.plan import Channel
from penstock.errors import ChannelRejected, Crowded, UpstreamBusy, UpstreamError
from penstock.routing import Health

ONE = Channel("1", "one", "cog", "u", "", "", concurrency=2)


def test_it_rests_longer_each_time_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1000.0
    monkeypatch.setattr("penstock.routing.health.time.monotonic", lambda: at)
    health = Health(None)  # type: ignore[arg-type]
    for error in (UpstreamError(), Crowded()):
        health.failed(ONE, error)
        assert health.cooling_s(ONE) == 0
    for rest in (60, 120, 240, *[300] * 2000):
        health.failed(ONE, ChannelRejected())
        assert health.cooling_s(ONE) == rest
        at += rest
    health.worked(ONE)
    assert health.cooling_s(ONE) == 0
    health.failed(ONE, UpstreamBusy(retry_after_s=33))
    assert health.cooling_s(ONE) == 33


def test_what_fails_at_once_is_one_failure() -> None:
    health = Health(None)  # type: ignore[arg-type]
    for _ in range(50):
        health.failed(ONE, UpstreamBusy())
    assert health.cooling_s(ONE) == pytest.approx(2, abs=0.5)


def test_places_and_the_line_for_them() -> None:
    health = Health(None)  # type: ignore[arg-type]
    for _ in range(2):
        assert health.has_place(ONE)
        health.take(ONE, "other")
    assert not health.has_place(ONE)
    for task in ("a", "b", "a"):
        health.wait(ONE, task)
    woken: list[str] = []
    health.wakes = woken.append
    for _ in range(3):
        health.free("1")
    assert woken == ["a", "b"]
    assert health.has_place(ONE)
