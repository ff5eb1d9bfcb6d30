from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from sqlalchemy import create_engine

from penstock.canonical.task import ENDED, Event, State, Task
from penstock.errors import Stale
from penstock.ids import encode
from penstock.store import Store, sqlite, tasks
from penstock.store.tables import metadata
from penstock.store.tables import tasks as table
from tests.stores import task

pytestmark = pytest.mark.anyio
replace = msgspec.structs.replace


def test_a_task_is_a_row() -> None:
    assert list(Task.__struct_fields__) == [column.name for column in table.c]


def test_what_is_fixed_and_what_moves_is_all_there_is() -> None:
    assert tasks.FIXED | set(tasks.MUTABLE) == set(Task.__struct_fields__)


def test_sqlite_finds_the_few_by_their_indexes() -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as db:
        for query, index in ((tasks._UNFINISHED, "tasks_unfinished"), (tasks._EXPIRED, "tasks_to_clear")):
            sql = query.compiled(sqlite.DIALECT).sql
            plan = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (0,) * sql.count("?")).fetchall()
            assert index in str(plan)


FULL: dict[str, Any] = {
    "name": "video_1",
    "deployment": "acme/d",
    "files": '{"u":"f"}',
    "channel": "c",
    "upstream_model": "m",
    "ref": "r",
    "refused_by": "x,y",
    "report": "{}",
    "output": '"ä🚢"',
    "logs": "ein\nzwei",
    "error": "e",
    "error_code": "c",
    "hold": 2**62,
    "charge": 7,
    "webhook": "http://w",
    "webhook_events": "start",
    "submitted_at": 1,
    "started_at": 2,
    "completed_at": 3,
    "deadline": 4,
    "canceled_at": 5,
    "data_removed": True,
    "state": State.RUNNING,
    "attempt": 3,
    "seq": 9,
    "longest_s": 0.5,
}


@pytest.mark.parametrize("given", [{}, FULL], ids=["bare", "full"])
async def test_a_task_comes_back_as_it_was(store: Store, given: dict[str, Any]) -> None:
    made = task(**given)
    await store.write(tasks.insert(made))
    for found in (
        await tasks.get(store, made.id),
        await tasks.own(store, made.name or made.id, made.account, made.mode),
        *await tasks.page(store, made.account, made.mode),
        *await tasks.page(store, None, ""),
    ):
        assert found == made
        assert isinstance(found.state, State)


async def test_only_the_owner_finds_it(store: Store) -> None:
    made = task("mine", name="video_1")
    await store.write(tasks.insert(made))
    for account, mode in (("theirs", "live"), ("mine", "test")):
        assert await tasks.own(store, made.id, account, mode) is None
        assert await tasks.own(store, "video_1", account, mode) is None
        assert await tasks.page(store, account, mode) == []
    assert await tasks.get(store, "video_1") is None


async def test_a_move_writes_everything_that_may_change(store: Store) -> None:
    old = task()
    await store.write(tasks.insert(old))
    new = replace(old, **{name: value for name, value in FULL.items() if name in tasks.MUTABLE})
    await store.write(tasks.move(old, new))
    assert await tasks.get(store, old.id) == new


@pytest.mark.parametrize("seen", [{"state": State.RUNNING}, {"attempt": 1}, {"seq": 1}, {"id": "other"}])
async def test_a_move_of_what_is_no_longer_so_is_stale(store: Store, seen: dict[str, Any]) -> None:
    made = task()
    await store.write(tasks.insert(made))
    with pytest.raises(Stale):
        await store.write(tasks.move(replace(made, **seen), replace(made, state=State.FAILED)))
    assert await tasks.get(store, made.id) == made


async def test_of_many_who_move_it_one_is_first(store: Store) -> None:
    made = task()
    await store.write(tasks.insert(made))
    moves = [store.write(tasks.move(made, replace(made, state=State.SUBMITTING, ref=str(n)))) for n in range(20)]
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    assert [isinstance(outcome, Stale) for outcome in outcomes].count(True) == 19
    assert (await tasks.get(store, made.id)).ref == str(outcomes.index(None))


async def test_a_report_is_kept_unless_the_task_ended(store: Store) -> None:
    made = [task(state=state) for state in State]
    await store.write(*map(tasks.insert, made))
    for each in made:
        with suppress(Stale):
            await store.write(tasks.reported(each, b'{"state":"running"}'))
    kept = {each.state for each in made if (await tasks.get(store, each.id)).report}
    assert kept == set(State) - ENDED


async def test_a_report_that_came_after_the_task_was_read_is_kept(store: Store) -> None:
    made = task(state=State.SUBMITTING)
    await store.write(tasks.insert(made))
    await store.write(tasks.reported(made, b'{"state":"running"}'))
    await store.write(tasks.move(made, replace(made, state=State.RUNNING)))
    running = await tasks.get(store, made.id)
    assert (running.state, running.report) == (State.RUNNING, '{"state":"running"}')
    with pytest.raises(Stale):
        await store.write(tasks.reported(made, b'{"state":"failed"}'))
    await store.write(tasks.move(running, replace(running, report=None)))
    assert (await tasks.get(store, made.id)).report is None


