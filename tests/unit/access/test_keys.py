from __future__ import annotations

import dataclasses
import sqlite3
from ipaddress import ip_network
from typing import Any

import anyio
import pytest

from penstock.access import Groups, Keys, fields
from penstock.access.keys import TEST_MONEY
from penstock.canonical.who import ONE, Caller, Group, Quota
from penstock.clock import SECOND, now, rfc3339
from penstock.context import Context
from penstock.errors import CallerError, Conflict, KeyExpired, NotFound, Unauthenticated
from penstock.ledger import check
from penstock.store import accounts
from penstock.store import keys as rows

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
    [key] = await context.of(Keys).every()
    assert made["key"] not in repr(key) and made["key"].startswith(key["prefix"]) and len(key["prefix"]) == 14
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


FULL: dict[str, Any] = {
    "models": ["openai/*"],
    "networks": ["203.0.113.7/24", "::1"],
    "scopes": ["read", "relay"],
    "quota_total": 9_000_000,
    "quota_month": 2_000_000,
    "quota_day": 0,
    "rpm": 60,
    "tpm": 5000,
    "concurrency": 4,
}


async def test_a_key_is_what_was_said_of_it(context: Context) -> None:
    keys, ends = context.of(Keys), now() + 3600 * SECOND
    await context.of(Groups).put("gold", multiplier=2 * ONE)
    made = await keys.create("laptop", "live", "acme", group="gold", expires_at=ends, **FULL)
    caller = await keys.caller(made["key"])
    assert caller == Caller(
        key=made["id"],
        account=caller.account,
        account_name="acme",
        mode="live",
        name="laptop",
        rpm=60,
        tpm=5000,
        concurrency=4,
        group=Group("gold", multiplier=2 * ONE),
        models=("openai/*",),
        networks=(ip_network("203.0.113.0/24"), ip_network("::1")),
        scopes=frozenset(("relay", "read")),
        expires_at=ends,
        quota=Quota(9_000_000, 2_000_000, 0),
    )
    assert await keys.by_id(made["id"]) == caller
    [shown] = await keys.every()
    assert (shown["account"], shown["group"], shown["networks"]) == ("acme", "gold", ["203.0.113.0/24", "::1/128"])


async def test_what_a_key_does_not_say_its_group_says_and_else_the_settings(context: Context) -> None:
    context.settings = context.settings.model_copy(update={"rpm": 1, "tpm": 2, "concurrency": 3})
    keys, groups = context.of(Keys), context.of(Groups)
    await groups.put("gold", rpm=10, tpm=20)
    await keys.open_account("acme", "gold")
    made = await keys.create("laptop", "live", "acme", rpm=100)
    caller = await keys.caller(made["key"])
    assert (caller.rpm, caller.tpm, caller.concurrency, caller.group.name) == (100, 20, 3, "gold")
    assert caller.quota is None and caller.models is None and caller.networks == ()
    await groups.put("own")
    await keys.change(made["id"], group="own", rpm=None)
    caller = await keys.caller(made["key"])
    assert (caller.rpm, caller.tpm, caller.concurrency, caller.group.name) == (1, 2, 3, "own")


async def test_a_change_holds_at_once(context: Context) -> None:
    keys = context.of(Keys)
    made = await keys.create("laptop", "live", "acme", **FULL)
    await keys.caller(made["key"])
    changed = await keys.change("laptop", rpm=1, networks=None, models=["a", "b"], name="desk")
    assert (changed["rpm"], changed["networks"], changed["tpm"]) == (1, [], 5000)
    caller = await keys.caller(made["key"])
    assert (caller.rpm, caller.networks, caller.models, caller.name) == (1, (), ("a", "b"), "desk")
    assert await keys.change(made["id"]) == changed
    with pytest.raises(NotFound):
        await keys.change("laptop", rpm=1)


