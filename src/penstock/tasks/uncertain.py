"""Sent, and never answered: find out what became of it, and never send it again blind."""

from __future__ import annotations

import msgspec

from penstock.calls import converse
from penstock.canonical.plan import Channel
from penstock.canonical.task import Report, State, Task
from penstock.clock import now
from penstock.context import Context
from penstock.errors import (
    CallerError,
    FateUnknown,
    Stale,
    UpstreamError,
)
from penstock.log import logger
from penstock.providers._base import TaskEndpoint
from penstock.routing import Channels
from penstock.routing.planning import sent_to
from penstock.store import tasks
from penstock.tasks import accepting, ending, events
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import Watches, can_be_asked, honours_keys

replace = msgspec.structs.replace


async def begin(ctx: Context, task: Task) -> None:
    """A create whose answer was lost, or that a process which died left behind at whatever moment."""
    at = now()
    for _ in range(20):
        current = await tasks.get(ctx.store, task.id)
        if current is None or current.state is not State.SUBMITTING:
            raise Retry(0.0)
        moved, noted = events.append(
            replace(current, state=State.UNCERTAIN, moved_at=at, due_at=at), ("note", "no answer from the upstream")
        )
        try:
            await ctx.store.write(tasks.move(current, moved), *noted, events.news(ctx, task.id))
        except Stale:
            continue
        break
    raise Retry(0.0)


async def resolve(ctx: Context, task: Task) -> None:
    """Find out what became of a create: ask the vendor by our tag, or repeat it under the same key, where either is
    possible; otherwise wait for its callback until the deadline of uncertainty."""
    channel = ctx.of(Channels).get(task.channel or "")
    if task.report:
        return await accepting.accept(ctx, task.id, msgspec.json.decode(task.report, type=Report))
    if task.deadline and now() >= task.deadline and task.canceled_at is None:
        await ending.begin_cancel(ctx, task)
        raise Retry(0.0)
    doubt_s, sent_s = (now() - task.moved_at) / 1e9, (now() - (task.submitted_at or task.created_at)) / 1e9
    left_s = ctx.settings.uncertain_s - doubt_s
    endpoint = ctx.of(Watches).endpoint(channel) if channel else None
    if channel is None or endpoint is None or (left_s < 0 and not can_be_asked(channel, endpoint)):
        return await _fate_unknown(ctx, task)
    repeats = honours_keys(channel, endpoint)
    try:
        if can_be_asked(channel, endpoint):
            found = await converse(ctx, channel, endpoint.find(task.id))
            if found is not None:
                return await accepting.accept(ctx, task.id, found)
            if sent_s < ctx.settings.find_grace_s:
                raise Retry(ctx.settings.find_grace_s - sent_s)  # ours may still be on its way
            if task.canceled_at is not None:
                await ending.end(ctx, task, State.CANCELED)
                return
            repeats = True  # it surely has none
        if repeats:
            report = await _send_again(ctx, task, channel, endpoint)
            return await accepting.accept(ctx, task.id, report)
    except CallerError as error:
        return await accepting.give_up(ctx, task, str(error), error.code)
    except UpstreamError as error:
        if left_s < 0:
            return await _fate_unknown(ctx, task)
        raise Retry(min(max(1.0, error.retry_after_s or doubt_s / 4), 30.0)) from None
    raise Retry(min(max(0.2, left_s), 30.0))


async def _send_again(ctx: Context, task: Task, channel: Channel, endpoint: TaskEndpoint) -> Report:
    """The same create under the same tag. When it left is on disk first: who then dies must not ask for it too soon."""
    sent = sent_to(ctx, task.model, task.asked, channel, task.upstream_model or task.model)
    job = await accepting.job_for(ctx, task, sent)
    again, noted = events.append(replace(task, submitted_at=now()), ("note", "asked again under the same tag"))
    await ctx.store.write(tasks.move(task, again), *noted, events.news(ctx, task.id))
    ctx.faults.reach("resubmit.before")
    return await converse(ctx, channel, endpoint.submit(job, task.id), creates=True)


async def _fate_unknown(ctx: Context, task: Task) -> None:
    logger("worker").warning("fate unknown: the upstream may have made and billed this", task=task.id)
    words = "The upstream never answered whether it accepted this prediction, so it was given up."
    if task.canceled_at is not None:
        await ending.end(ctx, task, State.CANCELED)
    else:
        await ending.end(ctx, task, State.FAILED, error=words, code=FateUnknown.code)
