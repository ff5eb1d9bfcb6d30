"""advance(task): one idempotent step of a task's life, and write down what happened.

What we are about to do upstream is on disk before it leaves. A task that is found `submitting` here was left so by a
process that died: it may have been accepted, so it is `uncertain`, and never sent again blind.
"""

from __future__ import annotations

from penstock.canonical.task import State, TaskId
from penstock.context import Context
from penstock.errors import Stale
from penstock.tasks import calling, polling, submitting, uncertain
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import CALL, Watches


async def advance(ctx: Context, id: TaskId) -> None:
    """Take the task one step further. Raises Retry while there is more to do."""
    watches = ctx.of(Watches)
    watches.answer(id)
    watch = watches.get(id)
    try:
        if watch is not None:
            await polling.poll(ctx, watch)
        task = await watches.read(id)
        if task is not None and not task.ended:
            steps = calling.STEPS if task.version == CALL else STEPS
            await steps[task.state](ctx, task)
    except Stale:
        watches.changed(id)
        raise Retry(0.0) from None  # somebody else was first: look at what they made of it


STEPS = {
    State.QUEUED: submitting.submit,
    State.SUBMITTING: uncertain.begin,
    State.UNCERTAIN: uncertain.resolve,
    State.RUNNING: polling.run,
    State.CANCELING: polling.stop,
}
