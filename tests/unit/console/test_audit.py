"""The audit log: a row before an act and one after it, no secrets, and no way to change it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from penstock.clock import now
from penstock.console.audit import HIDDEN, LONGEST, recorded, told
from penstock.context import Context
from penstock.errors import Conflict, PenstockError, StorageFull
from penstock.store import Step, Store, audit
from penstock.store.connection import compiled

pytestmark = pytest.mark.anyio
CANARY = "canary-8f2c51aa90"


async def rows(store: Store, act: str = "", actor: str = "", since: int = 0) -> list[dict[str, Any]]:
    found = await audit.page(store, act, actor, since, audit.NEWEST, 10)
    return [dict(zip(audit.COLUMNS, row, strict=True)) for row in found]


async def test_an_act_is_between_two_rows(context: Context) -> None:
    async def work() -> str:
        [begun] = await rows(context.store)
        assert (begun["outcome"], begun["ended_at"]) == (None, None)
        return "done"

    assert await recorded(context, "cli/ann", "keys.create", '{"name":"n"}', work) == "done"
    [row] = await rows(context.store)
    assert (row["actor"], row["act"], row["given"], row["outcome"]) == ("cli/ann", "keys.create", '{"name":"n"}', "ok")
    assert row["at"] <= row["ended_at"] <= now()


@pytest.mark.parametrize(("error", "code"), [(Conflict("x"), "conflict"), (KeyError("x"), "internal_error")])
async def test_what_went_wrong_is_its_outcome(context: Context, error: Exception, code: str) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(type(error)):
        await recorded(context, "cli/ann", "keys.create", "{}", work)
    assert [row["outcome"] for row in await rows(context.store)] == [code]


class Full:
    """A store that takes this many writes, and then no more."""

    def __init__(self, store: Store, takes: int) -> None:
        self._store, self._takes = store, takes

    async def write(self, *steps: Step) -> None:
        if not self._takes:
            raise StorageFull()
        self._takes -= 1
        await self._store.write(*steps)


@pytest.mark.parametrize(("takes", "happens"), [(0, False), (1, True)])
async def test_what_cannot_be_written_down_is_not_done(context: Context, takes: int, happens: bool) -> None:
    done = []

    async def work() -> None:
        done.append(True)

    store, context.store = context.store, Full(context.store, takes)  # type: ignore[assignment]
    refused: PenstockError | None = None
    try:
        await recorded(context, "cli/ann", "keys.create", "{}", work)
    except StorageFull as error:
        refused = error
    context.store = store
    assert (bool(done), refused is None) == (happens, happens)
    assert [row["outcome"] for row in await rows(context.store)] == [None] * takes


async def test_it_is_listed_by_act_actor_and_time_a_page_at_a_time(context: Context) -> None:
    async def work() -> None:
        return

    for actor, act in [("cli/ann", "a.b"), ("key/1", "a.b"), ("key/1", "c.d")]:
        await recorded(context, actor, act, "{}", work)
        await asyncio.sleep(0.002)  # ids of one millisecond are in no order
    assert [row["actor"] for row in await rows(context.store, act="a.b")] == ["key/1", "cli/ann"]
    assert [row["act"] for row in await rows(context.store, actor="key/1")] == ["c.d", "a.b"]
    assert await rows(context.store, since=now()) == []
    first = await audit.page(context.store, "", "", 0, audit.NEWEST, 2)
    assert [row[3] for row in await audit.page(context.store, "", "", 0, first[-1][0], 2)] == ["a.b"]
    assert [row[2] for row in first] == ["key/1", "key/1"]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET outcome = 'ok'", "DELETE FROM audit", "DELETE FROM audit WHERE actor = 'cli/ann'"],
)
async def test_no_row_is_changed_or_removed(context: Context, statement: str) -> None:
    await context.store.write(audit.begun("1", "cli/ann", "keys.create", "{}"))
    with pytest.raises(Exception, match="audit is append-only"):
        await context.store.write(compiled(text(statement))())
    assert len(await rows(context.store)) == 1


HIDING: list[dict[str, Any]] = [
    {"credential": CANARY},
    {"credentials": [CANARY, {"any": CANARY}]},
    {"key": CANARY},
    {"secret": CANARY},
    {"code": CANARY},
    {"codes": [CANARY]},
    {"options": {"headers": {"Authorization": CANARY, "x-api-key": CANARY}}},
    {"options": {"api_key": CANARY, "password": CANARY, "access_token": CANARY}},
    {"base_url": f"https://ann:{CANARY}@vendor.example/v1"},
    {"base_url": f"https://vendor.example/v1?key={CANARY}"},
    {"reason": f"was sk-live-{CANARY}"},
    {"document": {"keys": [{"name": "n", "key": CANARY}], "channels": [{"credentials": [CANARY]}]}},
    {"deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"k": CANARY}}}}}}}}}}}},
]


@pytest.mark.parametrize("given", HIDING, ids=lambda given: next(iter(given)))
def test_no_secret_is_told(given: dict[str, Any]) -> None:
    shown = told(given)
    assert CANARY not in shown
    assert HIDDEN in shown


def test_all_else_is_told() -> None:
    given = {
        "name": "n",
        "usd": "25",
        "mode": "live",
        "limit": 5,
        "disabled": True,
        "rpm": None,
        "lines": [{"unit": "input_token", "micros": 5}],
        "document": {"keys": [{"name": "n", "mode": "live"}]},
    }
    assert msgspec.json.decode(told(given)) == given


def test_a_name_that_sounds_like_a_secret_may_be_none() -> None:
    assert msgspec.json.decode(told({"key": "01abc", "code": "x"}, {"key"})) == {"key": "01abc", "code": HIDDEN}
    assert "sk-live-•••" in told({"key": "sk-live-0123456789"}, {"key"})


def test_long_values_are_cut() -> None:
    shown = msgspec.json.decode(told({"reason": "x" * 5000, "list": ["y" * 5000]}))
    assert shown["reason"] == "x" * LONGEST + "… (5000 characters)"
    assert len(shown["list"][0]) < LONGEST + 30
    assert msgspec.json.decode(told({"list": list(range(500))}))["list"][99:] == [99, "… (500 in all)"]
