"""Channels that rest because their server was down are asked, at an operator's wish, whether it is up again.

The option `probe_s` says how often. Without it, the first piece of work after the rest finds out.
"""

from __future__ import annotations

import asyncio
import time

from penstock.calls.talk import converse
from penstock.canonical.plan import Channel
from penstock.context import Context
from penstock.errors import CallerError, PenstockError
from penstock.log import logger
from penstock.providers._base import Talk, get
from penstock.routing import Channels, Health, Providers

TICK_S = 1.0


async def run(ctx: Context) -> None:
    """Until cancelled. A slow answer holds up no other channel's probe."""
    asked_at: dict[str, float] = {}
    under_way: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            for channel in _due(ctx, asked_at):
                if channel.id not in under_way or under_way[channel.id].done():
                    asked_at[channel.id] = time.monotonic()
                    under_way[channel.id] = asyncio.create_task(probe(ctx, channel))
            await asyncio.sleep(TICK_S)
    finally:
        for task in under_way.values():
            task.cancel()


def _due(ctx: Context, asked_at: dict[str, float]) -> list[Channel]:
    health, at = ctx.of(Health), time.monotonic()
    wished = [
        channel for channel in ctx.of(Channels).every() if channel.options.get("probe_s") and not channel.disabled
    ]
    return [
        channel
        for channel in wished
        if at - asked_at.get(channel.id, -1e9) >= channel.options["probe_s"] and health.sick(channel)
    ]


async def probe(ctx: Context, channel: Channel) -> None:
    """Ask once; an answer, even one that refuses, ends the rest of a server that was down."""
    try:
        await ask(ctx, channel)
    except CallerError:
        pass
    except PenstockError as error:
        logger("probing").info("still down", channel=channel.name, reason=error.code)
        return
    logger("probing").info("up again", channel=channel.name)
    ctx.of(Health).mended(channel, sick=True)


async def ask(ctx: Context, channel: Channel) -> object:
    """Something that costs nothing: whether the upstream answers, and takes our credential. Raises PenstockError."""
    path = ctx.of(Providers)[channel.provider].probe

    def asked() -> Talk[object]:
        return (yield get(path))

    return await converse(ctx, channel, asked())
