"""running and canceling: ask the vendor how it goes, or to stop."""

from __future__ import annotations

import msgspec

from penstock.calls import converse
from penstock.canonical.plan import Channel, Deployment
from penstock.canonical.task import ENDED, Report, State, Task, TaskId
from penstock.clock import now
from penstock.context import Context
from penstock.errors import (
    CallerError,
    ChannelRejected,
    PenstockError,
    UpstreamError,
    UpstreamForgot,
    UpstreamUnreachable,
)
from penstock.log import logger
from penstock.providers._base import TaskEndpoint
from penstock.routing import Channels, Health
from penstock.store import tasks
from penstock.tasks import ending, observing
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import Watch, Watches

replace = msgspec.structs.replace


async def run(ctx: Context, task: Task) -> None:
    """A running task that this process does not watch yet, or one about which a vendor called back."""
    if task.canceled_at is not None:
        await ending.begin_cancel(ctx, task)
        raise Retry(0.0)
    if task.report:
        return await observing.observe(ctx, task, msgspec.json.decode(task.report, type=Report), called=True)
    watch = ctx.of(Watches).begin(task)
    if watch is None:
        words = "The channel that this prediction ran on was removed."
        await ending.end(ctx, task, State.FAILED, error=words, code="channel_removed")
        return
    await poll(ctx, watch)


async def poll(ctx: Context, watch: Watch) -> None:
    """Ask once. A failed poll is no verdict; a doubt that lasts is one."""
    at = now()
    if at >= watch.until or (watch.deadline and at >= watch.deadline):
        return await _overdue(ctx, watch)
    try:
        report = await converse(ctx, watch.channel, watch.endpoint.watch(watch.ref))
    except UpstreamForgot:
        report = Report(State.RUNNING, doubt="The upstream lost this prediction.", code=UpstreamForgot.code)
    except UpstreamUnreachable as error:
        watch.failures += 1
        if not watch.endpoint.forgets:
            raise Retry(watch.again_s()) from None
        report = Report(State.RUNNING, doubt="The upstream's server is gone.", code=error.code)
    except UpstreamError as error:
        if isinstance(error, ChannelRejected):  # nothing new shall go there
            ctx.of(Health).failed(Deployment(watch.channel, ""), error)
        watch.failures += 1
        raise Retry(min(error.retry_after_s or watch.again_s(), watch.left_s())) from None
    except CallerError as error:
        watch.failures += 1
        logger("worker").warning("poll refused", task=watch.id, channel=watch.channel.name, reason=str(error))
        raise Retry(watch.again_s()) from None
    else:
        watch.failures = 0
    ctx.metrics.polled.inc()
    if ctx.of(Watches).get(watch.id) is not watch:
        raise Retry(0.0)  # the task was changed meanwhile, by a cancel or a callback
    if report.doubt is not None:
        if watch.doubt_lasts(report.doubt_s):
            return await _verdict(ctx, watch.id, Report(State.FAILED, reason=report.doubt, code=report.code or "lost"))
        raise Retry(min(1.0, watch.endpoint.doubt_s / 4))
    watch.doubted_at = None
    if not watch.is_news(report):
        raise Retry(watch.again_s())
    await _verdict(ctx, watch.id, report)


async def _verdict(ctx: Context, id: TaskId, report: Report) -> None:
    task = await tasks.get(ctx.store, id)
    if task is not None and task.report:
        ctx.of(Watches).changed(id)
        raise Retry(0.0)  # the vendor called meanwhile, and knows better
    if task is not None and not task.ended:
        await observing.observe(ctx, task, report)


async def _overdue(ctx: Context, watch: Watch) -> None:
    """A running task past its deadline is cancelled; one past its model's longest life is stopped, and has failed."""
    task = await tasks.get(ctx.store, watch.id)
    if task is None or task.ended:
        return
    if watch.deadline and now() >= watch.deadline:
        await ending.begin_cancel(ctx, task)
        raise Retry(0.0)
    try:
        last = await _asked_to_stop(ctx, watch.channel, watch.endpoint, watch.ref)
    except PenstockError as error:
        logger("worker").warning("could not stop an overdue task", task=task.id, reason=str(error))
    else:
        if last.state is State.SUCCEEDED:
            return await observing.observe(ctx, task, last)
    words = f"The prediction ran for more than {task.longest_s:.0f} s, so it was stopped."
    await ending.end(ctx, task, State.FAILED, error=words, code="timed_out")


async def _asked_to_stop(ctx: Context, channel: Channel, endpoint: TaskEndpoint, ref: str) -> Report:
    """What the vendor says when asked to stop, or when asked how it goes where it can't."""
    answer = None
    if endpoint.cancellable:
        try:
            answer = await converse(ctx, channel, endpoint.cancel(ref))
        except UpstreamForgot:
            raise
        except PenstockError as error:  # it may be done already: then it says so when asked
            logger("worker").info("cancel refused", reason=str(error), ref=ref)
    ctx.faults.reach("cancel.asked")
    return answer if answer is not None else await converse(ctx, channel, endpoint.watch(ref))


async def stop(ctx: Context, task: Task) -> None:
    """canceling: ask the vendor to stop, and watch until it has; within a bound, where it can."""
    if task.report:
        told = msgspec.json.decode(task.report, type=Report)
        if told.state in ENDED:
            return await observing.observe(ctx, task, told)
    channel = ctx.of(Channels).get(task.channel or "")
    if channel is None or task.ref is None:
        await ending.end(ctx, task, State.CANCELED)
        return
    endpoint = ctx.of(Watches).endpoint(channel)
    waited_s = (now() - (task.canceled_at or task.moved_at)) / 1e9
    try:
        report = await _asked_to_stop(ctx, channel, endpoint, task.ref)
    except UpstreamForgot:
        await ending.end(ctx, task, State.CANCELED)
        return
    except PenstockError as error:
        if endpoint.forgets and isinstance(error, UpstreamUnreachable) and waited_s > endpoint.doubt_s:
            await ending.end(ctx, task, State.CANCELED)
            return
        report = Report(State.RUNNING)
    if report.state in ENDED:
        return await observing.observe(ctx, task, report)
    if endpoint.cancellable and waited_s > ctx.settings.cancel_patience_s:
        logger("worker").warning("cancel never confirmed: the upstream may bill this", task=task.id)
        await ending.end(ctx, task, State.CANCELED)
        return
    if (now() - (task.submitted_at or task.created_at)) / 1e9 > task.longest_s:
        await ending.end(ctx, task, State.CANCELED)
        return
    raise Retry(endpoint.polls.next_s(waited_s))
