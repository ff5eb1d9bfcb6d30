"""advance(task): one idempotent step of a task's life, and write down what happened.

What we are about to do upstream is on disk before it leaves. A task that is found `submitting` here was left so by a
process that died: it may have been accepted, so it is `uncertain`, and never sent again blind.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.calls import converse
from penstock.canonical.media import OpenJob
from penstock.canonical.plan import Channel, Deployment
from penstock.canonical.task import Report, State, Task, TaskId
from penstock.catalog import defaults
from penstock.catalog.loaded import catalog
from penstock.clock import after, now
from penstock.context import Context
from penstock.errors import (
    CallerError,
    ChannelRejected,
    FateUnknown,
    PenstockError,
    Stale,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamUnreachable,
)
from penstock.log import logger
from penstock.providers._base import TaskEndpoint
from penstock.routing import SANDBOX, Channels, Health, plan
from penstock.store import tasks
from penstock.tasks import assets, ending, events, webhooks
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import Watch, Watches, can_be_asked, honours_keys

replace = msgspec.structs.replace
ENDS = {State.SUCCEEDED, State.FAILED, State.CANCELED}


async def advance(ctx: Context, id: TaskId) -> None:
    """Take the task one step further. Raises Retry while there is more to do."""
    watch = ctx.of(Watches).get(id)
    try:
        if watch is not None:
            await poll(ctx, watch)
        task = await tasks.get(ctx.store, id)
        if task is not None and not task.ended:
            await STEPS[task.state](ctx, task)
    except Stale:
        ctx.of(Watches).changed(id)
        raise Retry(0.0) from None  # somebody else was first: look at what they made of it


# ── queued → submitting → running ─────────────────────────────────────────────────────────────────────────────────────


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
        ending.free_place(ctx, channel.id)
        if not isinstance(error, CallerError):
            raise
        await ending.end(ctx, task, State.FAILED, error=str(error), code=error.code)
        return
    ctx.faults.reach("submit.intent")
    try:
        report = await converse(ctx, channel, endpoint.submit(job, task.id), creates=True)
    except FateUnknown:
        ctx.faults.reach("submit.lost")
        await _uncertain(ctx, intent)
    except CallerError as error:
        await _give_up(ctx, intent, str(error), error.code)
    except UpstreamError as error:
        await _turned_down(ctx, intent, channel, error)
    else:
        ctx.faults.reach("submit.replied")
        ctx.of(Health).worked(channel)
        await accept(ctx, task.id, report)


async def _intend(ctx: Context, task: Task, deployment: Deployment) -> tuple[OpenJob, Task]:
    """Make the job ready, and write down that it is about to leave."""
    job = await _job(ctx, task, deployment)
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
    await ctx.store.write(tasks.move(task, intent))
    return job, intent


async def _choose(ctx: Context, task: Task) -> Deployment | None:
    """The best deployment with a place, which is taken. None: the task was ended. Raises Retry where one must be waited
    for."""
    refused_by = [channel for channel in task.refused_by.split(",") if channel]
    found = plan(ctx, task.model, task.mode, refused_by)
    if not found:
        words = task.error or "No channel serves this model any more."
        await ending.end(ctx, task, State.FAILED, error=words, code=task.error_code or "no_channel")
        return None
    health = ctx.of(Health)
    ready = [d for d in found if health.has_place(d.channel) and not health.cooling_s(d.channel)]
    if ready:
        health.take(ready[0].channel, task.id)
        return ready[0]
    for deployment in found:
        if not health.has_place(deployment.channel):
            health.wait(deployment.channel, task.id)
    rest_s = min(health.cooling_s(d.channel) or 5.0 for d in found)
    raise Retry(min(rest_s, max(0.0, (_latest(task) - now()) / 1e9)))


async def _job(ctx: Context, task: Task, deployment: Deployment) -> OpenJob:
    channel = deployment.channel
    model = catalog(ctx).find(task.model)
    version = (model.version(task.version) or model.latest) if model else None
    inline = ctx.of(Watches).endpoint(channel).inlines
    base = assets.callback_base(ctx, channel)
    input = await assets.ready(ctx, task, channel, inline=inline)
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


async def accept(ctx: Context, id: TaskId, report: Report) -> None:
    """The vendor has the task: write down what it calls it, whatever else happened to the task meanwhile."""
    for _ in range(20):
        task = await tasks.get(ctx.store, id)
        if task is None or task.ended:
            return
        at = now()
        moved = replace(task, state=State.RUNNING, ref=report.ref or task.ref or id, moved_at=at, due_at=at)
        if report.state in ENDS and task.state in (State.SUBMITTING, State.UNCERTAIN):
            return await observe(ctx, replace(task, ref=moved.ref), report)
        if task.state not in (State.SUBMITTING, State.UNCERTAIN):
            return  # a callback was quicker
        try:
            await ctx.store.write(tasks.move(task, moved), events.news(ctx, id))
        except Stale:
            continue
        ctx.faults.reach("submit.accepted")
        if moved.canceled_at is not None:
            raise Retry(0.0)  # its caller cancelled it meanwhile: `run` sees to that
        return await observe(ctx, moved, report)
    raise Retry(0.1)


async def _turned_down(ctx: Context, task: Task, channel: Channel, error: UpstreamError) -> None:
    """Surely not accepted: another deployment, or later. Busy and unreachable channels rest; others are not asked
    again for this task."""
    if channel is not SANDBOX:
        ctx.of(Health).failed(channel, error)
    transient = isinstance(error, UpstreamBusy | UpstreamUnreachable)
    refused_by = task.refused_by if transient else ",".join(filter(None, [task.refused_by, channel.id]))
    code, words = error.code, str(error)
    if isinstance(error, ChannelRejected):  # our own account's trouble, which is not the caller's to read
        logger("worker").warning("channel rejected us", channel=channel.name, reason=words)
        words = "No channel could take this model's work. The operator has been told."
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
        back, noted = events.append(back, ("note", f"{channel.name}: {code}"))
        try:
            await ctx.store.write(tasks.move(current, back), *noted)
        except Stale:
            continue  # its caller cancelled it just now
        ending.free_place(ctx, channel.id)
        break
    raise Retry((error.retry_after_s or 0.1) if channel is SANDBOX else 0.0)


async def _give_up(ctx: Context, task: Task, words: str, code: str) -> None:
    """End as failed a task that was being submitted, also where its caller cancelled it meanwhile."""
    current = await tasks.get(ctx.store, task.id)
    if current is not None and not current.ended:
        await ending.end(ctx, current, State.FAILED, error=words, code=code)


# ── uncertain ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def found_submitting(ctx: Context, task: Task) -> None:
    """Left so by a process that died, at whatever moment."""
    await _uncertain(ctx, task)


async def _uncertain(ctx: Context, task: Task) -> None:
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
        return await accept(ctx, task.id, msgspec.json.decode(task.report, type=Report))
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
                return await accept(ctx, task.id, found)
            if sent_s < ctx.settings.find_grace_s:
                raise Retry(ctx.settings.find_grace_s - sent_s)  # ours may still be on its way
            if task.canceled_at is not None:
                await ending.end(ctx, task, State.CANCELED)
                return
            repeats = True  # it surely has none
        if repeats:
            report = await _send_again(ctx, task, channel, endpoint)
            return await accept(ctx, task.id, report)
    except CallerError as error:
        return await _give_up(ctx, task, str(error), error.code)
    except UpstreamError as error:
        if left_s < 0:
            return await _fate_unknown(ctx, task)
        raise Retry(min(max(1.0, error.retry_after_s or doubt_s / 4), 30.0)) from None
    raise Retry(min(max(0.2, left_s), 30.0))


async def _send_again(ctx: Context, task: Task, channel: Channel, endpoint: TaskEndpoint) -> Report:
    """The same create under the same tag. When it left is on disk first: who then dies must not ask for it too soon."""
    job = await _job(ctx, task, Deployment(channel, task.upstream_model or task.model))
    await ctx.store.write(tasks.move(task, replace(task, submitted_at=now())))
    ctx.faults.reach("resubmit.before")
    return await converse(ctx, channel, endpoint.submit(job, task.id), creates=True)


async def _fate_unknown(ctx: Context, task: Task) -> None:
    logger("worker").warning("fate unknown: the upstream may have made and billed this", task=task.id)
    words = "The upstream never answered whether it accepted this prediction, so it was given up."
    if task.canceled_at is not None:
        await ending.end(ctx, task, State.CANCELED)
    else:
        await ending.end(ctx, task, State.FAILED, error=words, code=FateUnknown.code)


# ── running, canceling ────────────────────────────────────────────────────────────────────────────────────────────────


async def run(ctx: Context, task: Task) -> None:
    """A running task that this process does not watch yet, or one about which a vendor called back."""
    if task.canceled_at is not None:
        await ending.begin_cancel(ctx, task)
        raise Retry(0.0)
    if task.report:
        return await observe(ctx, task, msgspec.json.decode(task.report, type=Report))
    watch = ctx.of(Watches).begin(task)
    if watch is None:
        return await ending_lost(ctx, task)
    await poll(ctx, watch)


async def ending_lost(ctx: Context, task: Task) -> None:
    words = "The channel that this prediction ran on was removed."
    await ending.end(ctx, task, State.FAILED, error=words, code="channel_removed")


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
        watch.failures += 1
        raise Retry(error.retry_after_s or watch.again_s()) from None
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
        if watch.doubt_lasts():
            return await _verdict(ctx, watch.id, Report(State.FAILED, reason=report.doubt, code=report.code or "lost"))
        raise Retry(min(1.0, watch.endpoint.doubt_s / 4))
    watch.doubted_at = None
    if watch.is_news(report):
        await _verdict(ctx, watch.id, report)
    raise Retry(watch.again_s())


async def _verdict(ctx: Context, id: TaskId, report: Report) -> None:
    task = await tasks.get(ctx.store, id)
    if task is not None and not task.ended:
        await observe(ctx, task, report)


async def observe(ctx: Context, task: Task, report: Report) -> None:
    """Write down what a vendor said. Raises Retry while the task goes on."""
    try:
        output = await assets.keep(ctx, task, report)
    except PenstockError as error:
        return await _output_lost(ctx, task, report, error)
    ctx.faults.reach("outputs.kept")
    seen, steps = _progress(ctx, task, report, output)
    if report.state not in ENDS:
        if seen != task:
            watches = ctx.of(Watches)
            await ctx.store.write(tasks.move(task, seen), *steps, events.news(ctx, task.id))
            if task.report:
                watches.changed(task.id)
            ctx.faults.reach("progress.committed")
        watch = ctx.of(Watches).get(task.id)
        if watch is None and seen.state is State.RUNNING:
            watch = ctx.of(Watches).begin(seen)
        if watch is not None:
            watch.noted(report)
        raise Retry(watch.again_s() if watch else 1.0)
    if seen != task and steps:
        await ctx.store.write(tasks.move(task, seen), *steps, events.news(ctx, task.id))
        task = seen
    final = replace(task, output=seen.output, logs=seen.logs, metrics=seen.metrics)
    state = State.CANCELED if report.state is State.CANCELED or _canceled_meanwhile(task, report) else report.state
    if state is State.CANCELED and State.CANCELED not in _moves(task):
        state = State.FAILED
    await ending.end(ctx, _from(task, final), state, report)


def _canceled_meanwhile(task: Task, report: Report) -> bool:
    """A vendor that reports a cancelled job as failed means our cancel."""
    return task.canceled_at is not None and report.state is State.FAILED


def _moves(task: Task) -> frozenset[State]:
    from penstock.canonical.task import MOVES

    return MOVES[task.state]


def _from(old: Task, new: Task) -> Task:
    return replace(new, state=old.state, attempt=old.attempt, seq=old.seq)


def _progress(ctx: Context, task: Task, report: Report, output: Any) -> tuple[Task, tuple[Any, ...]]:
    """The task with what is new in the report, and the steps that tell it: events, webhooks."""
    happened: list[tuple[str, Any]] = []
    hooks: list[str] = []
    logs = task.logs if report.logs is None else report.logs[-ctx.settings.max_logs :]
    started = report.started_at or (now() if report.state is State.RUNNING or report.state in ENDS else None)
    if task.started_at is None and started is not None and report.state is not State.CANCELED:
        hooks.append("start")
    else:
        started = task.started_at
    if logs != task.logs:
        happened.append(("logs", logs[len(task.logs) :] if logs.startswith(task.logs) else logs))
        hooks.append("logs")
    encoded = None if output is None else msgspec.json.encode(output).decode()
    if encoded is not None and encoded != task.output:
        old = msgspec.json.decode(task.output) if task.output else None
        happened += [("output", item) for item in _new_items(old, output, ended=report.state in ENDS)]
        hooks.append("output")
    metrics = msgspec.json.decode(task.metrics) | report.metrics
    if task.told_as_canceled:
        happened, hooks = [], []  # its last word was said
    seen = replace(
        task,
        output=encoded if encoded is not None else task.output,
        logs=logs,
        metrics=msgspec.json.encode(metrics).decode(),
        started_at=started,
        report=None,
    )
    seen, told = events.append(seen, *[(kind, {"item": data} if kind == "output" else data) for kind, data in happened])
    posted = tuple(step for event in hooks for step in webhooks.post(ctx, seen, event))
    return seen, (*told, *posted)


def _new_items(old: Any, new: Any, *, ended: bool) -> list[Any]:
    """The items of a growing list that were not there before; anything else once, when it is final."""
    if isinstance(new, list):
        before = old if isinstance(old, list) else []
        return new[len(before) :] if new[: len(before)] == before else new
    return [new] if ended else []


async def _output_lost(ctx: Context, task: Task, report: Report, error: PenstockError) -> None:
    """An output can't be fetched now. Links of vendors falter, so try for a while before it is a failure."""
    age_s = (now() - task.moved_at) / 1e9
    watch = ctx.of(Watches).get(task.id)
    logger("worker").warning("output not fetched", task=task.id, reason=str(error))
    if watch is not None and not watch.doubt_lasts() and not isinstance(error, CallerError):
        raise Retry(1.0)
    if watch is None and age_s < 60 and not isinstance(error, CallerError):
        raise Retry(2.0)
    words = "The output was made, but could not be fetched from the upstream."
    current = await tasks.get(ctx.store, task.id)
    if current is not None and not current.ended:
        await ending.end(ctx, current, State.FAILED, error=words, code="output_lost")


