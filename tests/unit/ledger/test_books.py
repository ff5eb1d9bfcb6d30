"""Calls and tasks of keys with quotas at once, with refunds, top-ups, and crashes: the books balance after each."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.access import Keys
from penstock.canonical.task import State, Task
from penstock.canonical.usage import Unit
from penstock.canonical.who import Caller, Quota
from penstock.clock import SECOND, now, parse
from penstock.context import Context
from penstock.errors import CallerError, QuotaReached, QuotaSpent
from penstock.ledger import Allowances, Charge, Hold, Quotas, Rule, check, hold, refund, release, settle, topup
from penstock.ledger import quotas as quotas_
from penstock.ledger.quotas import day_of
from penstock.ledger.rules import Line
from penstock.store import accounts, spending, tasks
from tests.stores import task

pytestmark = pytest.mark.anyio
EACH = Rule((Line(Unit.INPUT_TOKEN, 1),), version="v1")
FUNDS = 3_000


@dataclass
class Gateway:
    """One process's life on the books, as calls and tasks use them."""

    ctx: Context
    owner: str
    funds: int = FUNDS
    calls: list[tuple[Caller, Hold]] = field(default_factory=list)
    running: list[tuple[Caller, Task]] = field(default_factory=list)
    ended: list[Task] = field(default_factory=list)
    refunded: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)

    async def start(self) -> None:
        self.calls.clear()
        self.ledger, self.quotas = Allowances(self.ctx), self.ctx.of(Quotas)
        self.ledger._quotas = self.quotas
        await self.ledger.open()
        await self.quotas.open()

    async def call(self, caller: Caller, amount: int) -> None:
        with suppress(QuotaSpent):
            self.calls.append((caller, await self.ledger.hold(caller, amount)))

    async def answer(self, caller: Caller, amount: int) -> None:
        if self.calls:
            caller, held = self.calls.pop()
            usage = {Unit.INPUT_TOKEN: amount}
            _, charged, on_disk = self.ledger.settle(held, caller, "m", EACH, usage, estimated=False, most=amount)
            await on_disk
            self.spend(caller.key, charged)

    async def drop(self, caller: Caller, amount: int) -> None:
        if self.calls:
            self.ledger.release(self.calls.pop()[1])

    async def submit(self, caller: Caller, amount: int) -> None:
        made = msgspec.structs.replace(task(self.owner), key=caller.key, hold=amount, created_at=now())
        day = day_of(made.created_at)
        try:
            self.quotas.take(caller, amount, day)
        except QuotaSpent:
            return
        try:
            await self.ledger.write_holding(caller, *hold(caller, made.id, amount), tasks.insert(made))
        except QuotaSpent:
            self.quotas.settle(caller.key, day, amount, 0)
        else:
            self.running.append((caller, made))

    async def finish(self, caller: Caller, amount: int) -> None:
        if self.running:
            caller, running = self.running.pop()
            charge = Charge(min(amount, running.hold), max(0, amount - running.hold), {}) if amount % 3 else None
            charged = charge.micros if charge else 0
            state = State.SUCCEEDED if charge else State.FAILED
            done = msgspec.structs.replace(running, state=state, charge=charged, seq=running.seq + 1)
            money = settle(running, charge) if charge else release(running)
            await self.ctx.store.write(tasks.move(running, done), *money)
            self.quotas.settle(caller.key, day_of(running.created_at), running.hold, charged)
            self.spend(caller.key, charged)
            self.ended.append(done)

    async def give_back(self, caller: Caller, amount: int) -> None:
        if self.ended:
            done = self.ended[-1]
            with suppress(CallerError):
                before = self.refunded.get(done.id, 0)
                steps = refund(done, amount, before, "a test")
                self.refunded[done.id] = before + amount
                await self.ctx.store.write(*steps)
                self.quotas.settle(done.key, day_of(done.created_at), amount, 0)
                self.spend(done.key, -amount)

    async def fund(self, caller: Caller, amount: int) -> None:
        self.funds += amount + 1
        await self.ctx.store.write(*topup(self.owner, "live", amount + 1))

    def spend(self, key: str, amount: int) -> None:
        self.spent[key] = self.spent.get(key, 0) + amount

    async def prove(self, callers: list[Caller]) -> None:
        while self.ledger._fills:  # what is drawn ahead, in the background
            await asyncio.gather(*self.ledger._fills)
        assert await check(self.ctx) == []
        held = sum(held.amount for _, held in self.calls) + sum(task.hold for _, task in self.running)
        left = await accounts.balance(self.ctx.store, self.owner, "live") + self.ledger.free(self.owner, "live")
        assert left == self.funds - held - sum(self.spent.values())
        for caller in callers:
            holds = [held.amount for who, held in self.calls if who == caller]
            holds += [task.hold for who, task in self.running if who == caller]
            used = self.spent.get(caller.key, 0) + sum(holds)
            assert self.quotas.spent(caller.key).total == used
            assert caller.quota is None or caller.quota.total is None or used <= caller.quota.total


