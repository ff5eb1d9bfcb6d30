from __future__ import annotations

import asyncio

import pytest

from penstock.errors import Conflict, QuotaSpent, Stale
from penstock.store import Step, Store, accounts, keys, tasks
from tests.stores import account, effect, task

pytestmark = pytest.mark.anyio


async def names(store: Store) -> list[str]:
    return [row[1] for row in await accounts.every(store)]


async def test_a_write_is_there_once_it_returns(store: Store) -> None:
    made = await account(store, "acme")
    assert (await accounts.find(store, "acme"))[:2] == (made, "acme")
    assert await accounts.balance(store, made, "live") == 0


async def test_a_step_that_changes_too_little_undoes_them_all(store: Store) -> None:
    made, happened = await account(store), []
    with pytest.raises(Stale):
        await store.write(
            accounts.entry(made, "live", "topup", 5),
            accounts.add(made, "live", 5),
            effect(happened, "after"),
            accounts.add("nobody", "live", 5),
        )
    assert await accounts.entries_of(store, made, "live") == []
    assert await accounts.balance(store, made, "live") == 0
    assert happened == []


async def test_the_word_of_the_failing_step_is_raised(store: Store) -> None:
    made, words = await account(store), Conflict("in my own words")
    with pytest.raises(Conflict) as raised:
        await store.write(accounts.add("nobody", "live", 5).must_change(1, words))
    assert raised.value is words
    with pytest.raises(QuotaSpent):
        await store.write(accounts.take(made, "live", 1, QuotaSpent()))


async def test_a_step_without_a_number_of_rows_may_change_none(store: Store) -> None:
    await store.write(*tasks.clear("nowhere"))


async def test_effects_come_in_order_after_the_commit(store: Store) -> None:
    made, seen = new_name(), []
    steps = accounts.open_account(made, made, "w")
    waiting = asyncio.ensure_future(store.write(effect(seen, "first"), *steps, effect(seen, "last")))
    await asyncio.sleep(0)
    assert seen == []
    await waiting
    assert seen == ["first", "last"]


async def test_an_effect_that_breaks_keeps_nothing_back(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    broken = Step(None, {}, after=lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    await store.write(*accounts.open_account("a", "a", "w"), broken, effect(seen, "next"))
    assert seen == ["next"]
    assert "after-effect failed" in caplog.text
    assert await names(store) == ["a"]


async def test_a_write_of_effects_alone_needs_no_transaction(store: Store) -> None:
    seen: list[str] = []
    await store.write(effect(seen, "done"))
    await store.write()
    assert seen == ["done"]


async def test_what_the_writer_lost_interest_in_is_written_all_the_same(store: Store) -> None:
    seen: list[str] = []
    waiting = asyncio.ensure_future(store.write(*accounts.open_account("a", "a", "w"), effect(seen, "after")))
    if store.kind == "postgres":
        await waiting  # there a cancelled write is undone as a whole; no half is ever seen
    else:
        await asyncio.sleep(0)
        waiting.cancel()
        await store.write(*accounts.open_account("b", "b", "w"))
    assert (seen, "a" in await names(store)) == (["after"], True)


UNFIT = {
    "a missing parameter": lambda: accounts.add("a", "live", 1).statement(account="a"),
    "a value of the wrong kind": lambda: accounts.add("a", "live", object()),
    "a number that is too large": lambda: accounts.add("a", "live", 2**70),
    "text that is no text": lambda: tasks.insert(task(logs="\ud800")),
    "a duplicate": lambda: keys.insert(
        id="k1", account="a", name="", mode="", prefix="", hash=b"1", rpm=1, concurrency=1
    ),
    "a null where none may be": lambda: tasks.insert(task(account=None)),
}


@pytest.mark.parametrize("unfit", UNFIT)
async def test_one_failing_write_of_a_batch_hurts_no_other(store: Store, unfit: str) -> None:
    await account(store, "a")
    first = keys.insert(id="k1", account="a", name="", mode="", prefix="", hash=b"1", rpm=None, concurrency=None)
    await store.write(first)
    writes = [store.write(*accounts.open_account(f"good{n}", f"good{n}", "w")) for n in range(6)]
    writes.insert(3, store.write(*accounts.open_account("bad", "bad", "w"), UNFIT[unfit]()))
    outcomes = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 10)
    assert isinstance(outcomes.pop(3), Exception)
    assert outcomes == [None] * 6
    assert sorted(await names(store)) == ["a", *(f"good{n}" for n in range(6))]


async def test_many_writes_at_once_all_happen(store: Store) -> None:
    made = await account(store)
    await asyncio.gather(
        *(store.write(accounts.entry(made, "live", "topup", 1), accounts.add(made, "live", 1)) for _ in range(300))
    )
    assert await accounts.balance(store, made, "live") == 300
    assert await accounts.sums(store) == [(made, "live", 300)]


async def test_closing_finishes_what_is_pending(store: Store) -> None:
    writes = [asyncio.ensure_future(store.write(*accounts.open_account(f"a{n}", f"a{n}", "w"))) for n in range(20)]
    await asyncio.gather(*writes)
    assert len(await accounts.every(store)) == 20


def new_name() -> str:
    return "fresh"