async def test_an_expired_key_says_so(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, ends = context.of(Keys), now() + SECOND // 2
    made = await keys.create("laptop", "live", "acme", expires_at=ends)
    caller = await keys.caller(made["key"])
    assert keys.remembered(made["key"]) == caller
    monkeypatch.setattr("penstock.access.keys.now", lambda: ends)
    assert keys.remembered(made["key"]) is None
    for _ in range(2):
        with pytest.raises(KeyExpired, match=rfc3339(ends, 0)):
            await keys.caller(made["key"])
    assert await keys.by_id(made["id"]) == caller
    with pytest.raises(CallerError):
        await keys.rotate(made["id"])


async def test_an_expired_key_lives_again_with_a_later_date(context: Context) -> None:
    keys = context.of(Keys)
    made = await keys.create("laptop", "live", "acme", expires_at=now() + SECOND // 5)
    await anyio.sleep(0.3)
    with pytest.raises(KeyExpired):
        await keys.caller(made["key"])
    await keys.change("laptop", expires_at=None)
    assert (await keys.caller(made["key"])).expires_at is None


async def test_a_rotated_key_lasts_as_long_as_the_overlap(context: Context) -> None:
    keys = context.of(Keys)
    old = await keys.create("laptop", "live", "acme", **FULL)
    before = await keys.caller(old["key"])
    new = await keys.rotate("laptop", 3600)
    assert new["key"] != old["key"] and (new["name"], new["account"]) == ("laptop", "acme")
    after = await keys.caller(new["key"])
    assert after.root == before.key
    assert dataclasses.replace(after, key=before.key, root="") == before
    ends = (await keys.caller(old["key"])).expires_at
    assert ends is not None and abs(ends - now() - 3600 * SECOND) < 60 * SECOND
    with pytest.raises(Conflict, match=new["id"]):
        await keys.revoke("laptop")
    await keys.rotate(new["id"])
    with pytest.raises(KeyExpired):
        await keys.caller(new["key"])
    assert (await keys.rotate(old["id"], 3600 * 24))["name"] == "laptop"
    assert (await keys.caller(old["key"])).expires_at == ends


async def test_a_revoked_key_is_still_known_by_its_id(context: Context) -> None:
    keys = context.of(Keys)
    made = await keys.create("laptop", "live", "acme", rpm=5)
    caller = await keys.caller(made["key"])
    await keys.revoke(made["id"])
    assert await keys.by_id(made["id"]) == caller
    assert await keys.by_id("nobody") is None
    assert (await keys.find(made["id"], also_revoked=True))["revoked_at"]
    for act in (keys.revoke, keys.change, keys.rotate, keys.find):
        with pytest.raises(NotFound):
            await act(made["id"])


@pytest.mark.parametrize("secret", ["sk-" + "a" * 48, "x" * 16, "sk-proj_with.all/kinds+of=characters", "y" * 200])
async def test_a_key_from_elsewhere_goes_on(context: Context, secret: str) -> None:
    keys = context.of(Keys)
    made = await keys.create("moved", "test", "acme", key=secret)
    assert made["key"] == secret
    assert (await keys.caller(secret)).mode == "test"
    [shown] = await keys.every()
    assert secret.startswith(shown["prefix"]) and len(shown["prefix"]) <= len(secret) / 3
    for _ in range(2):
        with pytest.raises(Conflict):
            await keys.create("again", "live", "other", key=secret)
        await context.store.write(rows.revoke(made["id"]))
        with pytest.raises(Unauthenticated):
            await Keys(context).caller(secret)
        made = await keys.create("other", "live", "acme")


@pytest.mark.parametrize(
    "secret", ["x" * 15, "x" * 201, "sk-with a space 123456", "sk-\x00" + "x" * 20, "sk-ключ" + "x" * 20]
)
async def test_what_could_not_be_sent_is_no_key(context: Context, secret: str) -> None:
    with pytest.raises(CallerError, match="key"):
        await context.of(Keys).create("moved", "live", "acme", key=secret)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rpm": 0},
        {"tpm": 2.5},
        {"concurrency": "4"},
        {"quota_total": -1},
        {"quota_month": "5"},
        {"quota_day": True},
        {"models": []},
        {"models": "a"},
        {"networks": ["nowhere"]},
        {"networks": ["10.0.0.0/33"]},
        {"scopes": []},
        {"scopes": ["root"]},
        {"expires_at": 5},
        {"expires_at": "tomorrow"},
        {"group": "nobody"},
        {"name": ""},
        {"name": "two\nlines"},
        {"colour": "red"},
    ],
)
async def test_nonsense_names_its_field(context: Context, wrong: dict[str, Any]) -> None:
    keys = context.of(Keys)
    made = await keys.create("laptop", "live", "acme")
    with pytest.raises(CallerError, match=next(iter(wrong))):
        await keys.create(**{"name": "n", "mode": "live", "account": "other"} | wrong)
    with pytest.raises(CallerError, match=next(iter(wrong))):
        await keys.change(made["id"], **wrong)
    assert len(await keys.every()) == 1 and await accounts.find(context.store, "other") is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("2027-01-31T12:00:00+02:00", "2027-01-31T10:00:00Z"),
        ("2027-01-31T12:00:00.5Z", "2027-01-31T12:00:00.5Z"),
    ],
)
def test_moments(text: str, at: str) -> None:
    assert rfc3339(fields.moment("expires", text)) == at


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("15m", 900), ("0", 0), ("0h", 0)])
def test_spans(text: str, seconds: int) -> None:
    assert fields.span_s("overlap", text) == seconds
    if text != "0":
        assert abs(fields.moment("expires", text) - now() - seconds * SECOND) < 10 * SECOND


@pytest.mark.parametrize("text", ["", "d", "-1d", "1y", "soon", "2027-13-01", "99999999d", "1.5h", None, 5])
def test_no_moments(text: Any) -> None:
    with pytest.raises(CallerError, match="expires"):
        fields.moment("expires", text)
    with pytest.raises(CallerError, match="overlap"):
        fields.span_s("overlap", text)
