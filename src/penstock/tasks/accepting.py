"""What a vendor gets of a task, and what we write down once it has it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from penstock.canonical.media import OpenJob
from penstock.canonical.plan import Deployment
from penstock.canonical.task import ENDED, Report, State, Task, TaskId
from penstock.catalog import defaults
from penstock.catalog.loaded import catalog
from penstock.clock import now
from penstock.context import Context
from penstock.errors import Stale
from penstock.log import logger
from penstock.routing import SANDBOX
from penstock.store import tasks
from penstock.tasks import ending, events, inputs, observing, outputs
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import Watches

replace = msgspec.structs.replace
ACCEPTED = ("state", "ref", "moved_at", "due_at")
"""What changes where the vendor has only taken it; where it is done already, its report too."""


async def job_for(ctx: Context, task: Task, deployment: Deployment) -> OpenJob:
    channel = deployment.channel
    name = deployment.model or task.model
    model = catalog(ctx).find(name)
    version = (model.version(task.version) or model.latest) if model else None
    asked = task.version
    if name != task.model:  # what an alias falls back on has versions of its own
        asked = version.id if version else "hidden"
    inline = ctx.of(Watches).endpoint(channel).inlines
    base = inputs.callback_base(ctx, channel)
    input = await inputs.ready(ctx, task, channel, inline=inline)
    return OpenJob(
        model=name,
        upstream_model=deployment.upstream_model,
        input=defaults(version, input) if version and channel is SANDBOX else input,
        version=None if (model and model.official) or asked == "hidden" else asked,
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
    for tries in range(40):
        task, known = known or await tasks.get(ctx.store, id), None
        if task is None or task.state not in (State.SUBMITTING, State.UNCERTAIN):
            return
        moved = await _accepted(ctx, task, report)
        try:
            columns = ACCEPTED if moved.report == task.report else ()
            await ctx.store.write(tasks.move(task, moved, *columns), events.news(ctx, id))
        except Stale:
            continue
        except Exception:  # noqa: BLE001  what the vendor calls it is nowhere else: better late than lost
            logger("worker").exception("could not write down what was accepted", task=id)
            await asyncio.sleep(min(0.1 * 2**tries, 5.0))
            continue
        ctx.faults.reach("submit.accepted")
        if moved.canceled_at is not None or moved.report:
            raise Retry(0.0)  # its caller cancelled it, or the vendor is done or called, meanwhile: `run` sees to that
        return await observing.observe(ctx, moved, report)
    raise Retry(0.1)


async def _accepted(ctx: Context, task: Task, report: Report) -> Task:
    """Running, as the vendor calls it; one that is done already has its end still to be acted on."""
    at = now()
    moved = replace(task, state=State.RUNNING, ref=report.ref or task.ref or task.id, moved_at=at, due_at=at)
    if report.state not in ENDED:
        return moved
    slim = await outputs.without_data_urls(ctx, task, report)
    return replace(moved, report=msgspec.json.encode(slim).decode())


async def give_up(ctx: Context, task: Task, words: str, code: str) -> None:
    """End as failed a task that was being submitted, also where its caller cancelled it meanwhile."""
    for _ in range(20):
        current = await tasks.get(ctx.store, task.id)
        if current is None or current.ended:
            return
        with suppress(Stale):
            await ending.end(ctx, current, State.FAILED, error=words, code=code)
            return
    raise Retry(0.1)
