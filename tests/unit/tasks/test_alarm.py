from __future__ import annotations

import pytest

from penstock.clock import after
from penstock.tasks.alarm import HeapAlarm
from tests.unit.tasks.alarm_contract import AT_ONCE, AlarmContract

pytestmark = pytest.mark.anyio


class TestHeapAlarm(AlarmContract):
    @pytest.fixture
    def alarm(self) -> HeapAlarm:
        return HeapAlarm(AT_ONCE)


async def test_its_length_is_how_many_tasks_are_watched() -> None:
    alarm = HeapAlarm()
    for task in ("a", "b", "a"):
        alarm.arm(task, after(60))
    assert len(alarm) == 2
