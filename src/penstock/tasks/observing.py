"""What a vendor's report changes: logs, outputs, metrics, and in the end the end."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from penstock.canonical.task import ENDED, MOVES, Report, State, Task
from penstock.clock import now
from penstock.context import Context
from penstock.errors import (
    CallerError,
    PenstockError,
)
from penstock.log import logger
from penstock.store import tasks
from penstock.tasks import ending, events, outputs, webhooks
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import Watches

replace = msgspec.structs.replace
PROGRESS = ("output", "logs", "metrics", "started_at", "seq")
"""What changes while a task runs; where its vendor called, the report that is dealt with too."""


async def observe(ctx: Context, task: Task, report: Report, *, called: bool = False) -> None:
    """Write down what a vendor said; `called`: by itself, in `task.report`. Raises Retry while the task goes on."""
    report = replace(report, logs=_plain(report.logs), reason=_plain(report.reason))
    if report.says_nothing and not called:
        _watch_on(ctx, task, report)
    try:
        output = await outputs.keep(ctx, task, report)
    except PenstockError as error:
        return await _output_lost(ctx, task, report, error)
    ctx.faults.reach("outputs.kept")
    seen, steps = _progress(ctx, task, report, output)
    if called:
        seen = replace(seen, report=None)
    if report.state not in ENDED:
        if seen != task:
            columns = PROGRESS if seen.report == task.report else ()
            await ctx.store.write(tasks.move(task, seen, *columns), *steps, events.news(ctx, task.id))
            ctx.faults.reach("progress.committed")
        _watch_on(ctx, seen, report)
    if seen != task and steps:
        await ctx.store.write(tasks.move(task, seen), *steps, events.news(ctx, task.id))
        task = seen
    final = replace(task, output=seen.output, logs=seen.logs, metrics=seen.metrics)
    state = State.CANCELED if report.state is State.CANCELED or _canceled_meanwhile(task, report) else report.state
    if state is State.CANCELED and State.CANCELED not in MOVES[task.state]:
        state = State.FAILED
    await ending.end(ctx, _from(task, final), state, report)


def _watch_on(ctx: Context, task: Task, report: Report) -> NoReturn:
    """This report is dealt with; raises Retry for the next one."""
    watch = ctx.of(Watches).get(task.id)
    if watch is None and task.state is State.RUNNING:
        watch = ctx.of(Watches).begin(task)
    if watch is not None:
        watch.noted(report)
    raise Retry(watch.again_s() if watch else 1.0)


def _plain(words: str | None) -> str | None:
    """Without NUL, which PostgreSQL takes in no text."""
    return words.replace("\0", "") if words and "\0" in words else words


def _canceled_meanwhile(task: Task, report: Report) -> bool:
    """A vendor that reports a cancelled job as failed means our cancel."""
    return task.canceled_at is not None and report.state is State.FAILED


def _from(old: Task, new: Task) -> Task:
    return replace(new, state=old.state, attempt=old.attempt, seq=old.seq)


def _progress(ctx: Context, task: Task, report: Report, output: Any) -> tuple[Task, tuple[Any, ...]]:
    """The task with what is new in the report, and the steps that tell it: events, webhooks."""
    happened: list[tuple[str, Any]] = []
    hooks: list[str] = []
    logs = task.logs if report.logs is None else report.logs[-ctx.settings.max_logs :]
    if report.state not in ENDED and task.logs.startswith(logs):
        logs = task.logs  # callbacks come in any order: this one is older
    started = report.started_at or (now() if report.state is State.RUNNING or report.state in ENDED else None)
    if task.started_at is None and started is not None and report.state is not State.CANCELED:
        hooks.append("start")
    else:
        started = task.started_at
    if logs != task.logs:
        happened.append(("logs", _appended(task.logs, logs)))
        hooks.append("logs")
    old = msgspec.json.decode(task.output) if task.output else None
    if (
        report.state not in ENDED
        and isinstance(old, list)
        and isinstance(output, list)
        and old[: len(output)] == output
    ):
        output = old
    encoded = None if output is None else msgspec.json.encode(output).decode()
    if encoded is not None and encoded != task.output:
        happened += [("output", item) for item in _new_items(old, output, ended=report.state in ENDED)]
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
    )
    seen, told = events.append(seen, *[(kind, {"item": data} if kind == "output" else data) for kind, data in happened])
    posted = tuple(step for event in hooks for step in webhooks.post(ctx, seen, event))
    return seen, (*told, *posted)


def _appended(old: str, new: str) -> str:
    """What came to the logs, also where their beginning was cut off meanwhile."""
    if new.startswith(old):
        return new[len(old) :]
    tail = old[-4096:]
    at = new.find(tail)
    return new if at < 0 else new[at + len(tail) :]


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
