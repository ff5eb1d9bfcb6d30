from __future__ import annotations

import sqlite3

import pytest

from penstock.access import Keys
from penstock.access.keys import TEST_MONEY
from penstock.context import Context
from penstock.errors import CallerError, NotFound, Unauthenticated
from penstock.ledger import check
from penstock.store import accounts, keys

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", ["live", "test"])
async def test_a_key_speaks_for_its_account_and_mode(context: Context, mode: str) -> None:
    made = await context.of(Keys).create("laptop", mode, "acme", rpm=7)
    assert made["key"].startswith(f"sk-{mode}-")
    caller = await context.of(Keys).caller(made["key"])
    assert (caller.key, caller.account_name, caller.mode, caller.name, caller.rpm) == (
        *(made["id"], "acme", mode, "laptop", 7),
    )
    assert await Keys(context).caller(made["key"]) == caller
    assert await accounts.balance(context.store, caller.account, "test") == TEST_MONEY
    assert await check(context) == []


async def test_the_key_itself_is_nowhere(context: Context) -> None:
    made = await context.of(Keys).create("laptop", "live", "acme")
    (row,) = await keys.every(context.store)
    assert made["key"] not in repr(row) and made["key"].startswith(row[3])
    if context.store.kind == "sqlite":
        with sqlite3.connect(context.settings.data / "penstock.db") as db:
            assert made["key"] not in "".join(db.iterdump())
            assert made["key"][14:].encode().hex().upper() not in "".join(db.iterdump())


@pytest.mark.parametrize("wrong", [None, "", "sk-live-x", "ключ", "sk-live-" + "a" * 43, "x" * 10_000])
async def test_a_wrong_key_is_nobody_s(context: Context, wrong: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await context.of(Keys).caller(wrong)


async def test_a_revoked_key_is_over_at_once(context: Context) -> None:
    made = await context.of(Keys).create("laptop", "live", "acme")
    await context.of(Keys).caller(made["key"])
    await context.of(Keys).revoke("laptop")
    with pytest.raises(Unauthenticated):
        await context.of(Keys).caller(made["key"])


async def test_accounts_are_made_once_and_only_where_they_may(context: Context) -> None:
    made = context.of(Keys)
    first = await made.account("acme")
    assert await made.account("acme") == await made.account(first) == first
    assert (await made.webhook_secret(first)).startswith("whsec_")
    with pytest.raises(NotFound):
        await made.account("other", make=False)
    for name in ("", " x", "x" * 101):
        with pytest.raises(CallerError):
            await made.account(name)


@pytest.mark.parametrize("limits", [{"rpm": 0}, {"rpm": -1}, {"concurrency": 0}])
async def test_a_limit_of_nothing_is_no_limit_to_set(context: Context, limits: dict[str, int]) -> None:
    with pytest.raises(CallerError):
        await context.of(Keys).create("laptop", "live", "acme", **limits)


async def test_another_process_s_revocation_is_heard_of(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL, a little later; SQLite has no other process."""
    monkeypatch.setattr("penstock.access.keys.KEPT_S", 0.0)
    made = await context.of(Keys).create("laptop", "live", "acme")
    await context.of(Keys).caller(made["key"])
    assert (context.of(Keys).remembered(made["key"]) is None) == (context.store.kind == "postgres")
