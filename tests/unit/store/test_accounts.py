from __future__ import annotations

import asyncio

import pytest

from penstock.canonical.task import State
from penstock.errors import Conflict, QuotaSpent, Stale
from penstock.store import Step, Store, accounts, tasks
from tests.stores import account, task

pytestmark = pytest.mark.anyio


def held(owner: str, work: str, amount: int) -> tuple[Step, ...]:
    return (
        accounts.take(owner, "live", amount, QuotaSpent()),
        accounts.entry(owner, "live", "hold", -amount, work=work),
    )


async def test_two_hundred_at_once_for_the_money_of_a_hundred(store: Store) -> None:
    owner = await account(store, live=100 * 7)
    outcomes = await asyncio.gather(
        *(store.write(*held(owner, f"w{n}", 7)) for n in range(200)), return_exceptions=True
    )
    assert outcomes.count(None) == 100
    assert all(isinstance(outcome, QuotaSpent) for outcome in outcomes if outcome is not None)
    assert await accounts.balance(store, owner, "live") == 0
    assert await accounts.sums(store) == [(owner, "live", 0)]


async def test_work_is_held_once_and_closed_once(store: Store) -> None:
    owner = await account(store, live=100)
    await store.write(*held(owner, "w", 10))
    with pytest.raises(Stale):
        await store.write(*held(owner, "w", 10))
    await store.write(accounts.entry(owner, "live", "settle", 4, work="w"))
    for kind in ("settle", "release"):
        with pytest.raises(Stale):
            await store.write(accounts.entry(owner, "live", kind, 4, work="w"))
    for _ in range(2):
        await store.write(accounts.entry(owner, "live", "refund", 1, work="w"))
    assert [row[3] for row in await accounts.entries_of_work(store, "w")] == ["hold", "settle", "refund", "refund"]
    assert await accounts.balance(store, owner, "live") == 90


async def test_the_two_modes_have_books_of_their_own(store: Store) -> None:
    owner = await account(store, live=5)
    await store.write(accounts.add(owner, "test", 3))
    assert sorted(await accounts.amounts(store)) == [(owner, "live", 5), (owner, "test", 3)]
    assert [row[5] for row in await accounts.entries_of(store, owner, "live")] == [5]
    assert await accounts.entries_of(store, owner, "test") == []
    assert await accounts.balance(store, "nobody", "live") == 0


async def test_entries_come_newest_first_in_pages(store: Store) -> None:
    owner = await account(store)
    for amount in (1, 2, 3):
        await asyncio.sleep(0.002)  # ids of one millisecond are in no order
        await store.write(accounts.entry(owner, "live", "topup", amount))
    first = await accounts.entries_of(store, owner, "live", limit=2)
    rest = await accounts.entries_of(store, owner, "live", first[-1][0], limit=2)
    assert [row[5] for row in (*first, *rest)] == [3, 2, 1]


async def test_an_account_is_found_by_name_and_id_and_made_once(store: Store) -> None:
    made = await account(store, "acme")
    assert await accounts.find(store, "acme") == await accounts.find(store, made)
    assert await accounts.find(store, "other") is None
    with pytest.raises(Conflict):
        await account(store, "acme")


@pytest.mark.parametrize(
    ("given", "entries", "wrong"),
    [
        ({"state": State.RUNNING, "hold": 9}, [("hold", -9)], False),
        ({"state": State.RUNNING, "hold": 9}, [], True),
        ({"state": State.RUNNING, "hold": 9}, [("hold", -8)], True),
        ({"state": State.RUNNING, "hold": 9}, [("hold", -9), ("release", 9)], True),
        ({"state": State.SUCCEEDED, "hold": 9, "charge": 4}, [("hold", -9), ("settle", 5)], False),
        ({"state": State.SUCCEEDED, "hold": 9, "charge": 4}, [("hold", -9), ("settle", 5), ("refund", 4)], False),
        ({"state": State.SUCCEEDED, "hold": 9, "charge": 4}, [("hold", -9), ("settle", 6)], True),
        ({"state": State.SUCCEEDED, "hold": 9, "charge": 4}, [("hold", -9)], True),
        ({"state": State.FAILED, "hold": 9, "charge": 0}, [("hold", -9), ("release", 9)], False),
        ({"state": State.FAILED, "hold": 9, "charge": 0}, [("release", 9)], True),
        ({"state": State.FAILED, "hold": 9, "charge": None}, [("hold", -9), ("release", 9)], True),
    ],
)
async def test_tasks_that_disagree_with_their_entries(
    store: Store, given: dict[str, object], entries: list[tuple[str, int]], wrong: bool
) -> None:
    made = task(**given)
    steps = [accounts.entry("a", "live", kind, amount, work=made.id) for kind, amount in entries]
    await store.write(tasks.insert(made), *steps)
    assert [row[0] for row in await accounts.wrong_tasks(store)] == [made.id] * wrong
    assert await accounts.orphans(store) == []


async def test_holds_for_nothing_are_found(store: Store) -> None:
    owner = await account(store, live=10)
    await store.write(*held(owner, "gone", 4))
    assert await accounts.orphans(store) == [("gone", -4)]


async def test_prices_are_kept_in_order(store: Store) -> None:
    for model, rule in (("b", "1"), ("a", "2"), ("b", "3")):
        await store.write(accounts.price(model, rule, "operator"))
    assert [(row[1], row[2]) for row in await accounts.prices_of_all(store)] == [("a", "2"), ("b", "1"), ("b", "3")]
