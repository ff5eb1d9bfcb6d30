"""Whatever happens in whatever order, the books balance and nobody owes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.canonical.task import State, Task
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import CallerError, QuotaSpent, Stale
from penstock.ledger import Charge, adjust, check, hold, refund, release, settle, topup
from penstock.store import accounts, tasks
from tests.stores import Stores, account, opened, task

replace = msgspec.structs.replace
RUNS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
STEPS = st.lists(
    st.tuples(st.sampled_from(["topup", "hold", "settle", "release", "refund"]), st.integers(0, 60), st.integers(0, 5)),
    max_size=25,
)


class Books:
    """One account and its tasks, changed as the words of a step say; the model beside it is a plain sum."""

    def __init__(self, ctx: Context, owner: str) -> None:
        self.ctx, self.owner = ctx, owner
        self.caller = Caller("k", owner, "acme", "live")
        self.tasks: list[Task] = []
        self.refunded: dict[str, int] = {}
        self.balance = 0

    async def do(self, word: str, amount: int, which: int) -> None:
        act: Callable[..., Awaitable[None]] = getattr(self, word)
        await (act(amount) if word in ("topup", "hold") else act(amount, which))

    async def topup(self, amount: int) -> None:
        try:
            await self.ctx.store.write(*topup(self.owner, "live", amount))
            self.balance += amount
        except CallerError:
            assert amount == 0

    async def hold(self, amount: int) -> None:
        made = task(self.owner, hold=amount)
        try:
            await self.ctx.store.write(*hold(self.caller, made.id, amount), tasks.insert(made))
        except QuotaSpent:
            assert amount > self.balance
        else:
            self.balance -= amount
            self.tasks.append(made)

    async def settle(self, amount: int, which: int) -> None:
        if old := self._pick(which):
            charge = Charge(min(amount, old.hold), max(0, amount - old.hold), {})
            await self._end(old, State.SUCCEEDED, charge.micros, settle(old, charge))

    async def release(self, _: int, which: int) -> None:
        if old := self._pick(which):
            await self._end(old, State.FAILED, 0, release(old))

    async def refund(self, amount: int, which: int) -> None:
        old = self._pick(which)
        if old is None:
            return
        before = self.refunded.get(old.id, 0)
        try:
            await self.ctx.store.write(*refund(old, amount, before, "a test"))
        except CallerError:
            assert amount <= 0 or before + amount > (old.charge or 0)
        else:
            self.refunded[old.id] = before + amount
            self.balance += amount

    def _pick(self, which: int) -> Task | None:
        return self.tasks[which % len(self.tasks)] if self.tasks else None

    async def _end(self, old: Task, state: State, charge: int, money: Any) -> None:
        new = replace(old, state=state, charge=charge, seq=old.seq + 1)
        try:
            await self.ctx.store.write(tasks.move(old, new), *money)
        except Stale:
            assert old.ended
        else:
            assert not old.ended
            self.tasks[self.tasks.index(old)] = new
            self.balance += old.hold - charge

    async def agree(self) -> None:
        assert await check(self.ctx) == []
        assert await accounts.balance(self.ctx.store, self.owner, "live") == self.balance >= 0


async def follow(ctx: Context, steps: list[tuple[str, int, int]]) -> None:
    books = Books(ctx, await account(ctx.store, f"acme {len(await accounts.every(ctx.store))}"))
    for step in steps:
        await books.do(*step)
        await books.agree()


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 40), ("postgres", 6)])
def test_the_books_balance_after_every_step(stores: Stores, tmp_path: Path, kind: str, examples: int) -> None:
    with asyncio.Runner() as loop:
        entered = stores.settings(kind, tmp_path)
        context = opened(loop.run(entered.__aenter__()))
        ctx = loop.run(context.__aenter__())

        @settings(RUNS, max_examples=examples)
        @given(STEPS)
        def walks(steps: list[tuple[str, int, int]]) -> None:
            loop.run(follow(ctx, steps))

        try:
            walks()
        finally:
            loop.run(context.__aexit__(None, None, None))
            loop.run(entered.__aexit__(None, None, None))


@pytest.mark.anyio
async def test_holds_and_ends_at_the_same_time(context: Context) -> None:
    books = Books(context, await account(context.store, live=300))
    await asyncio.gather(*(books.ctx.store.write(*topup(books.owner, "live", 1)) for _ in range(10)))
    books.balance = 310
    made = [task(books.owner, hold=10) for _ in range(50)]
    writes = (context.store.write(*hold(books.caller, each.id, 10), tasks.insert(each)) for each in made)
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    held = [each for each, outcome in zip(made, outcomes, strict=True) if outcome is None]
    assert len(held) == 31
    twice = [
        context.store.write(tasks.move(each, replace(each, state=State.SUCCEEDED, charge=4)), *money)
        for each in held
        for money in (settle(each, Charge(4, 0, {})), settle(each, Charge(4, 0, {})))
    ]
    outcomes = await asyncio.gather(*twice, return_exceptions=True)
    assert outcomes.count(None) == 31
    books.balance = 310 - 31 * 4
    await books.agree()


@pytest.mark.anyio
async def test_the_check_names_what_is_wrong(context: Context) -> None:
    owner = await account(context.store, live=10)
    await context.store.write(accounts.add(owner, "live", 1))
    await context.store.write(*hold(Caller("k", owner, "acme", "live"), "gone", 4))
    wrong = await check(context)
    assert len(wrong) == 2
    assert "balance" in wrong[0] and "gone" in wrong[1]


@pytest.mark.anyio
async def test_corrections_by_hand_are_entries(context: Context) -> None:
    owner = await account(context.store, live=10)
    await context.store.write(*adjust(owner, "live", -3, "a mistake"))
    assert await check(context) == []
    assert await accounts.balance(context.store, owner, "live") == 7
