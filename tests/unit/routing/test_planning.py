from __future__ import annotations

from collections import Counter

import pytest

from penstock.context import Context
from penstock.errors import ChannelRejected
from penstock.routing import SANDBOX, Channels, Health, plan

pytestmark = pytest.mark.anyio


async def channel(ctx: Context, name: str, **given: object) -> str:
    fields = {"name": name, "provider": "cog", "base_url": "http://127.0.0.1:1", "models": ["a/b"]}
    return (await ctx.of(Channels).add(fields | given)).id


def names(ctx: Context, refused_by: tuple[str, ...] = ()) -> list[str]:
    return [deployment.channel.name for deployment in plan(ctx, "a/b", "live", refused_by)]


async def test_by_priority_without_those_who_refused_and_cooling_last(context: Context) -> None:
    low, high = await channel(context, "low", priority=1), await channel(context, "high", priority=2)
    assert names(context) == ["high", "low"]
    assert names(context, (high,)) == ["low"]
    rested = context.of(Channels).get(high)
    assert rested is not None
    context.of(Health).failed(rested, ChannelRejected())
    assert names(context) == ["low", "high"]
    assert names(context, (low, high)) == []


async def test_by_chance_in_proportion_to_weight(context: Context) -> None:
    await channel(context, "heavy", weight=3)
    await channel(context, "light", weight=1)
    await channel(context, "none", weight=0)
    first = Counter(names(context)[0] for _ in range(2000))
    assert first["none"] == 0
    assert 0.68 < first["heavy"] / 2000 < 0.82


async def test_test_keys_get_the_sandbox_alone(context: Context) -> None:
    await channel(context, "one")
    assert [each.channel for each in plan(context, "a/b", "test")] == [SANDBOX]
    assert names(context) == ["one"]
