from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.errors import Conflict, NotFound, Stale
from penstock.store import Step, Store, keys
from tests.stores import account

pytestmark = pytest.mark.anyio


def key(owner: str, name: str = "n", **given: Any) -> Step:
    fields = {"id": f"id-{name}", "account": owner, "name": name, "mode": "live", "prefix": f"sk-{name}"}
    return keys.insert(**fields | {"hash": name.encode(), "rpm": None, "concurrency": 4} | given)


async def test_a_key_is_found_by_its_hash_until_it_is_revoked(store: Store) -> None:
    owner = await account(store, "acme")
    await store.write(key(owner))
    assert await keys.by_hash(store, b"n") == ("id-n", owner, "acme", "live", "n", None, 4)
    assert await keys.by_hash(store, b"other") is None
    await store.write(keys.revoke("id-n"))
    assert await keys.by_hash(store, b"n") is None
    with pytest.raises(NotFound):
        await store.write(keys.revoke("id-n"))
    assert [(row[0], row[7] is None, row[8]) for row in await keys.every(store)] == [("id-n", False, "acme")]


@pytest.mark.parametrize("word", ["id-n", "n", "sk-n"])
async def test_revoked_by_id_name_or_prefix(store: Store, word: str) -> None:
    await store.write(key(await account(store)))
    await store.write(keys.revoke(word))
    assert await keys.by_hash(store, b"n") is None


async def test_a_name_that_two_keys_have_revokes_neither(store: Store) -> None:
    owner = await account(store)
    await store.write(key(owner), key(owner, id="2", hash=b"2"))
    with pytest.raises(NotFound):
        await store.write(keys.revoke("n"))
    assert await keys.by_hash(store, b"n") and await keys.by_hash(store, b"2")


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
