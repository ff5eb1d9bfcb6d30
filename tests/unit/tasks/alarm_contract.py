"""What every alarm does, whatever keeps its times. A suite: subclass it, and give `alarm` and `store`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from penstock.clock import after, now
from penstock.errors import Stale
from penstock.store import Store, accounts
from penstock.tasks.alarm import Advance, Alarm, Retry

AT_ONCE = 4


@asynccontextmanager
async def running(alarm: Alarm, advance: Advance) -> AsyncIterator[None]:
    loop = asyncio.create_task(alarm.run(advance))
    try:
        yield
    finally:
        await alarm.stop(0.2)
        await asyncio.wait_for(loop, 5)


async def until(true: Callable[[], bool], patience_s: float = 5.0) -> None:
    async with asyncio.timeout(patience_s):
        while not true():
            await asyncio.sleep(0.005)


class AlarmContract:
    """`alarm` is a fresh one that runs `AT_ONCE` tasks at once, `store` the one whose writes arm it."""

    @pytest.fixture
    def calls(self) -> list[str]:
        return []

    @pytest.fixture
    def noted(self, calls: list[str]) -> Callable[[str], Awaitable[None]]:
        async def advance(task: str) -> None:
            calls.append(task)

        return advance

    async def test_it_wakes_at_the_time_and_once(
        self, alarm: Alarm, store: Store, calls: list[str], noted: Advance
    ) -> None:
        at = after(0.1)
        await store.write(alarm.wake("later", at), alarm.wake("now", now()))
        async with running(alarm, noted):
            await until(lambda: calls == ["now"])
            await until(lambda: len(calls) == 2)
            assert now() >= at
            await asyncio.sleep(0.1)
        assert calls == ["now", "later"]

    async def test_the_earlier_time_wins(self, alarm: Alarm, store: Store, calls: list[str], noted: Advance) -> None:
        async with running(alarm, noted):
            await store.write(alarm.wake("a", after(60)), alarm.wake("b", now()))
            await store.write(alarm.wake("a", after(0.02)))
            await store.write(alarm.wake("a", after(60)))
            await until(lambda: sorted(calls) == ["a", "b"])

    async def test_what_is_cancelled_never_comes(
        self, alarm: Alarm, store: Store, calls: list[str], noted: Advance
    ) -> None:
        async with running(alarm, noted):
            await store.write(alarm.wake("a", after(0.05)), alarm.wake("b", after(0.06)))
            await store.write(alarm.cancel("a"), alarm.cancel("never heard of"))
            await until(lambda: "b" in calls)
        assert calls == ["b"]

    async def test_after_a_cancel_it_may_be_woken_again(
        self, alarm: Alarm, store: Store, calls: list[str], noted: Advance
    ) -> None:
        at = after(0.05)
        async with running(alarm, noted):
            await store.write(alarm.wake("a", at), alarm.cancel("a"), alarm.wake("a", at))
            await until(lambda: calls == ["a"])
            await asyncio.sleep(0.05)
        assert calls == ["a"]

    async def test_retry_comes_again(self, alarm: Alarm, store: Store, calls: list[str]) -> None:
        async def advance(task: str) -> None:
            calls.append(task)
            if len(calls) < 3:
                raise Retry(0.02)

        async with running(alarm, advance):
            await store.write(alarm.wake("a", now()))
            await until(lambda: len(calls) == 3)
            await asyncio.sleep(0.06)
        assert calls == ["a"] * 3

    async def test_one_call_at_a_time_for_a_task_and_woken_meanwhile_it_runs_again(
        self, alarm: Alarm, store: Store, calls: list[str]
    ) -> None:
        inside, most, go = Counter[str](), 0, asyncio.Event()

        async def advance(task: str) -> None:
            nonlocal most
            calls.append(task)
            inside[task] += 1
            most = max(most, inside[task])
            await go.wait()
            inside[task] -= 1

        async with running(alarm, advance):
            await store.write(alarm.wake("a", now()))
            await until(lambda: len(calls) == 1)
            await store.write(alarm.wake("a", now()))
            alarm.arm("a", now())
            await asyncio.sleep(0.05)
            assert len(calls) == 1
            go.set()
            await until(lambda: len(calls) == 2)
            await asyncio.sleep(0.05)
        assert (len(calls), most) == (2, 1)

    async def test_a_bug_stops_no_other(self, alarm: Alarm, store: Store, calls: list[str]) -> None:
        async def advance(task: str) -> None:
            calls.append(task)
            if task.startswith("bad"):
                raise ZeroDivisionError(task)

        async with running(alarm, advance):
            await store.write(*(alarm.wake(f"bad{n}", now()) for n in range(2 * AT_ONCE)))
            await until(lambda: len(calls) == 2 * AT_ONCE)
            await store.write(alarm.wake("good", now()))
            await until(lambda: "good" in calls)

    async def test_stop_lets_what_runs_finish_within_patience(self, alarm: Alarm, store: Store) -> None:
        began, ended, cut = [], [], []

        async def advance(task: str) -> None:
            began.append(task)
            try:
                await asyncio.sleep(0.1 if task == "short" else 60)
                ended.append(task)
            except asyncio.CancelledError:
                cut.append(task)
                raise

        loop = asyncio.create_task(alarm.run(advance))
        await store.write(alarm.wake("short", now()), alarm.wake("long", now()), alarm.wake("next", after(0.05)))
        await until(lambda: len(began) == 2)
        await alarm.stop(0.4)
        await asyncio.wait_for(loop, 1)
        assert (sorted(began), ended, cut) == (["long", "short"], ["short"], ["long"])

    async def test_a_write_that_fails_arms_nothing(
        self, alarm: Alarm, store: Store, calls: list[str], noted: Advance
    ) -> None:
        async with running(alarm, noted):
            with pytest.raises(Stale):
                await store.write(alarm.wake("a", now()), accounts.add("nobody", "live", 1))
            await store.write(alarm.wake("b", after(0.05)))
            with pytest.raises(Stale):
                await store.write(alarm.cancel("b"), accounts.add("nobody", "live", 1))
            await until(lambda: calls == ["b"])

    async def test_many_at_once_but_no_more_than_there_is_room(
        self, alarm: Alarm, store: Store, calls: list[str]
    ) -> None:
        inside = most = 0

        async def advance(task: str) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.002)
            inside -= 1
            calls.append(task)

        async with running(alarm, advance):
            await store.write(*(alarm.wake(str(n), now()) for n in range(40)))
            await until(lambda: len(calls) == 40)
        assert (most, len(set(calls))) == (AT_ONCE, 40)
