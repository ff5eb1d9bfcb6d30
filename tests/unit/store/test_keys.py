from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.errors import Conflict, NotFound, Stale
from penstock.store import Step, Store, groups, keys
from tests.stores import account

pytestmark = pytest.mark.anyio


def key(owner: str, name: str = "n", **given: Any) -> Step:
    fields = {"id": f"id-{name}", "account": owner, "name": name, "mode": "live", "prefix": f"sk-{name}"}
    return keys.insert(**fields | {"hash": name.encode(), "rpm": None, "concurrency": 4} | given)


def said(row: Any) -> dict[str, Any]:
    return dict(zip(keys.COLUMNS, row, strict=True))


async def test_a_key_is_found_by_its_hash_until_it_is_revoked(store: Store) -> None:
    owner = await account(store, "acme")
    await store.write(key(owner, models='["a/*"]', quota_day=5))
    row = await keys.by_hash(store, b"n")
    assert row is not None and row == await keys.by_id(store, "id-n")
    found = said(row)
    assert (found["id"], found["account"], found["account_name"], found["account_group"]) == (
        *("id-n", owner, "acme", "default"),
    )
    assert (found["concurrency"], found["models"], found["quota_day"], found["scopes"]) == (
        4,
        '["a/*"]',
        5,
        "relay read",
    )
    assert await keys.by_hash(store, b"other") is None
    await store.write(keys.revoke("id-n"))
    assert await keys.by_hash(store, b"n") is None
    assert await keys.by_id(store, "id-n") is not None
    for step in (keys.revoke("id-n"), keys.change("id-n", rpm=1), keys.end("id-n", 5)):
        with pytest.raises(NotFound):
            await store.write(step)
    assert [row[0] for row in await keys.every(store)] == ["id-n"]


@pytest.mark.parametrize("word", ["id-n", "n", "sk-n"])
async def test_called_by_id_name_or_prefix(store: Store, word: str) -> None:
    owner = await account(store)
    await store.write(key(owner), key(owner, "m"))
    assert [row[0] for row in await keys.called(store, word)] == ["id-n"]


async def test_a_secret_is_one_key_s(store: Store) -> None:
    owner = await account(store)
    await store.write(key(owner))
    with pytest.raises(Conflict):
        await store.write(key(owner, "m", hash=b"n"))


async def test_what_is_changed_is_changed_alone_and_an_end_only_comes_nearer(store: Store) -> None:
    owner = await account(store)
    await store.write(key(owner), key(owner, "m"))
    await store.write(keys.change("id-n", rpm=7, group="g"))
    one, other = [said(row) for row in await keys.every(store)]
    assert (one["rpm"], one["group"], one["concurrency"], other["rpm"], other["group"]) == (7, "g", 4, None, None)
    for at, ends in ((9, 9), (12, 9), (6, 6)):
        await store.write(keys.end("id-n", at))
        assert said(await keys.by_id(store, "id-n"))["expires_at"] == ends


async def test_groups(store: Store) -> None:
    new = {"models": None, "channels": None, "multiplier": 5, "policy": "weight", "rpm": None, "tpm": None}
    step = groups.unless_present(name="g", concurrency=None, **new)
    await store.write(step)
    await store.write(step, groups.change("g", models='["a"]', rpm=3))
    assert [dict(zip(groups.COLUMNS, row, strict=True)) for row in await groups.every(store)] == [
        {"name": "g", "concurrency": None, **new, "models": '["a"]', "rpm": 3}
    ]
    owner = await account(store)
    await store.write(groups.keep("g"), key(owner, group="g"))
    with pytest.raises(NotFound):
        await store.write(groups.keep("h"), key(owner, "m", group="h"))
    with pytest.raises(Conflict):
        await store.write(groups.remove("g"))
    await store.write(keys.revoke("id-n"))
    await store.write(groups.remove("g"))
    assert await groups.every(store) == []


def channel(name: str = "c", **given: Any) -> dict[str, Any]:
    fields = {"provider": "cog", "base_url": "u", "credential": "x", "models": "{}", "priority": 1, "weight": 2}
    return {"name": name, **fields, "concurrency": None, "rpm": None, "options": "{}", "disabled": False, **given}


async def test_channels(store: Store) -> None:
    await store.write(keys.insert_channel(id="1", secret="s", **channel()))
    with pytest.raises(Conflict):
        await store.write(keys.insert_channel(id="2", secret="s", **channel()))
    await store.write(keys.replace_channel(**channel(priority=7, disabled=True)))
    (row,) = await keys.all_channels(store)
    assert row[:5] == ("1", "c", "cog", "u", "x")
    assert (row[7], bool(row[11])) == (7, True)
    await store.write(keys.disable_channel("c", disabled=False))
    assert [bool(row[11]) for row in await keys.all_channels(store)] == [False]
    with pytest.raises(NotFound):
        await store.write(keys.disable_channel("other", disabled=True))


async def test_deployments_are_released_in_order(store: Store) -> None:
    await store.write(keys.insert_deployment("a", "d", "m", "v1", "{}"))
    with pytest.raises(Conflict):
        await store.write(keys.insert_deployment("a", "d", "m", "v1", "{}"))
    releases = (store.write(keys.release_deployment("a", "d", 1, f"v{n}", "{}")) for n in range(2, 7))
    outcomes = await asyncio.gather(*releases, return_exceptions=True)
    assert [isinstance(outcome, Stale) for outcome in outcomes].count(True) == 4
    row = await keys.deployment(store, "a", "d")
    assert row is not None and (row[3], row[5]) == (f"v{outcomes.index(None) + 2}", 2)
    assert await keys.deployments_of(store, "a") == [row]
    assert await keys.deployment(store, "b", "d") is None
    await store.write(keys.delete_deployment("a", "d"))
    with pytest.raises(NotFound):
        await store.write(keys.delete_deployment("a", "d"))
