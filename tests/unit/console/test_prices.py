"""What operators do to prices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.console import acts
from penstock.context import Context
from penstock.errors import CallerError, NotFound
from penstock.ledger import Prices
from penstock.routing import Channels

pytestmark = pytest.mark.anyio
BOAT = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "mode": "chat"}


async def do(context: Context, name: str, **given: Any) -> Any:
    return await acts.do(context, name, given, "test")


def shown(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["channel"], row["holds"], row["from"], row["price"]) for row in rows]


async def channel(context: Context, *models: str) -> None:
    await context.of(Channels).add({"name": "up", "provider": "openai", "credential": "c", "models": list(models)})


async def test_a_price_over_time(context: Context) -> None:
    await channel(context, "*")
    await do(context, "prices.set", model="m", lines=["run=1"])
    await do(context, "prices.set", model="m", lines=[{"unit": "run", "micros": 2_000_000}], source="contract")
    await do(context, "prices.set", model="m", lines=["run=3", "run=4 when size=l"], starts="2261-01-01")
    await do(context, "prices.set", model="m", lines=["run=5"], channel="up")
    later = ("", "coming", "you", ["run=3", "run=4 when size=l"])
    now, there = ("", "now", "you", ["run=2"]), ("up", "now", "you", ["run=5"])
    assert shown(await do(context, "prices.list", model="m")) == [now, later, there]
    past = ("", "past", "you", ["run=1"])
    assert shown(await do(context, "prices.list", model="[m]", every=True)) == [past, now, later, there]
    assert shown(await do(context, "prices.show", model="m")) == [past, now, there, later]


async def test_without_a_price_of_the_operator_s_the_list_price_is_shown_and_holds(context: Context) -> None:
    [row] = await do(context, "prices.list", model="gpt-4o")
    assert (row["from"], row["holds"], "input_token=2.5/1000000" in row["price"]) == ("catalogue", "now", True)
    assert (await do(context, "prices.show", model="openai/gpt-4o"))[0]["price"] == row["price"]
    await do(context, "prices.set", model="gpt-4o", lines=["run=0"])
    assert [(row["from"], row["holds"]) for row in await do(context, "prices.show", model="gpt-4o")] == [
        ("catalogue", "past"),
        ("you", "now"),
    ]
    made = await do(context, "prices.unset", model="gpt-4o")
    assert (made["priced"], shown(await do(context, "prices.list", model="gpt-4o"))) == (True, shown([row]))


async def test_what_has_no_price_left_is_said_so(context: Context) -> None:
    assert (await do(context, "prices.set", model="m", lines=["run=1"]))["priced"]
    assert not (await do(context, "prices.unset", model="m"))["priced"]
    with pytest.raises(NotFound, match="prices set"):
        await do(context, "prices.show", model="n")


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("set", {"lines": []}, "at least one line"),
        ("set", {"lines": ["run=x"]}, "write a decimal"),
        ("set", {"lines": ["run=1", "request=1"]}, "for the same"),
        ("set", {"lines": [{"unit": "run", "micros": 1, "above": 5}]}, "up to 5 tokens"),
        ("set", {"lines": [{"unit": "run"}]}, "not a price"),
        ("set", {"lines": ["run=1"], "channel": "no"}, "there is no channel 'no'"),
        ("set", {"lines": ["run=1"], "starts": "soon"}, "write 2026-12-01"),
        ("set", {"lines": ["run=1"], "starts": "2020-01-01"}, "is past"),
        ("unset", {}, "no price of 'm' was set"),
        ("unset", {"channel": "no"}, "on the channel 'no'"),
    ],
)
async def test_refusals(context: Context, name: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(CallerError, match=words):
        await do(context, f"prices.{name}", model="m", **given)
    assert context.of(Prices).every() == []


async def test_an_import_takes_what_channels_name_and_only_once(context: Context) -> None:
    await channel(context, "boat", "fast=ship", "o*")
    listed = json.dumps({"boat": BOAT, "openai/ship": BOAT, "ship": {}, "other": BOAT, "free": {"mode": "chat"}})
    tried = await do(context, "prices.import", content=listed, dry_run=True)
    assert [(change["model"], change["change"]) for change in tried["changes"]] == [
        ("boat", "added"),
        ("fast", "added"),
    ]
    assert context.of(Prices).every() == []
    await do(context, "prices.import", content=listed)
    assert context.of(Prices).now().keys() == {"boat", "fast"}
    again = await do(context, "prices.import", content=listed)
    assert (again["changes"], again["same"]) == ([], 2)
    every = await do(context, "prices.import", content=listed, every=True)
    assert {change["model"] for change in every["changes"]} == {"openai/ship", "other"}
    assert {refused["model"] for refused in every["refused"]} == {"free", "ship"}


async def test_an_import_tells_what_becomes_dearer_and_keeps_what_the_list_does_not_speak_of(context: Context) -> None:
    lines = ["input_token=2/1000000", "output_token=1/1000000", "output_token=3/1000000 above 9", "search=10/1000"]
    await do(context, "prices.set", model="boat", lines=lines)
    made = await do(context, "prices.import", content=json.dumps({"boat": BOAT}), models=["b*"])
    [change] = made["changes"]
    assert change["change"] == "changed"
    assert [(step["line"], step["was"], step["is"], step["change"], step["by"]) for step in change["steps"]] == [
        ("input_token", "2/1000000", "1/1000000", "cheaper", "-50.0%"),
        ("output_token", "1/1000000", "2/1000000", "dearer", "+100.0%"),
        ("output_token above 9", "3/1000000", None, "removed", None),
    ]
    [row] = await do(context, "prices.list", model="boat")
    assert row["price"] == ["input_token=1/1000000", "output_token=2/1000000", "search=10/1000"]
    assert "litellm" in row["source"]
    with pytest.raises(NotFound, match="fits z"):
        await do(context, "prices.import", content=json.dumps({"boat": BOAT}), models=["z"])
