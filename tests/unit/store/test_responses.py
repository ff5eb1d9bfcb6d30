from __future__ import annotations

import msgspec
import pytest

from penstock.clock import after, now
from penstock.store import Store, responses
from penstock.store.responses import Stored

pytestmark = pytest.mark.anyio
KEPT = Stored("resp_1", "acme", "live", "key", "gpt-5", "queued", "task", "[]", "{}", 1, 2**62)


async def test_it_is_its_owner_s(store: Store) -> None:
    await store.write(responses.insert(KEPT))
    assert await responses.own(store, "resp_1", "acme", "live") == KEPT
    assert await responses.own(store, "resp_1", "acme", "test") is None
    assert await responses.own(store, "resp_1", "others", "live") is None
    assert await responses.get(store, "resp_1") == KEPT


async def test_the_same_id_again_changes_nothing(store: Store) -> None:
    await store.write(responses.insert(KEPT))
    await store.write(responses.insert(msgspec.structs.replace(KEPT, account="others")))
    assert await responses.get(store, "resp_1") == KEPT


async def test_it_changes_and_goes(store: Store) -> None:
    await store.write(responses.insert(KEPT))
    await store.write(responses.change("resp_1", "completed", b'{"a":1}'))
    found = await responses.own(store, "resp_1", "acme", "live")
    assert found is not None
    assert (found.status, found.response) == ("completed", '{"a":1}')
    await store.write(responses.remove("resp_1", "others"))
    assert await responses.get(store, "resp_1") is not None
    await store.write(responses.remove("resp_1", "acme"))
    assert await responses.get(store, "resp_1") is None


async def test_its_time_ends(store: Store) -> None:
    await store.write(responses.insert(msgspec.structs.replace(KEPT, expires_at=after(-1.0))))
    assert await responses.own(store, "resp_1", "acme", "live") is None
    await store.write(responses.forget(now()))
    assert await responses.get(store, "resp_1") is None
