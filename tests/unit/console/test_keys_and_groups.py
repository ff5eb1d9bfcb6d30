"""The acts of keys and groups: what people write, as keys and groups have it, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.access import Keys
from penstock.canonical.who import Quota
from penstock.clock import now
from penstock.console.acts import do
from penstock.context import Context
from penstock.errors import CallerError
from penstock.ledger.quotas import day_of
from penstock.store.connection import inserting
from penstock.store.tables import spending

pytestmark = pytest.mark.anyio


async def act(ctx: Context, what: str, /, **given: Any) -> Any:
    """As a program has it: decoded from JSON."""
    return json.loads(json.dumps(await do(ctx, what, given, "test")))


async def test_a_key_from_making_to_revoking(context: Context) -> None:
    await act(context, "groups.set", name="gold", tpm=500)
    said = {"group": "gold", "expires": "2099-01-31", "models": ["openai/*"], "networks": ["203.0.113.0/24"]}
    said |= {"quota_usd": "50", "quota_day_usd": "0.5", "rpm": 60}
    made = await act(context, "keys.create", name="laptop", account="acme", **said)
    caller = await context.of(Keys).caller(made["key"])
    assert (caller.quota, caller.rpm, caller.tpm) == (Quota(50_000_000, None, 500_000), 60, 500)
    changed = await act(context, "keys.change", key="laptop", quota_usd=None, rpm=None, scopes=["read"])
    assert (changed["quota_total"], changed["rpm"], changed["scopes"], changed["state"]) == (
        None,
        None,
        ["read"],
        "active",
    )
    assert (changed["expires_at"], changed["models"]) == ("2099-01-31T00:00:00.000Z", ["openai/*"])
    turned = await act(context, "keys.rotate", key="laptop", overlap="24h")
    await act(context, "keys.revoke", key=turned["id"])
    assert [key["state"] for key in await act(context, "keys.list")] == ["active", "revoked"]
    assert made["key"] not in json.dumps(await act(context, "keys.list"))


async def test_what_is_shown_of_a_key(context: Context) -> None:
    made = await act(context, "keys.create", name="laptop", account="acme", rpm=5)
    today, month = day_of(now()), day_of(now())[:7]
    owner = (await context.of(Keys).caller(made["key"])).account
    for day, amount in (("2020-01-01", 7), (today, 5)):
        given = {"account": owner, "mode": "live", "day": day, "key": made["id"], "model": "m", "runs": 1}
        step = inserting(spending)(**given, input_tokens=1, output_tokens=1, amount=amount)
        await context.store.write(step)
    shown = await act(context, "keys.show", key=made["id"])
    assert shown["spent"] == {"total": 12, "month": 5, "day": 5} and month in today
    assert shown["in_effect"] == {"group": "default", "rpm": 5, "tpm": None, "concurrency": None}
    await act(context, "keys.revoke", key=made["id"])
    assert (await act(context, "keys.show", key="laptop"))["state"] == "revoked"


async def test_a_group_from_making_to_removing(context: Context) -> None:
    made = await act(context, "groups.set", name="gold", multiplier="1.250", models=["a", "b"], policy="cost")
    assert made == {
        "name": "gold",
        "models": ["a", "b"],
        "channels": None,
        "multiplier": "1.25",
        "policy": "cost",
        "rpm": None,
        "tpm": None,
        "concurrency": None,
    }
    changed = await act(context, "groups.set", name="gold", models=None, multiplier="100", rpm=7)
    assert (changed["models"], changed["multiplier"], changed["policy"], changed["rpm"]) == (None, "100", "cost", 7)
    await act(context, "keys.create", name="laptop", account="acme", group="gold")
    shown = await act(context, "groups.show", name="gold")
    assert (shown["accounts"], shown["keys"]) == ([], 1)
    assert [group["name"] for group in await act(context, "groups.list")] == ["default", "gold"]
    with pytest.raises(CallerError):
        await act(context, "groups.remove", name="gold")
    await act(context, "keys.revoke", key="laptop")
    await act(context, "groups.remove", name="gold")


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("keys.create", {"expires": "soon"}, "expires"),
        ("keys.create", {"expires": ""}, "expires"),
        ("keys.create", {"quota_usd": "NaN"}, "quota_usd"),
        ("keys.create", {"quota_usd": "-1"}, "quota_total"),
        ("keys.create", {"networks": ["x"]}, "networks"),
        ("keys.create", {"mode": "other"}, "mode"),
        ("keys.create", {"key": "short"}, "key"),
        ("keys.create", {"rpm": "60"}, "rpm"),
        ("groups.set", {"multiplier": "x"}, "multiplier"),
        ("groups.set", {"multiplier": "1001"}, "multiplier"),
        ("groups.set", {"policy": "luck"}, "policy"),
        ("groups.set", {"channels": []}, "channels"),
    ],
)
async def test_nonsense_names_its_field(context: Context, name: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(CallerError, match=words):
        await act(context, name, **{"name": "n", **given})
    assert await act(context, "keys.list") == []
