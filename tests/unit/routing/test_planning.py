from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.access import fields
from penstock.canonical.plan import Channel, Deployment
from penstock.canonical.who import Group
from penstock.context import Context
from penstock.errors import ChannelRejected, UpstreamForgot
from penstock.formats._base import Operation
from penstock.routing import SANDBOX, Aliases, Channels, Health, plan, planning
from penstock.routing.planning import plan_call, sent_to

pytestmark = pytest.mark.anyio
EVERYBODY = Group()


async def channel(ctx: Context, name: str, **given: object) -> str:
    fields = {"name": name, "provider": "cog", "base_url": "http://127.0.0.1:1", "models": ["a/b"]}
    return (await ctx.of(Channels).add(fields | given)).id


async def chat(ctx: Context, name: str, **given: object) -> Deployment:
    fields = {"name": name, "provider": "openai", "base_url": "http://127.0.0.1:1", "models": ["m"]}
    return Deployment(await ctx.of(Channels).add(fields | given), "m", "m")


def names(ctx: Context, refused_by: tuple[str, ...] = (), group: Group = EVERYBODY) -> list[str]:
    return [deployment.channel.name for deployment in plan(ctx, "a/b", "live", refused_by, group)]


def called(ctx: Context, group: Group = EVERYBODY, *, model: str = "m", sticky: bytes = b"") -> list[str]:
    found = plan_call(ctx, model, "live", "openai_chat", Operation.CHAT, group=group, sticky=sticky)
    return [choice.deployment.channel.name for choice in found]


async def test_by_priority_without_those_who_refused_and_cooling_last(context: Context) -> None:
    low, high = await channel(context, "low", priority=1), await channel(context, "high", priority=2)
    assert names(context) == ["high", "low"]
    assert names(context, (high,)) == ["low"]
    assert names(context, (f"{high}/a/b",)) == ["low"]
    rested = context.of(Channels).get(high)
    assert rested is not None
    context.of(Health).failed(Deployment(rested, "a/b"), ChannelRejected())
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


async def test_a_group_uses_the_channels_that_it_names(context: Context) -> None:
    for name in ("eu-1", "eu-2", "us-1"):
        await channel(context, name)
        await chat(context, f"{name}-chat")
    europe = Group("europe", channels=("eu-*",))
    assert set(names(context, group=europe)) == {"eu-1", "eu-2"}
    assert set(called(context, europe)) == {"eu-1-chat", "eu-2-chat"}
    assert called(context, Group("nobody", channels=())) == []
    assert len(called(context)) == 3


async def test_an_alias_is_its_models_in_order_and_what_rests_comes_last(context: Context) -> None:
    first = await chat(context, "first", models=["m"], priority=-5)
    await chat(context, "both", models=["m", "n"], priority=9)
    await chat(context, "second", models=["n=theirs"], priority=10)
    await context.of(Aliases).put("fast", ["m", "n"])

    def tried() -> list[tuple[str, str, str]]:
        found = plan_call(context, "fast", "live", "openai_chat", Operation.CHAT)
        each = [choice.deployment for choice in found]
        return [(one.channel.name, one.upstream_model, one.model) for one in each]

    plainly = [("both", "m", "m"), ("first", "m", "m"), ("second", "theirs", "n"), ("both", "n", "n")]
    assert tried() == plainly
    context.of(Health).failed(first, UpstreamForgot())
    assert tried() == [plainly[0], *plainly[2:], plainly[1]]
    await context.of(Aliases).put("fast", ["n"])
    assert [each[2] for each in tried()] == ["n", "n"]
    assert called(context, model="m")[0] == "both"


async def test_which_of_its_models_an_alias_was_sent_to(context: Context) -> None:
    made = await chat(context, "one", models=["m", "n=theirs"])
    await context.of(Aliases).put("fast", ["m", "n"])
    assert sent_to(context, "m", "fast", made.channel, "theirs").model == "n"
    assert sent_to(context, "m", None, made.channel, "m").model == "m"
    assert sent_to(context, "m", "fast", made.channel, "of old").model == "m"


async def test_groups_are_given_the_policies_that_there_are() -> None:
    assert set(fields.POLICIES) == set(planning.POLICIES)


async def test_the_cheapest_of_equal_priority(context: Context) -> None:
    for name, cost in (("usual", None), ("dear", 1.5), ("cheap", 0.5)):
        await chat(context, name, options={"cost": cost} if cost else {})
    await chat(context, "dearest", options={"cost": 9}, priority=1)
    assert called(context, Group(policy="cost")) == ["dearest", "cheap", "usual", "dear"]


async def test_the_fastest_and_who_was_never_asked(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "EXPLORES", 0.0)
    fast, slow, _ = [await chat(context, name) for name in ("fast", "slow", "new")]
    at = 100.0
    monkeypatch.setattr("penstock.routing.health.time.monotonic", lambda: at)
    for deployment, took_s in ((fast, 0.2), (slow, 3.0)):
        context.of(Health).worked(deployment, at - took_s)
    assert called(context, Group(policy="latency")) == ["new", "fast", "slow"]
    monkeypatch.setattr(planning, "EXPLORES", 1.0)
    assert {called(context, Group(policy="latency"))[0] for _ in range(100)} == {"new", "fast", "slow"}


async def test_calls_that_begin_alike_stay_together_as_long_as_all_is_well(context: Context) -> None:
    made = {name: await chat(context, name) for name in ("a", "b", "c")}
    body = b"{" + b"x" * 5000
    same = planning.sticky("account", "m", body)
    assert planning.sticky("account", "m", body + b"more") == same != planning.sticky("other", "m", body)
    assert planning.sticky("account", "m", body[:4000]) == b""
    orders = [called(context, sticky=same) for _ in range(50)]
    assert orders == [orders[0]] * 50
    context.of(Health).failed(made[orders[0][0]], ChannelRejected())
    assert called(context, sticky=same)[0] == orders[0][1]
    context.of(Health).mended(made[orders[0][0]].channel)
    assert called(context, sticky=same) == orders[0]
    assert len({called(context, sticky=bytes([salt]) * 9)[0] for salt in range(50)}) == 3


# ── shares, without memory ────────────────────────────────────────────────────────────────────────────────────────────

WEIGHTS = st.lists(st.integers(1, 9), min_size=2, max_size=6)
DRAWS = [number.to_bytes(16, "big") for number in range(3000)]


def first_of(channels: list[Channel], digest: bytes) -> str:
    return min(channels, key=lambda channel: planning._share(channel, digest)).id


def weighing(weights: list[int]) -> list[Channel]:
    return [Channel(f"c{number}", "", "", "", "", "", weight=weight) for number, weight in enumerate(weights)]


@settings(max_examples=20, deadline=None)
@given(WEIGHTS)
def test_shares_follow_weights(weights: list[int]) -> None:
    channels = weighing(weights)
    got = Counter(first_of(channels, digest) for digest in DRAWS)
    for channel in channels:
        assert abs(got[channel.id] / len(DRAWS) - channel.weight / sum(weights)) < 0.05


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.integers(1, 9))
def test_one_that_comes_takes_its_own_share_alone(weights: list[int], weight: int) -> None:
    """And one that goes leaves it: the same, read backwards."""
    before, new = weighing(weights), Channel("new", "", "", "", "", "", weight=weight)
    moved = 0
    for digest in DRAWS:
        old, now = first_of(before, digest), first_of([*before, new], digest)
        assert now in (old, "new")
        moved += now == "new"
    assert abs(moved / len(DRAWS) - weight / (sum(weights) + weight)) < 0.05
