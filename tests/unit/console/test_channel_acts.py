"""Channels and aliases as operators see and change them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.canonical.plan import Deployment
from penstock.console.acts import do
from penstock.context import Context
from penstock.errors import CallerError, ChannelRejected, NotFound, UpstreamForgot
from penstock.routing import Channels, Health

pytestmark = pytest.mark.anyio
GIVEN = {"name": "pool", "provider": "openai", "models": ["m", "n=theirs"]}


async def act(ctx: Context, name: str, /, **given: Any) -> Any:
    return await do(ctx, name, given, "tests")


async def test_a_credential_is_never_shown(context: Context) -> None:
    made = await act(context, "channels.add", **GIVEN, credential="canary-1\ncanary-2", credentials=["canary-3"])
    changed = await act(context, "channels.change", name="pool", credentials=["canary-4", "canary-5"])
    tested = await act(context, "channels.test", name="pool")
    listed = await act(context, "channels.list")
    assert (made["credentials"], changed["credentials"], listed) == (1, 2, [changed])
    assert len(tested["credentials"]) == 2
    assert "canary" not in json.dumps([made, changed, listed, tested])
    assert [each.credential for each in context.of(Channels).every()] == ["canary-4", "canary-5"]


async def test_what_is_left_out_stays_as_it_is(context: Context) -> None:
    await act(context, "channels.add", **GIVEN, rpm=5, weight=4, options={"cost": 0.5, "probe_s": 9}, credential="c")
    changed = await act(context, "channels.change", name="pool", rpm=None, options={"probe_s": None, "format": "x"})
    assert (changed["rpm"], changed["weight"], changed["credentials"]) == (None, 4, 1)
    assert changed["options"] == {"cost": 0.5, "format": "x"}
    assert changed["models"] == {"m": "m", "n": "theirs"}


async def test_who_rests_and_why(context: Context) -> None:
    await act(context, "channels.add", **GIVEN, credentials=["one", "two"])
    one, two = context.of(Channels).every()
    context.of(Health).failed(Deployment(one, "theirs"), ChannelRejected())
    context.of(Health).failed(Deployment(two, "theirs"), UpstreamForgot(retry_after_s=90))
    [shown] = await act(context, "channels.list")
    first, second = shown["health"]
    assert (first["state"], first["why"], first["models"]) == ("resting", "channel_rejected", {})
    assert 59 < first["resting_s"] <= 60
    assert (second["state"], second["why"]) == ("ready", "")
    assert second["models"]["theirs"]["why"] == "upstream_forgot"
    assert 89 < second["models"]["theirs"]["resting_s"] <= 90
    await act(context, "channels.change", name="pool", weight=2)
    assert {each["state"] for each in (await act(context, "channels.list"))[0]["health"]} == {"ready"}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("channels.change", {"name": "nobody", "weight": 2}),
        ("channels.change", {"name": "nobody", "options": {}}),
        ("channels.test", {"name": "nobody"}),
        ("channels.disable", {"name": "nobody"}),
        ("aliases.remove", {"name": "nobody"}),
    ],
)
async def test_what_is_not_there(context: Context, name: str, given: dict[str, Any]) -> None:
    with pytest.raises(NotFound):
        await act(context, name, **given)


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"rpm": 0}, {"options": {"cost": "x"}}, {"models": [1]}])
async def test_nonsense_changes_nothing(context: Context, wrong: dict[str, Any]) -> None:
    made = await act(context, "channels.add", **GIVEN)
    with pytest.raises(CallerError):
        await act(context, "channels.change", name="pool", **wrong)
    assert await act(context, "channels.list") == [made]


async def test_an_alias_says_what_nobody_serves(context: Context) -> None:
    await act(context, "channels.add", **GIVEN)
    await act(context, "aliases.set", name="inner", targets=["n", "gone"])
    made = await act(context, "aliases.set", name="fast", targets=["m", "inner", "sandbox/instant"])
    assert made == {
        "name": "fast",
        "targets": ["m", "inner", "sandbox/instant"],
        "models": ["m", "n", "gone", "sandbox/instant"],
        "unserved": ["gone"],
    }
    await act(context, "aliases.remove", name="inner")
    assert [alias["name"] for alias in await act(context, "aliases.list")] == ["fast"]
