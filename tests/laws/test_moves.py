"""The table of a task's moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.canonical.task import AT_VENDOR, ENDED, MOVES, State


def reached(start: State) -> set[State]:
    seen, ahead = {start}, [start]
    while ahead:
        ahead += [state for state in MOVES[ahead.pop()] if state not in seen and not seen.add(state)]  # type: ignore[func-returns-value]
    return seen


def test_every_state_has_its_moves_and_none_goes_nowhere() -> None:
    assert set(MOVES) == set(State)
    assert {state for moves in MOVES.values() for state in moves} | {State.QUEUED} == set(State)


def test_three_states_end() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.CANCELED} == ENDED
    assert not any(MOVES[state] for state in ENDED)


def test_everything_is_reached_from_queued_and_reaches_an_end() -> None:
    assert reached(State.QUEUED) == set(State)
    for state in State:
        assert reached(state) & ENDED, state
        assert State.FAILED in reached(state) or state in ENDED


def test_what_may_have_been_accepted_is_never_submitted_again() -> None:
    for state in AT_VENDOR - {State.SUBMITTING}:
        assert not reached(state) & {State.QUEUED, State.SUBMITTING}


@given(st.data())
def test_random_walks_end(data: st.DataObject) -> None:
    state, attempts, walked = State.QUEUED, 0, [State.QUEUED]
    while state not in ENDED:
        last_try = attempts >= 3
        ways = sorted(MOVES[state] - ({State.QUEUED, State.WAITING} if last_try else set()))
        state = data.draw(st.sampled_from(ways))
        attempts += state is State.QUEUED
        walked.append(state)
    assert len(walked) <= 20
    assert walked.count(State.UNCERTAIN) <= 1
