from __future__ import annotations

from typing import Any

import pytest

from penstock.canonical.task import File
from penstock.clock import after, now
from penstock.errors import NotFound, Stale
from penstock.ids import encode, new_id
from penstock.store import Store, files

pytestmark = pytest.mark.anyio


def file(**given: Any) -> File:
    fields = {"id": new_id(), "account": "a", "mode": "live", "task": None, "role": "upload", "name": "boat.png"}
    kept = {"content_type": "image/png", "size": 3, "sha256": "s", "md5": "m", "created_at": now()}
    return File(**{**fields, **kept, **given})


async def test_a_file_comes_back_as_it_was(store: Store) -> None:
    made = file(name="bö🚢t", metadata='{"job":17}', expires_at=5, size=2**40)
    await store.write(files.insert(made), files.insert(made))
    assert await files.get(store, made.id) == made
    assert await files.get(store, "other") is None


async def test_only_its_owner_removes_it(store: Store) -> None:
    made = file()
    await store.write(files.insert(made))
    with pytest.raises(NotFound):
        await store.write(files.remove(made.id, "b"))
    await store.write(files.remove(made.id, "a"))
    assert await files.get(store, made.id) is None


async def test_uploads_in_pages_both_ways_without_what_expired(store: Store) -> None:
    made = [file(id=encode(n << 80), expires_at=after(60) if n % 2 else None) for n in range(1, 6)][::-1]
    others = [file(expires_at=1), file(role="output"), file(account="b"), file(mode="test")]
    await store.write(*map(files.insert, (*made, *others)))
    assert await files.page(store, "a", "live") == made
    assert await files.page(store, "a", "live", made[1].id, 2) == made[2:4]
    assert await files.page(store, "a", "live", made[3].id, 2, newer=True) == made[1:3]
    assert [row[0] for row in await files.expired(store)] == [others[0].id]


async def test_the_files_of_a_task_go_together(store: Store) -> None:
    made = [file(id=encode(n), task="t", role="output", sha256=f"s{n}") for n in range(3)]
    await store.write(*map(files.insert, made), files.insert(file(sha256="s0")))
    assert await files.of_task(store, "t") == made
    assert await files.hashes(store) == {"s0", "s1", "s2"}
    await store.write(files.remove_of_task("t"))
    assert await files.hashes(store) == {"s0"}


async def test_the_outbox(store: Store) -> None:
    await store.write(files.message("1", "t", "start", "u"), files.message("2", "t", "completed", "u"))
    await store.write(files.message("1", "t", "start", "u"))
    assert [row[0] for row in await files.pending(store)] == ["1", "2"]
    await store.write(files.tried("1", "delivered", 1, 5, 200), files.tried("2", "dead", 9, 6, None))
    assert await files.pending(store) == []
    assert [(row[4], row[5], row[8]) for row in await files.messages_of(store, "t")] == [
        ("delivered", 1, 200),
        ("dead", 9, None),
    ]
    await store.write(files.redeliver("t"))
    assert [row[0] for row in await files.pending(store)] == ["2"]
    with pytest.raises(NotFound):
        await store.write(files.redeliver("other"))
    await store.write(files.forget_messages("t"))
    assert await files.messages_of(store, "t") == []


async def test_one_request_makes_one_task(store: Store) -> None:
    began = now()
    await store.write(files.record("a", "POST /p", "k", "hash", "t1"))
    with pytest.raises(Stale):
        await store.write(files.record("a", "POST /p", "k", "other", "t2"))
    await store.write(files.record("b", "POST /p", "k", "h", "t3"), files.record("a", "POST /q", "k", "h", "t4"))
    assert (await files.recorded(store, "a", "POST /p", "k"))[:2] == ("hash", "t1")
    await store.write(files.unrecord("a", "POST /p", "k", "t2"))
    assert await files.recorded(store, "a", "POST /p", "k") is not None
    await store.write(files.unrecord("a", "POST /p", "k", "t1"))
    assert await files.recorded(store, "a", "POST /p", "k") is None
    await store.write(files.forget(began))
    assert await files.recorded(store, "b", "POST /p", "k") is not None
    await store.write(files.forget(now() + 1))
    assert await files.recorded(store, "b", "POST /p", "k") is None
