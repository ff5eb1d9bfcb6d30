"""Channels."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from penstock.calls import probing
from penstock.canonical.plan import Channel
from penstock.console.acts._base import act, warned
from penstock.console.offering import Offering
from penstock.context import Context
from penstock.errors import PenstockError
from penstock.routing import Aliases, Channels, Health
from penstock.routing.channels import Row
from penstock.tasks import inputs, learning

Credentials = list[str] | UnsetType
Models = list[str] | dict[str, str] | UnsetType
Options = dict[str, Any] | UnsetType


@act("channels.add")
async def add_channel(
    ctx: Context,
    name: str,
    provider: str,
    base_url: str = "",
    credential: str = "",
    credentials: Credentials = UNSET,
    models: Models = UNSET,
    priority: int = 0,
    weight: int = 1,
    concurrency: int | None = None,
    rpm: int | None = None,
    options: Options = UNSET,
    disabled: bool = False,
) -> dict[str, Any]:
    """Add an upstream account or server. `credential` may hold several, one a line."""
    given = _said({"credential": credential, "credentials": credentials, "models": models, "options": options})
    given |= {"provider": provider, "base_url": base_url, "priority": priority, "weight": weight}
    given |= {"concurrency": concurrency, "rpm": rpm, "disabled": disabled}
    channel = await ctx.of(Channels).add({"name": name} | given)
    with suppress(PenstockError):  # a server that is not up yet: its first task, or `channels test`, asks again
        await learning.learn(ctx, channel)
    return _kept(ctx, name)


@act("channels.change")
async def change_channel(
    ctx: Context,
    name: str,
    provider: str | UnsetType = UNSET,
    base_url: str | UnsetType = UNSET,
    credential: str | UnsetType = UNSET,
    credentials: Credentials = UNSET,
    models: Models = UNSET,
    priority: int | UnsetType = UNSET,
    weight: int | UnsetType = UNSET,
    concurrency: int | UnsetType | None = UNSET,
    rpm: int | UnsetType | None = UNSET,
    options: Options = UNSET,
    disabled: bool | UnsetType = UNSET,
) -> dict[str, Any]:
    """Change what is given, at once. Options are changed one by one: one that is null goes. Whatever rests of the
    channel is given a fresh chance."""
    given = _said({"provider": provider, "base_url": base_url, "credential": credential, "credentials": credentials})
    given |= _said({"models": models, "priority": priority, "weight": weight, "concurrency": concurrency, "rpm": rpm})
    given |= _said({"disabled": disabled})
    if not isinstance(options, UnsetType):
        merged = ctx.of(Channels).row(name).given["options"] | options
        given["options"] = {option: value for option, value in merged.items() if value is not None}
    await ctx.of(Channels).change(name, given)
    return _kept(ctx, name)


@act("channels.list", reads=True)
async def list_channels(ctx: Context) -> list[dict[str, Any]]:
    """List channels, how they do, and how many credentials each has."""
    return [_channel(ctx, row) for row in ctx.of(Channels).rows()]


@act("channels.disable")
async def disable_channel(ctx: Context, name: str, disabled: bool = True) -> None:
    """Send a channel no new work, or take it back into use. What runs there goes on."""
    await ctx.of(Channels).disable(name, disabled=disabled)


@act("channels.test")
async def test_channel(ctx: Context, name: str) -> dict[str, Any]:
    """Ask the upstream something that costs nothing: whether it answers, and takes our credentials, all of them."""
    row = ctx.of(Channels).row(name)
    tried = [await _tried(ctx, channel) for channel in row.channels]
    broken = next((each for each in tried if not each["works"]), None)
    shown = {"channel": name} | (broken or tried[0])
    if len(tried) > 1:
        shown["credentials"] = [{"id": channel.id, **each} for channel, each in zip(row.channels, tried, strict=True)]
    return shown


async def _tried(ctx: Context, channel: Channel) -> dict[str, Any]:
    try:
        answer = await probing.ask(ctx, channel)
        await learning.learn(ctx, channel)
    except PenstockError as error:
        said = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return {"works": False, "error": error.code, "reason": f"{error.code}: {said}"}
    ctx.of(Health).mended(channel)
    said = answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()
    return {"works": True, "answer": said[:200]}


def _kept(ctx: Context, name: str) -> dict[str, Any]:
    words = [
        f"{model!r} is an alias for {', '.join(ctx.of(Aliases).targets(model))}, so it never means this channel's model"
        for model in Offering(ctx).hidden_on(name)
    ]
    return warned(_channel(ctx, ctx.of(Channels).row(name)), *words)


def _said(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not UNSET}


def _channel(ctx: Context, row: Row) -> dict[str, Any]:
    """A row, however many credentials it has; `health` has an entry for each."""
    given, channel = row.given, row.channels[0]
    options = {name: value for name, value in given["options"].items() if name != learning.REMEMBERED}
    health = [_health(ctx, each) for each in row.channels]
    shown = {"id": row.id, "name": row.name} | {name: value for name, value in given.items() if name != "credential"}
    shown |= {
        "options": options,
        "credentials": sum(bool(each.credential) for each in row.channels),
        "health": health,
        "cooling_s": max(each["resting_s"] for each in health),
    }
    if channel.provider == "cog":
        shown["upload_url"] = f"{inputs.callback_base(ctx, channel)}/internal/cog/{channel.secret}/"
    return shown


def _health(ctx: Context, channel: Channel) -> dict[str, Any]:
    """How one credential does: `state` is `ready`, `resting`, or `half-open` (the next piece of work is a trial), and
    `why` the code of the error. `models`: those of the vendor's that rest alone. Times are seconds."""
    health = ctx.of(Health)
    troubles = health.standing(channel)
    whole = troubles.pop("", None)
    return {
        "id": channel.id,
        "state": whole.state if whole else "ready",
        "resting_s": round(whole.left_s, 1) if whole else 0.0,
        "why": whole.why if whole else "",
        "models": {
            model: {"state": each.state, "resting_s": round(each.left_s, 1), "why": each.why}
            for model, each in troubles.items()
        },
        "at_work": health.at_work(channel),
        "first_s": {model: round(first_s, 3) for model, first_s in health.latencies(channel).items()},
    }
