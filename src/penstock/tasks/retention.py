"""What is kept, and for how long: input, output, and logs of ended tasks, uploads, idempotency records, bytes."""

from __future__ import annotations

import asyncio
import itertools

from penstock.clock import after, now
from penstock.context import Context
from penstock.log import logger
from penstock.store import calls, files, responses, tasks
from penstock.tasks import events, recovery

EVERY_S = 60.0
IDEMPOTENCY_S = 86400.0


async def run(ctx: Context) -> None:
    for rounds in itertools.count():
        if ctx.closing.is_set():
            return
        try:
            await prune(ctx)
            await recovery.find_lost(ctx)
            if rounds % 60 == 0:
                await sweep(ctx)
                await ctx.blobs.drop_parts(older_than_s=86400.0)
        except Exception:  # noqa: BLE001  house-keeping must not end with one bad row
            logger("retention").exception("pruning failed")
        try:
            async with asyncio.timeout(EVERY_S):
                await ctx.closing.wait()
        except TimeoutError:
            continue


async def prune(ctx: Context) -> dict[str, int]:
    """Remove what is due. How many of each went."""
    gone = {"tasks": 0, "files": 0, "blobs": 0}
    while due := await tasks.expired(ctx.store, after(-ctx.settings.retention_s)):
        for task in due:
            gone_with_it = (files.remove_of_task(task), files.forget_messages(task), events.news(ctx, task))
            await ctx.store.write(*tasks.clear(task), *gone_with_it)
        gone["tasks"] += len(due)
    while old := await files.expired(ctx.store):
        for file, account in old:
            await ctx.store.write(files.remove(file, account))
        gone["files"] += len(old)
    await ctx.store.write(files.forget(after(-IDEMPOTENCY_S)), calls.forget(after(-ctx.settings.log_calls_s)))
    await ctx.store.write(responses.forget(now()))
    if gone["tasks"] or gone["files"]:
        gone["blobs"] = await sweep(ctx)
    return gone


async def sweep(ctx: Context) -> int:
    """Delete bytes that no file speaks of. A file's row comes after its bytes, so what is young is left alone."""
    before = await files.hashes(ctx.store)
    candidates = [sha256 async for sha256 in ctx.blobs.every(older_than_s=3600.0) if sha256 not in before]
    still_unused = set(candidates) - await files.hashes(ctx.store)
    for sha256 in still_unused:
        if not await files.uses(ctx.store, sha256):  # the same bytes may have come again just now
            await ctx.blobs.delete(sha256)
    return len(still_unused)
