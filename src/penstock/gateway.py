"""The gateway, opened and closed as a whole; and `perform`, from each command to the function that does it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from penstock.access import Groups
from penstock.calls import probing, relay
from penstock.calls.journal import Journal
from penstock.calls.settling import Settling
from penstock.canonical import commands as c
from penstock.canonical.who import Caller
from penstock.config import Settings
from penstock.context import Context
from penstock.desk import account, files, responses, shelf, work
from penstock.errors import GatewayError
from penstock.ledger import Allowances, Prices, Quotas
from penstock.log import logger
from penstock.routing import Aliases, Channels, Providers
from penstock.store import DataLock, open_store
from penstock.store.blobs import Blobs
from penstock.tasks import learning, recovery, retention, worker
from penstock.tasks.calling import Running
from penstock.tasks.events import Bells
from penstock.tasks.watcher import Watches
from penstock.tasks.webhooks import Outbox
from penstock.wire.http import Http

Does = Callable[[Context, Caller, Any], Awaitable[Any]]

DOES: dict[type, Does] = {
    c.Submit: work.submit,
    c.Call: relay.answer,
    c.Respond: responses.respond,
    c.FollowResponse: responses.follow,
    c.CancelResponse: responses.cancel,
    c.Fetch: work.fetch,
    c.Cancel: work.cancel,
    c.Follow: work.follow,
    c.List: shelf.list_,
    c.Show: shelf.show,
    c.Create: shelf.create,
    c.Change: shelf.change,
    c.Delete: shelf.delete,
    c.Upload: files.upload,
    c.Download: files.download,
    c.Whoami: work.whoami,
    c.Quote: account.quote,
    c.Redeem: account.redeem,
    c.Hear: work.hear,
    c.Receive: files.receive,
}


async def perform(ctx: Context, caller: Caller, command: c.Command) -> Any:
    """Do what a client asked; see `canonical.results` for what each command results in."""
    return await DOES[type(command)](ctx, caller, command)


@asynccontextmanager
async def opened(settings: Settings, *, serves: bool = False) -> AsyncIterator[Context]:
    """Everything that lives as long as the process. `serves`: also take up unfinished tasks, and work on them."""
    os.umask(0o077)  # keys, prompts, and files of callers: nobody else's on this machine
    async with AsyncExitStack() as stack:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not settings.database_url:
            stack.callback(DataLock(settings.data).release)
        with yielding_threads():
            store = await open_store(settings, sole=serves)
            stack.push_async_callback(store.close)
            http = await stack.enter_async_context(Http(connect_timeout_s=settings.connect_timeout_s))
        blobs = Blobs.local(settings.data / "files", settings.min_free_disk)
        ctx = Context(settings, secret(settings), store, blobs, http)
        stack.push_async_callback(ctx.guard.close)
        stack.push_async_callback(ctx.of(Providers).close)
        await ctx.of(Groups).load()
        await ctx.of(Aliases).load()
        await ctx.of(Channels).load()
        learning.recall(ctx)
        await ctx.of(Prices).load()
        if serves:
            await stack.enter_async_context(_working(ctx))
        yield ctx


@contextmanager
def yielding_threads() -> Iterator[None]:
    """Threads that begin in here (the store's, the HTTP client's) do not push the event loop off its core whenever they
    wake: on one core a call is cut in two less often, and costs a fifth less. Linux alone knows of it."""
    if not hasattr(os, "SCHED_BATCH"):
        yield
        return
    usual = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        yield
    finally:
        os.sched_setscheduler(0, usual, os.sched_param(0))


@asynccontextmanager
async def _working(ctx: Context) -> AsyncIterator[None]:
    """The loops: tasks, webhooks, retention. At the end each finishes what it is at, within a bound."""
    await ctx.of(Allowances).open()
    await ctx.of(Quotas).open()
    count = await recovery.resume(ctx)
    if count:
        logger("gateway").info("resumed unfinished tasks", count=count)
    watches, outbox = ctx.of(Watches), ctx.of(Outbox)
    loops = [
        asyncio.create_task(watches.alarm.run(lambda task: worker.advance(ctx, task))),
        asyncio.create_task(outbox.alarm.run(outbox.deliver_next)),
        asyncio.create_task(retention.run(ctx)),
        asyncio.create_task(probing.run(ctx)),
    ]
    try:
        yield
    finally:
        close(ctx)
        half_s = ctx.settings.shutdown_s / 2
        await asyncio.gather(watches.alarm.stop(half_s), outbox.alarm.stop(half_s), ctx.of(Running).stop(half_s))
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await ctx.of(Settling).close()
        await ctx.of(Journal).close()
        await ctx.of(Allowances).close()


def close(ctx: Context) -> None:
    """Begin to end: nothing new is taken, and whoever waits for news is let go."""
    ctx.closing.set()
    ctx.of(Bells).ring_all()


def secret(settings: Settings) -> bytes:
    """The gateway's own secret: from the settings, else a file that only its owner can read, made at first start."""
    if settings.secret:
        if len(settings.secret) < 16:
            raise GatewayError("PENSTOCK_SECRET must have at least 16 characters")
        return settings.secret.encode()
    path = settings.data / "secret"
    if not path.exists():
        write_private(path, os.urandom(32).hex())
    return path.read_text().strip().encode()


def write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
