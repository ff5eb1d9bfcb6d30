"""Tasks."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock import clock, ledger
from penstock.canonical.task import State, Task
from penstock.canonical.who import Caller
from penstock.console.acts._base import Limit, act
from penstock.context import Context
from penstock.errors import CallerError, NotFound
from penstock.ledger.quotas import day_of
from penstock.money import micros
from penstock.store import accounts, files, tasks
from penstock.tasks import ending, events, intake, webhooks


@act("tasks.list", reads=True)
async def list_tasks(ctx: Context, state: str = "", model: str = "", limit: Limit = 50) -> list[dict[str, Any]]:
    """List tasks, newest first."""
    return [_brief(task) for task in await tasks.page(ctx.store, None, "", state=state, model=model, limit=limit)]


@act("tasks.show", reads=True)
async def show_task(ctx: Context, task: str) -> dict[str, Any]:
    """Show a task, its entries in the books, and what happened to it."""
    found = await _task(ctx, task)
    entries = [
        (row[3], row[5], msgspec.json.decode(row[6])) for row in await accounts.entries_of_work(ctx.store, found.id)
    ]
    hooks = [(row[2], row[4], row[5], row[8]) for row in await files.messages_of(ctx.store, found.id)]
    happened = await tasks.events_after(ctx.store, found.id, -1)
    return _brief(found) | {
        "input": msgspec.json.decode(found.input),
        "output": msgspec.json.decode(found.output or "null"),
        "logs": found.logs,
        "attempt": found.attempt,
        "channel": found.channel,
        "ref": found.ref,
        "entries": [{"kind": kind, "amount": amount, "detail": detail} for kind, amount, detail in entries],
        "webhooks": [{"event": e, "state": s, "attempts": n, "status": status} for e, s, n, status in hooks],
        "events": [{"at": clock.rfc3339(e.at, 3), "kind": e.kind, "data": e.data} for e in happened],
    }


@act("tasks.cancel")
async def cancel_task(ctx: Context, task: str) -> dict[str, Any]:
    """Cancel a task."""
    found = await _task(ctx, task)
    owner = Caller(found.key, found.account, "", found.mode)
    return _brief(await ending.cancel(ctx, owner, found.id))


@act("tasks.retry")
async def retry_task(ctx: Context, task: str) -> dict[str, Any]:
    """A new task with its own hold, from an ended one whose input is still there."""
    found = await _task(ctx, task)
    if not found.ended or found.data_removed:
        raise CallerError("only an ended task whose input was not removed yet can be made again")
    return _brief(await intake.again(ctx, found))


@act("tasks.redeliver")
async def redeliver(ctx: Context, task: str) -> None:
    """Send a task's webhooks again."""
    await webhooks.redeliver(ctx, (await _task(ctx, task)).id)


@act("tasks.refund")
async def refund(ctx: Context, task: str, usd: str, reason: str) -> dict[str, Any]:
    """Give back some of what a task was charged."""
    found = await _task(ctx, task)
    entries = await accounts.entries_of_work(ctx.store, found.id)
    refunded = sum(row[5] for row in entries if row[3] == "refund")
    noted, told = events.append(found, ("note", f"refunded {usd} USD: {reason}"))
    money = ledger.refund(found, micros(usd), refunded, reason)
    await ctx.store.write(tasks.move(found, noted), *told, *money, events.news(ctx, found.id))
    ctx.of(ledger.Quotas).settle(found.key, day_of(found.created_at), micros(usd), 0)
    return {"task": found.id, "refunded": refunded + micros(usd)}


async def _task(ctx: Context, id: str) -> Task:
    found = await tasks.get(ctx.store, id)
    if found is None:
        raise NotFound(f"no task {id!r}")
    return found


def _brief(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "state": task.state,
        "model": task.model,
        "mode": task.mode,
        "dialect": task.dialect,
        "hold": task.hold,
        "charge": task.charge,
        "error": task.error if task.state is State.FAILED else None,
        "error_code": task.error_code if task.state is State.FAILED else None,
        "created_at": clock.rfc3339(task.created_at, 3),
        "completed_at": clock.rfc3339(task.completed_at, 3) if task.completed_at else None,
    }