WORDS = ["call", "answer", "drop", "submit", "finish", "give_back", "fund"]
ROUND = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 2), st.integers(0, 600)), max_size=6)


@given(rounds=st.lists(st.tuples(ROUND, st.booleans()), max_size=8))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
async def test_whatever_happens_at_once_the_books_balance(
    context: Context, rounds: list[tuple[list[tuple[str, int, int]], bool]]
) -> None:
    number = len(await accounts.every(context.store))
    owner = await context.of(Keys).open_account(f"acme-{number}")
    await context.store.write(*topup(owner, "live", FUNDS))
    keys = [Caller(f"{number}-{n}", owner, "acme", "live") for n in range(3)]
    callers = [replace(keys[0], quota=Quota(total=700)), replace(keys[1], quota=Quota(1500, 900, 900)), keys[2]]
    gateway = Gateway(context, owner)
    await gateway.start()
    for steps, crash in rounds:
        await asyncio.gather(*(getattr(gateway, word)(callers[who], amount) for word, who, amount in steps))
        await gateway.prove(callers)
        if crash:
            await gateway.start()
            await gateway.prove(callers)
    for _, held in gateway.calls:
        gateway.ledger.release(held)
    await gateway.ledger.close()
    assert await check(context) == []


async def test_a_quota_begins_anew_with_its_period(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    at = [parse("2026-01-31T23:59:59Z")]
    monkeypatch.setattr(quotas_, "now", lambda: at[0])
    quotas = Quotas(context)
    caller = Caller("k", "a", "acme", "live", quota=Quota(total=100, month=60, day=40))
    day = quotas.take(caller, 40)
    with pytest.raises(QuotaReached, match="2026-02-01T00:00:00Z") as refused:
        quotas.take(caller, 1)
    assert refused.value.period == "day"
    at[0] += 2 * SECOND
    assert quotas.take(caller, 40) == "2026-02-01"
    quotas.settle("k", day, 40, 10)  # of yesterday, and of last month
    assert (quotas.spent("k").total, quotas.spent("k").month, quotas.spent("k").day) == (50, 40, 40)
    at[0] += 86_400 * SECOND
    quotas.take(caller, 20)
    with pytest.raises(QuotaReached) as refused:
        quotas.take(caller, 1)
    assert (refused.value.period, refused.value.anew_at) == ("month", parse("2026-03-01T00:00:00Z"))
    at[0] = parse("2026-12-31T12:00:00Z")
    quotas.take(caller, 30)
    with pytest.raises(QuotaReached) as refused:
        quotas.take(caller, 1)
    assert (refused.value.period, refused.value.anew_at) == ("total", None)
    assert quotas.room(caller) == 0


async def test_a_rotated_key_shares_its_quota(context: Context) -> None:
    keys = context.of(Keys)
    old = await keys.create("one", "live", "acme", quota_total=100)
    new = await keys.rotate(old["id"], 3600)
    newest = await keys.rotate(new["id"], 3600)
    ids = [made["id"] for made in (old, new, newest)]
    quotas = Quotas(context)
    quotas.join(ids[1], ids[0])
    quotas.join(ids[2], ids[1])
    callers = [await keys.caller(made["key"]) for made in (old, new, newest)]
    for caller in callers:
        quotas.take(caller, 30)
    with pytest.raises(QuotaReached):
        quotas.take(callers[0], 11)
    today = quotas.today()
    for id in ids:
        await context.store.write(spending.add("a", "live", today, id, "m", amount=30))
    again = Quotas(context)
    await again.open()
    assert [again.spent(id).total for id in ids] == [90, 90, 90]


async def test_what_is_on_disk_counts_after_a_start(context: Context) -> None:
    today = day_of(now())
    add = spending.add
    await context.store.write(
        add("a", "live", today, "k", "m", amount=5),
        add("a", "live", today, "k", "other", runs=1, amount=6),
        add("a", "live", "2020-01-01", "k", "m", amount=7),
        add("a", "live", today, "k", "m", amount=-2),
    )
    quotas = Quotas(context)
    await quotas.open()
    spent = quotas.spent("k")
    assert (spent.total, spent.month, spent.day) == (16, 9, 9)
    assert await spending.of_account(context.store, "a", "live", today, today) == [
        (today, "k", "m", 0, 0, 0, 3),
        (today, "k", "other", 1, 0, 0, 6),
    ]
