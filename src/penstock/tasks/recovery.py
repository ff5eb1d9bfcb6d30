"""What a process that died, or was stopped, left behind: every unfinished task is taken up again."""

from __future__ import annotations

from penstock.access import Limits
from penstock.canonical.task import AT_VENDOR
from penstock.clock import now
from penstock.context import Context
from penstock.routing import SANDBOX, Channels, Health
from penstock.store import tasks
from penstock.tasks.watcher import Watches
from penstock.tasks.webhooks import Outbox


async def find_lost(ctx: Context) -> int:
    """Arm unfinished tasks that no alarm is set for: a database connection that broke while it committed may have cost
    a write its after-effects. How many there were."""
    alarm = ctx.of(Watches).alarm
    lost = [row[0] for row in await tasks.unfinished(ctx.store) if not alarm.knows(row[0])]
    for task in lost:
        alarm.arm(task, now())
    await ctx.of(Outbox).load()
    return len(lost)


async def resume(ctx: Context) -> int:
    """Arm every unfinished task at once, and count what it takes up. How many there are."""
    limits, health, channels, alarm = ctx.of(Limits), ctx.of(Health), ctx.of(Channels), ctx.of(Watches).alarm
    rows = await tasks.unfinished(ctx.store)
    at = now()
    for task, state, _, channel_id, key in rows:
        limits.resume(key)
        channel = channels.get(channel_id or "") or SANDBOX
        if state in AT_VENDOR and channel.id == channel_id:  # one that is gone has no places
            health.take(channel, task)
        alarm.arm(task, at)
    ctx.metrics.unfinished.set(len(rows))
    await ctx.of(Outbox).load()
    return len(rows)
