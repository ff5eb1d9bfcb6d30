from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.canonical.plan import Channel, Deployment
from penstock.errors import (
    CallerError,
    ChannelRejected,
    Crowded,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from penstock.routing import SANDBOX, Health

ONE = Channel("1", "one", "cog", "u", "", "", concurrency=2)
MODEL, OTHER = Deployment(ONE, "m"), Deployment(ONE, "other")


class Clock:
    at = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("penstock.routing.health.time.monotonic", lambda: clock.at)
    return clock


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(None)  # type: ignore[arg-type]


def test_it_rests_longer_each_time_until_it_works(health: Health, clock: Clock) -> None:
    for error in (UpstreamError(), Crowded(), CallerError()):
        health.failed(MODEL, error)
        assert health.cooling_s(MODEL) == 0
    for rest in (60, 120, 240, *[300] * 2000):
        health.failed(MODEL, ChannelRejected())
        assert health.cooling_s(MODEL) == health.cooling_s(OTHER) == rest
        clock.at += rest
    health.worked(MODEL)
    assert health.cooling_s(MODEL) == 0


@pytest.mark.parametrize(("said", "rest"), [(33, 33), (900, 900), (1e9, 3600), (0, 2), (None, 2)])
def test_what_the_vendor_says_counts(said: float | None, rest: float, health: Health) -> None:
    health.failed(MODEL, UpstreamBusy(retry_after_s=said))
    assert health.cooling_s(MODEL) == rest
    assert health.wait_s(MODEL) == (rest if said else None)


def test_what_fails_at_once_is_one_failure(health: Health) -> None:
    for _ in range(50):
        health.failed(MODEL, UpstreamBusy())
    assert health.cooling_s(MODEL) == 2


@pytest.mark.parametrize("error", [UpstreamError, UpstreamTimeout])
def test_a_model_that_fails_thrice_rests_alone(error: type[PenstockError], health: Health, clock: Clock) -> None:
    for _ in range(2):
        health.failed(MODEL, error())
    clock.at += 61  # that was another minute
    for left in (2, 1):
        health.failed(MODEL, error())
        assert health.ready(MODEL), left
    health.failed(MODEL, error())
    assert (health.cooling_s(MODEL), health.cooling_s(OTHER)) == (5, 0)


def test_a_success_ends_the_row(health: Health) -> None:
    for _ in range(5):
        health.failed(MODEL, UpstreamError())
        health.failed(MODEL, UpstreamError())
        health.worked(MODEL)
    assert health.ready(MODEL)


def test_streams_that_break_off_are_a_row_though_each_began_well(health: Health, clock: Clock) -> None:
    for _ in range(3):
        assert health.ready(MODEL)
        health.worked(MODEL, clock.at, so_far=True)
        health.failed(MODEL, UpstreamError())
    assert health.cooling_s(MODEL) == 5
    clock.at += 5
    health.worked(MODEL, clock.at, so_far=True)
    assert health.standing(ONE) == {}


def test_a_stream_that_ends_well_ends_the_row_but_no_rest(health: Health) -> None:
    for _ in range(5):
        health.failed(MODEL, UpstreamError())
        health.failed(MODEL, UpstreamError())
        health.ended_well(MODEL)
    health.failed(MODEL, UpstreamForgot())
    health.ended_well(MODEL)
    assert health.cooling_s(MODEL) == 60


def test_an_unknown_model_rests_alone(health: Health) -> None:
    health.failed(MODEL, UpstreamForgot())
    assert (health.cooling_s(MODEL), health.cooling_s(OTHER)) == (60, 0)


def test_after_its_rest_one_may_try_it(health: Health, clock: Clock) -> None:
    health.failed(MODEL, UpstreamUnreachable())
    assert not health.ready(MODEL)
    clock.at += 5
    assert health.ready(MODEL)
    health.begins(MODEL)
    assert not health.ready(MODEL)
    assert not health.ready(OTHER)
    health.failed(MODEL, UpstreamUnreachable())
    assert health.cooling_s(MODEL) == 10
    clock.at += 10
    health.begins(MODEL)
    health.worked(MODEL, clock.at)
    assert health.ready(MODEL)
    assert health.standing(ONE) == {}


@pytest.mark.parametrize(
    ("error", "channel_s", "model_s"), [(UpstreamError(), 10, 0), (UpstreamForgot(), 0, 60), (UpstreamBusy(), 0, 2)]
)
def test_a_trial_that_fails_otherwise(
    error: PenstockError, channel_s: float, model_s: float, health: Health, clock: Clock
) -> None:
    health.failed(MODEL, UpstreamUnreachable())
    clock.at += 5
    health.begins(MODEL)
    health.failed(MODEL, error)
    assert health.cooling_s(OTHER) == channel_s
    assert health.cooling_s(MODEL) == max(channel_s, model_s)


def test_names_that_nobody_knows_are_forgotten(health: Health, clock: Clock) -> None:
    for number in range(5000):
        health.failed(Deployment(ONE, f"m{number}"), UpstreamForgot())
        clock.at += 0.5
    assert len(health.standing(ONE)) <= 1000
    assert not health.ready(Deployment(ONE, "m4999"))


def test_a_trial_that_says_nothing_leaves_the_next_one(health: Health, clock: Clock) -> None:
    health.failed(MODEL, ChannelRejected())
    clock.at += 60
    health.begins(MODEL)
    health.failed(MODEL, CallerError())
    assert health.ready(MODEL)
    health.begins(MODEL)
    clock.at += 29
    assert not health.ready(MODEL)
    clock.at += 1  # nobody heard of it again
    assert health.ready(MODEL)


def test_what_was_asked_before_a_rest_does_not_end_it(health: Health, clock: Clock) -> None:
    began = clock.at
    clock.at += 1
    health.failed(MODEL, UpstreamBusy())
    clock.at += 1
    health.worked(MODEL, began)
    assert not health.ready(MODEL)


def test_the_sandbox_never_rests(health: Health) -> None:
    health.failed(Deployment(SANDBOX, "m"), ChannelRejected())
    assert health.ready(Deployment(SANDBOX, "m"))


def test_a_probe_ends_only_what_a_server_that_was_down_began(health: Health) -> None:
    health.failed(MODEL, UpstreamUnreachable())
    assert health.sick(ONE)
    health.mended(ONE, sick=True)
    assert health.ready(MODEL)
    health.failed(MODEL, ChannelRejected())
    assert not health.sick(ONE)
    health.mended(ONE, sick=True)
    assert not health.ready(MODEL)
    health.mended(ONE)
    assert health.ready(MODEL)


def test_one_that_is_not_well_takes_few_retries(health: Health, clock: Clock) -> None:
    health.failed(MODEL, UpstreamUnreachable())

    def retries() -> int:
        return sum(health.wait_s(MODEL, again=True) is None for _ in range(100))

    assert health.wait_s(MODEL) is None  # a first attempt is no retry
    assert retries() == 10
    for _ in range(50):
        health.begins(MODEL)
    assert retries() == 10
    clock.at += 30
    assert retries() == 5
    health.mended(ONE)
    assert retries() == 100


def test_an_even_rate(health: Health, clock: Clock) -> None:
    paced = Deployment(Channel("2", "two", "cog", "u", "", "", rpm=6), "m")
    for _ in range(6):
        assert health.wait_s(paced) is None
        health.begins(paced)
    assert health.wait_s(paced) == health.rate_s(paced.channel) == 10
    clock.at += 10
    assert health.wait_s(paced) is None
    health.begins(paced)
    assert health.wait_s(paced) == 10


def test_in_line_for_a_rate_only_the_first_looks_at_the_clock(health: Health) -> None:
    paced = Channel("2", "two", "cog", "u", "", "", rpm=1)
    woken: list[str] = []
    health.wakes = woken.append
    assert [health.wait(paced, task) for task in "abc"] == [True, False, False]
    assert [health.is_next(paced, task) for task in "abn"] == [True, False, False]
    health.free("2")  # a place is no room in the rate: the first stays the first
    assert woken.pop() == "a"
    health.take(paced, "a")
    assert woken == ["b"]
    assert health.wait(paced, "b")
    health.leave("b")
    assert woken == ["b", "c"]


def test_an_average_of_what_was_measured(health: Health, clock: Clock) -> None:
    assert health.first_s(MODEL) is None
    clock.at += 2
    health.worked(MODEL, clock.at - 2)
    assert health.first_s(MODEL) == 2
    health.worked(MODEL, clock.at - 1)
    assert health.first_s(MODEL) == pytest.approx(1.8)
    assert health.first_s(OTHER) is None


def test_places_and_the_line_for_them(health: Health) -> None:
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


@pytest.mark.parametrize("ends", [lambda health: health.worked(MODEL), lambda health: health.mended(ONE)])
def test_who_waits_for_a_trial_is_woken_as_far_as_there_are_places(
    ends: Callable[[Health], None], health: Health, clock: Clock
) -> None:
    health.failed(MODEL, UpstreamUnreachable())
    clock.at += 5
    health.take(ONE, "trial")
    health.begins(MODEL)
    for task in "ab":
        health.wait(ONE, task)
    woken: list[str] = []
    health.wakes = woken.append
    ends(health)
    assert woken == ["a"]
