"""What vendors say by themselves."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from penstock.canonical.task import Report, State
from penstock.context import Context
from penstock.store import tasks
from penstock.tasks import watcher
from tests.stores import task

pytestmark = pytest.mark.anyio


async def test_of_many_words_at_once_the_last_is_kept(context: Context) -> None:
    """As Cog calls, for each output and for the end, within a millisecond."""
    made = task(state=State.RUNNING, ref="theirs")
    await context.store.write(tasks.insert(made))
    said = [Report(State.RUNNING, logs=f"{number}") for number in range(12)]
    said.insert(5, Report(State.SUCCEEDED, output="done"))
    await asyncio.gather(*(watcher.note(context, made.id, report) for report in said))
    stored = await tasks.get(context.store, made.id)
    assert stored is not None and stored.report is not None
    assert msgspec.json.decode(stored.report, type=Report) == Report(State.SUCCEEDED, output="done")