async def listed(store: Store, count: int = 7) -> list[Task]:
    """Tasks whose ids rise, with a state, model, and source of their own every second or third time."""
    made = [
        task(
            id=encode(n << 80),
            model="acme/boat" if n % 2 else "acme/ship",
            source="api" if n % 3 else "web",
            state=State.FAILED if n % 2 else State.SUCCEEDED,
            created_at=n,
        )
        for n in range(1, count + 1)
    ]
    await store.write(*map(tasks.insert, made), tasks.insert(task("other")), tasks.insert(task(mode="test")))
    return made[::-1]


async def test_pages_lead_back_and_forth(store: Store) -> None:
    made = await listed(store)
    first = await tasks.page(store, "a", "live", limit=3)
    second = await tasks.page(store, "a", "live", limit=3, cursor=first[-1].id)
    third = await tasks.page(store, "a", "live", limit=3, cursor=second[-1].id)
    assert [*first, *second, *third] == made
    assert await tasks.page(store, "a", "live", limit=3, cursor=third[-1].id) == []
    assert await tasks.page(store, "a", "live", limit=3, cursor=third[0].id, newer=True) == second
    assert await tasks.page(store, "a", "live", limit=3, cursor=second[0].id, newer=True) == first
    assert await tasks.page(store, "a", "live", limit=3, cursor=first[0].id, newer=True) == []


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"state": "failed"}, lambda t: t.state == "failed"),
        ({"model": "acme/boat"}, lambda t: t.model == "acme/boat"),
        ({"source": "web"}, lambda t: t.source == "web"),
        ({"since": 3, "until": 5}, lambda t: 3 <= t.created_at < 5),
        ({"state": "failed", "source": "web"}, lambda t: t.state == "failed" and t.source == "web"),
    ],
)
async def test_filters_go_with_cursors_both_ways(store: Store, given: dict[str, Any], fits: Any) -> None:
    made = [each for each in await listed(store) if fits(each)]
    assert await tasks.page(store, "a", "live", **given) == made
    assert await tasks.page(store, "a", "live", limit=2, cursor=made[0].id, **given) == made[1:3]
    assert await tasks.page(store, "a", "live", cursor=made[-1].id, newer=True, **given) == made[:-1]
    everybody = await tasks.page(store, None, "", **given)
    assert [each for each in everybody if (each.account, each.mode) == ("a", "live")] == made


async def test_unfinished_work_soonest_first(store: Store) -> None:
    made = [task(state=state, due_at=100 - n) for n, state in enumerate(State)]
    await store.write(*map(tasks.insert, made))
    left = [each for each in made[::-1] if each.state not in {*ENDED, State.WAITING}]
    assert await tasks.unfinished(store) == [(e.id, e.state, e.due_at, e.channel, e.key) for e in left]


async def test_expired_data_is_cleared_but_for_what_it_was_and_cost(store: Store) -> None:
    done = {"state": State.SUCCEEDED, "output": '"o"', "logs": "l", "input": '{"p":1}', "files": "{}", "charge": 5}
    old, young, going = task(completed_at=10, **done), task(completed_at=30, **done), task(completed_at=10)
    await store.write(*map(tasks.insert, (old, young, going)), tasks.event(Event(old.id, 1, 1, "logs", '"l"')))
    assert await tasks.expired(store, 20) == [old.id]
    await store.write(*tasks.clear(old.id))
    cleared = await tasks.get(store, old.id)
    assert cleared == replace(old, input="{}", files=None, output=None, logs="", report=None, data_removed=True)
    assert await tasks.events_after(store, old.id, 0) == []
    assert await tasks.expired(store, 20) == []


async def test_events_are_appended_once_and_read_on(store: Store) -> None:
    made = [Event("t", seq, 10 * seq, "output", f'"{seq}"') for seq in (1, 2, 3)]
    await store.write(*map(tasks.event, made), tasks.event(Event("other", 1, 1, "done", "{}")))
    assert await tasks.events_after(store, "t", 0) == made
    assert await tasks.events_after(store, "t", 2) == made[2:]
    with pytest.raises(Exception, match=r"(?i)unique"):
        await store.write(tasks.event(made[0]))


async def test_ids_and_names_are_unique(store: Store) -> None:
    made = task(name="video_1")
    await store.write(tasks.insert(made))
    for twin in (task(id=made.id), task(name="video_1")):
        with pytest.raises(Exception, match=r"(?i)unique"):
            await store.write(tasks.insert(twin))
    await store.write(tasks.insert(task()), tasks.insert(task()))  # no name, twice
