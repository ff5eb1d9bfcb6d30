"""queued → submitting → running: choose a deployment, write down that we are about to ask it, ask it."""

from __future__ import annotations

import time

import msgspec

from penstock.access import Groups
from penstock.calls import converse
from penstock.canonical.media import OpenJob
from penstock.canonical.plan import Deployment
from penstock.canonical.task import State, Task
from penstock.clock import after, now
from penstock.context import Context
from penstock.errors import (
    CallerError,
    ChannelRejected,
    FateUnknown,
    Stale,
    UnknownModel,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamUnreachable,
)
from penstock.log import logger
from penstock.routing import SANDBOX, Health, plan
from penstock.store import tasks
from penstock.tasks import accepting, ending, events, uncertain
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import Watches

replace = msgspec.structs.replace
LOOK_S = 10.0
"""Who stands in line is told when its turn has come; it looks by itself after this long all the same."""
INTENT = ("state", "channel", "upstream_model", "submitted_at", "moved_at", "due_at")


async def submit(ctx: Context, task: Task) -> None:
    """Choose a deployment, write down that we are about to ask it, ask it."""
    if await _out_of_time(ctx, task):
        return
    deployment = await _choose(ctx, task)
    if deployment is None:
        return
    channel, endpoint = deployment.channel, ctx.of(Watches).endpoint(deployment.channel)
    try:
        job, intent = await _intend(ctx, task, deployment)
    except BaseException as error:
        ctx.of(Health).free(channel.id)
        if not isinstance(error, CallerError):
            raise
        await ending.end(ctx, task, State.FAILED, error=str(error), code=error.code)
        return
    ctx.faults.reach("submit.intent")
    health, began = ctx.of(Health), time.monotonic()
    try:
        report = await converse(ctx, channel, endpoint.submit(job, task.id), creates=True)
    except FateUnknown as error:
        health.failed(deployment, error)
        ctx.faults.reach("submit.lost")
        await uncertain.begin(ctx, intent)
    except CallerError as error:
        health.failed(deployment, error)
        await accepting.give_up(ctx, intent, str(error), error.code)
    except UpstreamError as error:
        health.failed(deployment, error)
        await _turned_down(ctx, intent, deployment, error)
    else:
        ctx.faults.reach("submit.replied")
        health.worked(deployment, began)
        await accepting.accept(ctx, task.id, report, intent)


async def _intend(ctx: Context, task: Task, deployment: Deployment) -> tuple[OpenJob, Task]:
    """Make the job ready, and write down that it is about to leave."""
    job = await accepting.job_for(ctx, task, deployment)
    at = now()
    intent = replace(
        task,
        state=State.SUBMITTING,
        channel=deployment.channel.id,
        upstream_model=deployment.upstream_model,
        submitted_at=at,
        moved_at=at,
        due_at=at,
    )
    await ctx.store.write(tasks.move(task, intent, *INTENT), events.news(ctx, task.id))
    return job, intent


async def _choose(ctx: Context, task: Task) -> Deployment | None:
    """The best deployment with a place, which is taken. None: the task was ended. Raises Retry where one must be waited
    for."""
    refused_by = [each for each in task.refused_by.split(",") if each]
    found = plan(ctx, task.asked or task.model, task.mode, refused_by, ctx.of(Groups).get(task.group))
    if not found:
        words = task.error or "No channel serves this model any more."
        await ending.end(ctx, task, State.FAILED, error=words, code=task.error_code or "no_channel")
        return None
    health = ctx.of(Health)
    for deployment in found:
        if _open(health, deployment, task.id):
            health.take(deployment.channel, task.id)
            health.begins(deployment)
            return deployment
    wait_s = min(_wait_s(health, deployment, task.id) for deployment in found)
    raise Retry(min(wait_s, max(0.0, (_latest(task) - now()) / 1e9)))


def _open(health: Health, deployment: Deployment, task: str) -> bool:
    channel = deployment.channel
    has_room = health.has_place(channel) and not health.rate_s(channel) and health.is_next(channel, task)
    return has_room and health.ready(deployment)


def _wait_s(health: Health, deployment: Deployment, task: str) -> float:
    """When to look again for this one; the task gets in line where it will be told."""
    rest_s = health.cooling_s(deployment)
    if rest_s:
        return rest_s
    first = health.wait(deployment.channel, task)
    return (health.rate_s(deployment.channel) or LOOK_S) if first else LOOK_S


async def _turned_down(ctx: Context, task: Task, deployment: Deployment, error: UpstreamError) -> None:
    """Surely not accepted: another deployment, or later. Busy and unreachable channels rest; one that rejected us is
    not asked again for this task, and nor is a model that failed there."""
    channel, refused = deployment.channel, [task.refused_by]
    if isinstance(error, ChannelRejected):
        refused.append(channel.id)
    elif not isinstance(error, UpstreamBusy | UpstreamUnreachable):
        refused.append(deployment.key)
    refused_by = ",".join(filter(None, refused))
    code, words = error.code, str(error)
    if isinstance(error, ChannelRejected):  # our own account's trouble, which is not the caller's to read
        logger("worker").warning("channel rejected us", channel=channel.name, reason=words)
        words = "No channel could take this model's work. The operator has been told."
    elif isinstance(error, UpstreamForgot):  # whoever was asked does not know the model
        code, words = UnknownModel.code, str(UnknownModel())
    for _ in range(20):
        current = await tasks.get(ctx.store, task.id)
        if current is None or current.state is not State.SUBMITTING:
            raise Retry(0.0)
        at = now()
        back = replace(
            current,
            state=State.QUEUED,
            attempt=current.attempt + 1,
            channel=None,
            upstream_model=None,
            refused_by=refused_by,
            error=words,
            error_code=code,
            moved_at=at,
            due_at=at,
        )
        back, noted = events.append(back, ("note", f"turned down: {code}"))
        try:
            await ctx.store.write(tasks.move(current, back), *noted, events.news(ctx, task.id))
        except Stale:
            continue  # its caller cancelled it just now
        ctx.of(Health).free(channel.id)
        break
    raise Retry((error.retry_after_s or 0.1) if channel is SANDBOX else 0.0)


async def _out_of_time(ctx: Context, task: Task) -> bool:
    """End a queued task whose deadline passed, or that waited for as long as its model ever takes."""
    at = now()
    if task.canceled_at is not None or (task.deadline and at >= task.deadline):
        await ending.end(ctx, replace(task, canceled_at=at), State.CANCELED)
        return True
    if at >= after(task.longest_s, task.created_at):
        words = task.error or "No channel had a place for this prediction in time."
        await ending.end(ctx, task, State.FAILED, error=words, code=task.error_code or "timed_out")
        return True
    return False


def _latest(task: Task) -> int:
    """When a queued task has waited for long enough."""
    latest = after(task.longest_s, task.created_at)
    return min(latest, task.deadline) if task.deadline else latest
