from __future__ import annotations

from typing import Any

import pytest

from penstock.access import Groups, Keys
from penstock.access.fields import POLICIES
from penstock.canonical.who import ONE, Group
from penstock.context import Context
from penstock.errors import CallerError, Conflict, NotFound

pytestmark = pytest.mark.anyio


async def test_the_default_group_is_always_there(context: Context) -> None:
    groups = context.of(Groups)
    await groups.load()
    assert groups.every() == [Group()]
    assert groups.get("default") == groups.get("nobody") == Group()
    await groups.put("default", rpm=7)
    assert groups.get("nobody") == Group(rpm=7)
    with pytest.raises(CallerError):
        await groups.remove("default")


async def test_what_is_put_is_there_after_a_restart_too(context: Context) -> None:
    groups = context.of(Groups)
    made = await groups.put("gold", models=["openai/*"], channels=["east"], multiplier=1_250_000, policy="cost", tpm=9)
    assert made == Group("gold", ("openai/*",), ("east",), 1_250_000, "cost", None, 9)
    changed = await groups.put("gold", channels=None, concurrency=3)
    assert changed == Group("gold", ("openai/*",), None, 1_250_000, "cost", None, 9, 3)
    other = Groups(context)
    await other.load()
    assert other.get("gold") == changed


async def test_a_group_in_use_stays(context: Context) -> None:
    groups, keys = context.of(Groups), context.of(Keys)
    await groups.put("gold")
    made = await keys.create("laptop", "live", "acme", group="gold")
    with pytest.raises(Conflict):
        await groups.remove("gold")
    await keys.revoke(made["id"])
    account = await keys.open_account("other", "gold")
    with pytest.raises(Conflict):
        await groups.remove("gold")
    assert account
    await groups.put("silver")
    await groups.remove("silver")
    with pytest.raises(NotFound):
        await groups.remove("silver")
    assert [group.name for group in groups.every()] == ["default", "gold"]


async def test_a_change_holds_at_once_for_a_key_in_it(context: Context) -> None:
    groups, keys = context.of(Groups), context.of(Keys)
    await groups.put("gold", rpm=5)
    key = (await keys.create("laptop", "live", "acme", group="gold"))["key"]
    assert (await keys.caller(key)).rpm == 5
    await groups.put("gold", rpm=6, models=["a"])
    caller = await keys.caller(key)
    assert (caller.rpm, caller.group.models) == (6, ("a",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"multiplier": -1},
        {"multiplier": 1001 * ONE},
        {"multiplier": "1.25"},
        {"policy": "luck"},
        {"models": []},
        {"models": "openai/*"},
        {"models": [""]},
        {"channels": [5]},
        {"rpm": 0},
        {"tpm": True},
        {"concurrency": 1.5},
        {"colour": "red"},
    ],
)
async def test_nonsense_names_its_field(context: Context, wrong: dict[str, Any]) -> None:
    with pytest.raises(CallerError, match=next(iter(wrong))):
        await context.of(Groups).put("gold", **wrong)
    with pytest.raises(CallerError, match="name"):
        await context.of(Groups).put(" gold")
    assert context.of(Groups).every() == [Group()]


def test_policies_are_those_of_routing() -> None:
    planning = pytest.importorskip("penstock.routing.planning")
    assert set(planning.POLICIES) == set(POLICIES)
