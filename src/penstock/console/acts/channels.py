"""Channels."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from penstock.calls import converse
from penstock.canonical.plan import Channel
from penstock.console.acts._base import act
from penstock.context import Context
from penstock.errors import NotFound, PenstockError
from penstock.providers._base import get
from penstock.routing import Channels, Health, Providers
from penstock.tasks import inputs, learning


@act("channels.add")
async def add_channel(ctx: Context, **given: Any) -> dict[str, Any]:
    channel = await ctx.of(Channels).add(given)
    with suppress(PenstockError):  # a server that is not up yet: its first task, or `channels test`, asks again
        await learning.learn(ctx, channel)
    return _channel(ctx, channel)


@act("channels.list", reads=True)
async def list_channels(ctx: Context) -> list[dict[str, Any]]:
    return [_channel(ctx, channel) for channel in ctx.of(Channels).every()]


@act("channels.disable")
async def disable_channel(ctx: Context, name: str, disabled: bool = True) -> None:
    await ctx.of(Channels).disable(name, disabled=disabled)


@act("channels.test")
async def test_channel(ctx: Context, name: str) -> dict[str, Any]:
    """Ask the upstream something that costs nothing: whether it answers, and takes our credential."""
    channel = ctx.of(Channels).named(name)
    if channel is None:
        raise NotFound(f"no channel named {name!r}; see: penstock channels list")
    path = ctx.of(Providers)[channel.provider].probe

    def ask() -> Any:
        return (yield get(path))

    try:
        answer = await converse(ctx, channel, ask())
        await learning.learn(ctx, channel)
    except PenstockError as error:
        said = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return {"channel": name, "works": False, "reason": f"{error.code}: {said}"}
    ctx.of(Health).worked(channel)
    return {"channel": name, "works": True, "answer": str(answer)[:200]}


def _channel(ctx: Context, channel: Channel) -> dict[str, Any]:
    shown = {
        "id": channel.id,
        "name": channel.name,
        "provider": channel.provider,
        "base_url": channel.base_url,
        "models": channel.models,
        "priority": channel.priority,
        "weight": channel.weight,
        "concurrency": channel.concurrency,
        "options": {name: value for name, value in channel.options.items() if name != learning.REMEMBERED},
        "disabled": channel.disabled,
        "cooling_s": round(ctx.of(Health).cooling_s(channel), 1),
    }
    if channel.provider == "cog":
        shown["upload_url"] = f"{inputs.callback_base(ctx, channel)}/internal/cog/{channel.secret}/"
    return shown