async def stop(ctx: Context, task: Task) -> None:
    """canceling: ask the vendor to stop, and watch until it has; within a bound, where it can."""
    told = msgspec.json.decode(task.report, type=Report) if task.report else None
    if told is not None and told.state in ENDS:
        return await observe(ctx, task, told)
    watches = ctx.of(Watches)
    channel = ctx.of(Channels).get(task.channel or "")
    if channel is None or task.ref is None:
        await ending.end(ctx, task, State.CANCELED)
        return
    endpoint = watches.endpoint(channel)
    waited_s = (now() - (task.canceled_at or task.moved_at)) / 1e9
    try:
        answer = await converse(ctx, channel, endpoint.cancel(task.ref)) if endpoint.cancellable else None
        ctx.faults.reach("cancel.asked")
        report = answer or await converse(ctx, channel, endpoint.watch(task.ref))
    except UpstreamForgot:
        await ending.end(ctx, task, State.CANCELED)
        return
    except PenstockError as error:
        if endpoint.forgets and isinstance(error, UpstreamUnreachable) and waited_s > endpoint.doubt_s:
            await ending.end(ctx, task, State.CANCELED)
            return
        report = Report(State.RUNNING)
    if report.state in ENDS:
        return await observe(ctx, task, report)
    if endpoint.cancellable and waited_s > ctx.settings.cancel_patience_s:
        logger("worker").warning("cancel never confirmed: the upstream may bill this", task=task.id)
        await ending.end(ctx, task, State.CANCELED)
        return
    if (now() - (task.submitted_at or task.created_at)) / 1e9 > task.longest_s:
        await ending.end(ctx, task, State.CANCELED)
        return
    raise Retry(endpoint.polls.next_s(waited_s))


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


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


async def _overdue(ctx: Context, watch: Watch) -> None:
    """A running task past its deadline is cancelled; one past its model's longest life is stopped, and has failed."""
    task = await tasks.get(ctx.store, watch.id)
    if task is None or task.ended:
        return
    if watch.deadline and now() >= watch.deadline:
        await ending.begin_cancel(ctx, task)
        raise Retry(0.0)
    if watch.endpoint.cancellable:
        try:
            await converse(ctx, watch.channel, watch.endpoint.cancel(watch.ref))
        except PenstockError as error:
            logger("worker").warning("could not stop an overdue task", task=task.id, reason=str(error))
    words = f"The prediction ran for more than {task.longest_s:.0f} s, so it was stopped."
    await ending.end(ctx, task, State.FAILED, error=words, code="timed_out")


STEPS = {
    State.QUEUED: submit,
    State.SUBMITTING: found_submitting,
    State.UNCERTAIN: resolve,
    State.RUNNING: run,
    State.CANCELING: stop,
}
