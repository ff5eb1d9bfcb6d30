"""Commands about tasks."""

from __future__ import annotations

import base64

from penstock.canonical.commands import Cancel, Fetch, Follow, Hear, Submit, Whoami
from penstock.canonical.results import Following, Made
from penstock.canonical.task import Task
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import NotFound
from penstock.store import files, tasks
from penstock.tasks import ending, events, intake, watcher

INLINE_MOST = 1 << 20


async def submit(ctx: Context, caller: Caller, command: Submit) -> Made:
    task = await intake.submit(ctx, caller, command)
    if command.wait_s <= 0:
        return Made(task)
    task = await intake.wait(ctx, task, command.wait_s)
    inlined = await _inlined(ctx, task) if command.inlines and task.ended else {}
    return Made(task, waited=True, inlined=inlined)


async def fetch(ctx: Context, caller: Caller, command: Fetch) -> Task:
    task = await tasks.own(ctx.store, command.task, caller.account, caller.mode)
    if task is None:
        raise NotFound()
    return task


async def cancel(ctx: Context, caller: Caller, command: Cancel) -> Task:
    return await ending.cancel(ctx, caller, command.task)


async def follow(ctx: Context, caller: Caller, command: Follow) -> Following:
    if command.capability is not None:
        allowed = ctx.signer.verify("stream", command.task, command.capability)
        task = await tasks.get(ctx.store, command.task) if allowed else None
    else:
        task = await tasks.own(ctx.store, command.task, caller.account, caller.mode)
    if task is None:
        raise NotFound()
    return Following(task, events.follow(ctx, task.id, command.after))


async def whoami(ctx: Context, caller: Caller, command: Whoami) -> Caller:
    return caller


async def hear(ctx: Context, caller: Caller, command: Hear) -> None:
    await watcher.hear(ctx, command.secret, command.task, command.body)


async def _inlined(ctx: Context, task: Task) -> dict[str, str]:
    """The task's small output files as `data:` URLs, by their ids."""
    if not task.output or '"$file"' not in task.output:
        return {}
    found = await files.of_task(ctx.store, task.id)
    small = [file for file in found if file.role == "output" and file.size <= INLINE_MOST]
    return {
        file.id: f"data:{file.content_type};base64,{base64.b64encode(await ctx.blobs.whole(file.sha256)).decode()}"
        for file in small
    }
