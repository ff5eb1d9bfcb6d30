"""What is set and comes to nothing, or to something else than was meant, is said: by acts at once, later by the
doctor."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.console.acts import do
from penstock.context import Context
from penstock.errors import CallerError, NotFound

pytestmark = pytest.mark.anyio


async def act(ctx: Context, what: str, /, **given: Any) -> Any:
    return await do(ctx, what, given, "test")


async def warned(ctx: Context, what: str, /, **given: Any) -> str:
    return "\n".join((await act(ctx, what, **given)).get("warnings", ()))


async def channel(ctx: Context, name: str, *models: str, **more: Any) -> Any:
    return await act(ctx, "channels.add", name=name, provider="openai", credential="c", models=list(models), **more)


async def test_the_price_of_an_alias_is_that_of_its_first_target(context: Context) -> None:
    await channel(context, "up", "gpt-4o*")
    await act(context, "aliases.set", name="fast", targets=["gpt-4o-mini", "gpt-4o"])
    [row] = await act(context, "prices.show", model="fast")
    assert (row["model"], row["holds"], row["price"][0]) == ("gpt-4o-mini", "now", "input_token=0.15/1000000")
    await act(context, "prices.set", model="fast", lines=["run=1"])
    assert [(row["model"], row["holds"]) for row in await act(context, "prices.show", model="fast")] == [
        ("fast", "past"),
        ("fast", "now"),
    ]
    assert (await act(context, "prices.unset", model="fast"))["priced"]


async def test_a_price_of_what_nobody_serves(context: Context) -> None:
    await channel(context, "up", "boat")
    await channel(context, "other", "ship")
    await act(context, "aliases.set", name="fast", targets=["boat"])
    assert "no channel serves 'bota' now" in await warned(context, "prices.set", model="bota", lines=["run=1"])
    for model in ("boat", "fast"):
        assert await warned(context, "prices.set", model=model, lines=["run=1"], channel="up") == ""
        words = await warned(context, "prices.set", model=model, lines=["run=1"], channel="other")
        assert f"'other' does not serve '{model}'" in words
    assert await warned(context, "prices.unset", model="bota") == ""


async def test_a_fall_back_that_is_dearer_than_what_is_charged(context: Context) -> None:
    await channel(context, "up", "*")
    assert await warned(context, "aliases.set", name="good", targets=["gpt-4o", "gpt-4o-mini"]) == ""
    words = await warned(context, "aliases.set", name="fast", targets=["gpt-4o-mini", "gpt-4o"])
    assert words.startswith("gpt-4o costs more than gpt-4o-mini, whose price is charged for 'fast'")
    await act(context, "prices.set", model="fast", lines=["input_token=9/1000000", "output_token=90/1000000"])
    assert await warned(context, "aliases.set", name="fast", targets=["gpt-4o-mini", "gpt-4o"]) == ""


async def test_an_alias_that_hides_a_channel_s_model(context: Context) -> None:
    await channel(context, "up", "fast", "boat")
    assert "'up' serves a model named 'fast' too" in await warned(context, "aliases.set", name="fast", targets=["boat"])
    assert "'fast' is an alias for boat" in "".join((await channel(context, "two", "fast"))["warnings"])
    assert "'fast' is an alias" in await warned(context, "channels.change", name="two", weight=2)
    assert await warned(context, "aliases.set", name="fast", targets=["fast", "boat"]) == ""
    assert await warned(context, "channels.change", name="two", weight=2) == ""


async def test_an_alias_that_others_stand_for(context: Context) -> None:
    await channel(context, "up", "boat", "ship")
    for name, targets in (("inner", ["boat"]), ("outer", ["inner"]), ("ship", ["boat"]), ("fleet", ["ship"])):
        await act(context, "aliases.set", name=name, targets=targets)
    assert await warned(context, "aliases.remove", name="ship") == ""
    assert "outer still stands for 'inner', which no" in await warned(context, "aliases.remove", name="inner")


async def test_models_that_channels_serve_are_listed(context: Context) -> None:
    await channel(context, "up", "gpt-4o", "mine=theirs")
    await act(context, "prices.set", model="mine", lines=["input_token=1/1000000", "input_token=2/1000000 above 9"])
    found = {row["model"]: row for row in await act(context, "models.list") if row["channels"]}
    assert found.keys() == {"gpt-4o", "mine"}
    assert (found["mine"]["kind"], found["mine"]["price"]) == ("text", ["input_token=1/1000000"])
    assert "input_token=2.5/1000000" in found["gpt-4o"]["price"]
    assert [row["model"] for row in await act(context, "models.list", search="min") if row["channels"]] == ["mine"]


async def test_the_doctor_tells_what_comes_to_nothing(context: Context) -> None:
    await channel(context, "up", "gpt-4o", "mine", "omni-moderation-latest", "x*")
    await channel(context, "off", "other", disabled=True)
    (context.settings.data / "secret").touch(0o600)
    healthy = await act(context, "doctor")
    assert [row["words"].partition(":")[0] for row in healthy if row["about"] == "prices"] == ["mine"]
    await act(context, "prices.set", model="mine", lines=["run=1"])
    await act(context, "prices.set", model="typo", lines=["run=1"])
    await act(context, "aliases.set", name="fast", targets=["nobody"])
    await act(context, "aliases.set", name="slow", targets=["nobody", "mine"])
    await act(context, "groups.set", name="east", channels=["east-*", "u*"])
    said = [(row["about"], row["words"]) for row in await act(context, "doctor") if row["verdict"] == "look"]
    assert [words.partition(":")[0] for about, words in said if about in ("prices", "aliases", "groups")] == [
        "typo",
        "fast",
        "east (east-*)",
    ]


async def test_two_keys_of_one_name(context: Context) -> None:
    assert await warned(context, "keys.create", name="app") == ""
    assert await warned(context, "keys.create", name="api") == ""
    made = await act(context, "keys.create", name="app", account="else")
    assert made["id"] in made["warnings"][0]
    await act(context, "keys.revoke", key=made["id"])
    assert await warned(context, "keys.create", name="other") == ""


async def test_a_line_says_dollars_as_the_document_does(context: Context) -> None:
    lines = [{"unit": "input_token", "usd": "2.5", "per": 1_000_000}, {"unit": "run", "usd": "0.0000001"}, "search=1"]
    made = await act(context, "prices.set", model="m", lines=lines)
    assert made["price"] == ["input_token=2.5/1000000", "run=0.000001/10", "search=1"]
    for wrong in ({"usd": 2.5}, {"usd": "1", "per": "2"}, {"usd": "1e999999"}, {"usd": "1", "micros": 5}):
        with pytest.raises(CallerError):
            await act(context, "prices.set", model="m", lines=[{"unit": "run"} | wrong])


async def test_what_is_asked_for_and_not_there_is_named(context: Context) -> None:
    with pytest.raises(CallerError, match=r"no act 'keys.make'; there are accounts.adjust, "):
        await act(context, "audit.list", act="keys.make")
    for what, given in (
        ("ledger.explain", {"charge": "foo"}),
        ("calls.refund", {"call": "foo", "usd": "1", "reason": "x"}),
    ):
        with pytest.raises(NotFound, match="no charge 'foo'; give the id of a task or of a request"):
            await act(context, what, **given)


async def test_a_trial_that_fails_has_failed_in_the_audit_log_too(context: Context) -> None:
    await channel(context, "up", "m", base_url="http://127.0.0.1:1")
    tested = await act(context, "channels.test", name="up")
    [row] = (await act(context, "audit.list", act="channels.test"))["acts"]
    assert (tested["works"], row["outcome"]) == (False, tested["error"])


@pytest.mark.parametrize("usd", ["1e999999", "1e2", "NaN", "five"])
async def test_amounts_that_are_none(context: Context, usd: str) -> None:
    await act(context, "keys.create", name="app")
    for what, given in (
        ("accounts.topup", {"name": "default", "usd": usd}),
        ("keys.change", {"key": "app", "quota_usd": usd}),
        ("groups.set", {"name": "g", "multiplier": usd}),
        ("codes.create", {"usd": usd}),
    ):
        with pytest.raises(CallerError, match="is not an amount: write a decimal"):
            await act(context, what, **given)
