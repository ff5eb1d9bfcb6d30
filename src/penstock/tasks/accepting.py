"""What a vendor gets of a task, and what we write down once it has it."""

from __future__ import annotations

import msgspec

from penstock.canonical.media import OpenJob
from penstock.canonical.plan import Deployment
from penstock.canonical.task import ENDED, Report, State, Task, TaskId
from penstock.catalog import defaults
from penstock.catalog.loaded import catalog
from penstock.clock import now
from penstock.context import Context
from penstock.errors import (
    Stale,
)
from penstock.routing import SANDBOX
from penstock.store import tasks
from penstock.tasks import ending, events, inputs, observing
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import Watches

replace = msgspec.structs.replace


async def job_for(ctx: Context, task: Task, deployment: Deployment) -> OpenJob:
    channel = deployment.channel
    model = catalog(ctx).find(task.model)
    version = (model.version(task.version) or model.latest) if model else None
    inline = ctx.of(Watches).endpoint(channel).inlines
    base = inputs.callback_base(ctx, channel)
    input = await inputs.ready(ctx, task, channel, inline=inline)
    return OpenJob(
        model=task.model,
        upstream_model=deployment.upstream_model,
        input=defaults(version, input) if version and channel is SANDBOX else input,
        version=None if (model and model.official) or task.version == "hidden" else task.version,
        kind=model.kind if model else "text",
        callback=f"{base}/internal/hooks/{channel.secret}/{task.id}" if base and channel is not SANDBOX else None,
        lifetime_s=(task.deadline - now()) / 1e9 if task.deadline else None,
        usual_s=model.usual_s if model else 10.0,
        output_schema=version.output if version else {},
    )


async def accept(ctx: Context, id: TaskId, report: Report, known: Task | None = None) -> None:
    """The vendor has the task: write down what it calls it, whatever else happened to the task meanwhile.

    `known` is the task as we left it, and is read anew where somebody else wrote to it.
    """
    for _ in range(20):
        task, known = known or await tasks.get(ctx.store, id), None
        if task is None or task.ended:
            return
        at = now()
        moved = replace(task, state=State.RUNNING, ref=report.ref or task.ref or id, moved_at=at, due_at=at)
        if report.state in ENDED and task.state in (State.SUBMITTING, State.UNCERTAIN):
            return await observing.observe(ctx, replace(task, ref=moved.ref), report)
        if task.state not in (State.SUBMITTING, State.UNCERTAIN):
            return  # a callback was quicker
        try:
            await ctx.store.write(tasks.move(task, moved, "state", "ref", "moved_at", "due_at"), events.news(ctx, id))
        except Stale:
            continue
        ctx.faults.reach("submit.accepted")
        if moved.canceled_at is not None or moved.report:
            raise Retry(0.0)  # its caller cancelled it, or the vendor called, meanwhile: `run` sees to that
        return await observing.observe(ctx, moved, report)
    raise Retry(0.1)


async def give_up(ctx: Context, task: Task, words: str, code: str) -> None:
    """End as failed a task that was being submitted, also where its caller cancelled it meanwhile."""
    current = await tasks.get(ctx.store, task.id)
    if current is not None and not current.ended:
        await ending.end(ctx, current, State.FAILED, error=words, code=code)
