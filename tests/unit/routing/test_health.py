from __future__ import annotations

import pytest

from penstock.canonical.plan import Channel
from penstock.errors import ChannelRejected, UpstreamBusy, UpstreamError
from penstock.routing import Health

ONE = Channel("1", "one", "cog", "u", "", "", concurrency=2)


def test_it_rests_longer_each_time_until_it_works() -> None:
    health = Health(None)  # type: ignore[arg-type]
    health.failed(ONE, UpstreamError())
    assert health.cooling_s(ONE) == 0
    for rest in (60, 120, 240, 300, 300):
        health.failed(ONE, ChannelRejected())
        assert health.cooling_s(ONE) == pytest.approx(rest, abs=1)
    health.worked(ONE)
    assert health.cooling_s(ONE) == 0
    health.failed(ONE, UpstreamBusy(retry_after_s=33))
    assert health.cooling_s(ONE) == pytest.approx(33, abs=1)


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
