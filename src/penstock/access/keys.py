"""Keys and accounts: a key is shown once and kept as a keyed hash; whoever holds it acts for its account."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from penstock.access import fields
from penstock.access.groups import DEFAULT, Groups
from penstock.canonical.who import ADMIN, LIVE, TEST, Caller, Quota
from penstock.clock import after, now, rfc3339
from penstock.context import Context
from penstock.errors import CallerError, Conflict, KeyExpired, NotFound, Unauthenticated
from penstock.ids import new_id
from penstock.store import Step, accounts, groups, keys
from penstock.wire.signing import derive, hash_key

KEPT_AT_ONCE = 10_000
KEPT_S = 5.0
"""For so long a key is known on PostgreSQL, where another process may revoke it and nobody tells us."""
TEST_MONEY = 1_000_000_000  # 1,000 USD to play with
IMPORTED = re.compile(r"[!-~]{16,200}")
PREFIX = 14
OVERLAP_MOST_S = 3650 * 86_400.0
CHECKS: Mapping[str, fields.Check] = {
    "name": fields.name,
    "group": lambda field, value: None if value is None else fields.name(field, value),
    "expires_at": fields.future,
    "models": fields.patterns,
    "networks": fields.networks,
    "scopes": fields.scopes,
    "quota_total": fields.money,
    "quota_month": fields.money,
    "quota_day": fields.money,
    "rpm": fields.limit,
    "tpm": fields.limit,
    "concurrency": fields.limit,
}
"""What can be said of a key."""


class Keys:
    """Finds callers by their keys, and remembers those it found, by the whole hash; every change here forgets at
    once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._pepper = derive(ctx.secret, "keys")
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._sole = ctx.store.kind == "sqlite"
        self._groups = ctx.of(Groups)
        self._groups.listeners.append(self.forget)

    # who asks

    async def caller(self, key: str | None) -> Caller:
        """Whose key this is. Raises Unauthenticated, or KeyExpired."""
        if not key:
            raise Unauthenticated()
        return self.remembered(key) or await self._find(key)

    def remembered(self, key: str | None) -> Caller | None:
        """Whose key this is, if it was found before, not forgotten since, and has not expired."""
        found = self._known.get(_digest(key)) if key else None
        if found is None or not (self._sole or found[1] > time.monotonic()):
            return None
        ends = found[0].expires_at
        return found[0] if ends is None or ends > now() else None

    async def _find(self, key: str) -> Caller:
        known = self._known
        row = await keys.by_hash(self._ctx.store, hash_key(self._pepper, key))
        if row is None:
            raise Unauthenticated()
        if not self._sole:
            await self._groups.load()
        caller = self._caller(row)
        if caller.expires_at is not None and caller.expires_at <= now():
            raise KeyExpired(f"This key expired at {rfc3339(caller.expires_at, 0)}.")
        if len(known) >= KEPT_AT_ONCE:
            known.clear()
        until = time.monotonic() + KEPT_S
        known[_digest(key)] = caller, until  # in the dictionary of before the look: what was forgotten since stays so
        return caller

    async def by_id(self, key: str) -> Caller | None:
        """Who owns the key of this id, also once it has expired or was revoked: what it began goes on."""
        row = await keys.by_id(self._ctx.store, key)
        return self._caller(row) if row else None

    def forget(self) -> None:
        """To be called when keys, or what they get from their accounts, have changed."""
        self._known = {}

    def _caller(self, row: tuple[Any, ...]) -> Caller:
        """What the key says, else its group, else the settings."""
        said = _read(row)
        group = self._groups.get(said["group"] or said["account_group"])
        settings = self._ctx.settings
        quota = Quota(said["quota_total"], said["quota_month"], said["quota_day"])
        return Caller(
            key=said["id"],
            account=said["account"],
            account_name=said["account_name"],
            mode=said["mode"],
            name=said["name"],
            rpm=_first(said["rpm"], group.rpm, settings.rpm),
            tpm=_first(said["tpm"], group.tpm, settings.tpm),
            concurrency=_first(said["concurrency"], group.concurrency, settings.concurrency),
            group=group,
            models=None if said["models"] is None else tuple(said["models"]),
            networks=tuple(ipaddress.ip_network(network) for network in said["networks"]),
            scopes=frozenset(said["scopes"]),
            expires_at=said["expires_at"],
            quota=None if quota == Quota() else quota,
            root=said["root"] or "",
        )

    # what operators do

    async def create(self, name: str, mode: str, account: str, *, key: str = "", **given: Any) -> dict[str, Any]:
        """A new key for an account, made if need be; `key`: the one that its clients have already, from elsewhere.
        The key itself is in the result, and nowhere else. Raises CallerError where a field of `CHECKS` makes no sense,
        Conflict where there is this key already."""
        if mode not in (LIVE, TEST):
            raise CallerError(f"mode: must be {LIVE} or {TEST}")
        if key and not IMPORTED.fullmatch(key):
            raise CallerError("key: must be 16 to 200 printable ASCII characters, without spaces")
        columns = fields.checked(CHECKS, {"name": name} | given)
        check_admins(mode, columns)
        within = self._within(columns.get("group"))
        owner = await self.account(account)
        return await self._insert(*within, mode=mode, account=owner, account_name=account, key=key, **columns)

    async def change(self, key: str, **given: Any) -> dict[str, Any]:
        """Change these fields (`CHECKS`) of an active key, by id, name, or prefix; at once. Raises CallerError."""
        columns = fields.checked(CHECKS, given)
        found = await self.find(key)
        check_admins(found["mode"], columns)
        if columns:
            within = self._within(columns.get("group"))
            await self._ctx.store.write(*within, keys.change(found["id"], **columns))
            self.forget()
        return await self.find(found["id"])

    async def rotate(self, key: str, overlap_s: float = 0.0) -> dict[str, Any]:
        """A new key with the name and the fields of this one, which ends after the overlap."""
        if not 0 <= overlap_s <= OVERLAP_MOST_S:
            raise CallerError("overlap: must be from nothing to ten years")
        row = await self._row(key)
        if _ended(row):
            raise CallerError("this key has expired, and so would the new one: change when it expires first")
        old = dict(zip(keys.COLUMNS, row, strict=True))
        said = {field: old[field] for field in (*CHECKS, "mode", "account", "account_name")}
        said["root"] = old["root"] or old["id"]
        made = await self._insert(keys.end(old["id"], after(overlap_s)), **said)
        self.forget()
        return made

    async def revoke(self, key: str) -> None:
        """By id, name, or prefix; at once."""
        found = await self.find(key)
        await self._ctx.store.write(keys.revoke(found["id"]))
        self.forget()

    async def every(self) -> list[dict[str, Any]]:
        """All keys, oldest first, as they were made, without the keys themselves."""
        return [_shown(row) for row in await keys.every(self._ctx.store)]

    async def holder(self, key: str) -> dict[str, Any] | None:
        """Of whom the key itself is given, revoked or not."""
        row = await keys.ever(self._ctx.store, hash_key(self._pepper, key))
        return _shown(row) if row else None

    async def find(self, key: str, *, also_revoked: bool = False) -> dict[str, Any]:
        """The one key of this id, name, or prefix; an active one, where there is one. Raises NotFound, or Conflict
        where there are several."""
        return _shown(await self._row(key, also_revoked=also_revoked))

    async def _row(self, key: str, *, also_revoked: bool = False) -> tuple[Any, ...]:
        rows = await keys.called(self._ctx.store, key)
        active = [row for row in rows if row[_REVOKED_AT] is None] or (rows if also_revoked else [])
        if not active:
            raise NotFound(f"no active key {key!r}; see: penstock keys list")
        active = [row for row in active if row[_ID] == key] or active
        active = [row for row in active if not _ended(row)] or active
        if len(active) > 1:
            ids = ", ".join(row[0] for row in active[:10])
            raise Conflict(f"there are {len(active)} keys {key!r}; give the id of one: {ids}")
        return active[0]

    def _within(self, group: str | None) -> tuple[Step, ...]:
        """What holds a write to it that there is this group. Raises NotFound."""
        if group is None or self._groups.named(group).name == DEFAULT.name:
            return ()
        return (groups.keep(group),)

    async def _insert(
        self, *steps: Step, mode: str, account: str, account_name: str, key: str = "", **columns: Any
    ) -> dict[str, Any]:
        prefix = key[: min(PREFIX, len(key) // 3)]
        if not key:
            key = f"sk-{mode}-{secrets.token_urlsafe(32)}"
            prefix = key[:PREFIX]
        id, hashed = new_id(), hash_key(self._pepper, key)
        row = keys.insert(id=id, account=account, mode=mode, prefix=prefix, hash=hashed, **columns)
        await self._ctx.store.write(*steps, row)
        return {"id": id, "name": columns["name"], "key": key, "mode": mode, "account": account_name}

    # accounts

    async def account(self, name: str, *, make: bool = True) -> str:
        """The id of the account of this name. Raises NotFound unless it may be made."""
        row = await accounts.find(self._ctx.store, name)
        if row is not None:
            return str(row[0])
        if not make:
            raise NotFound(f"no account named {name!r}; see: penstock accounts list")
        return await self.open_account(name)

    async def open_account(self, name: str, group: str = DEFAULT.name) -> str:
        """A new account, with test money and a webhook secret of its own."""
        if not name or len(name) > 100 or name != name.strip():
            raise CallerError("an account needs a name of 1 to 100 characters")
        account = new_id()
        secret = "whsec_" + base64.b64encode(os.urandom(24)).decode()
        await self._ctx.store.write(
            *self._within(group),
            *accounts.open_account(account, name, self._ctx.box.seal(secret, f"account/{account}"), group),
            accounts.entry(account, TEST, "topup", TEST_MONEY),
            accounts.add(account, TEST, TEST_MONEY),
        )
        return account

    async def webhook_secret(self, account: str) -> str:
        """`whsec_` and base64: what this account's webhooks are signed with."""
        row = await accounts.find(self._ctx.store, account)
        if row is None:
            raise NotFound()
        return self._ctx.box.open(row[2], f"account/{row[0]}")


_ID, _EXPIRES_AT, _REVOKED_AT = (keys.COLUMNS.index(name) for name in ("id", "expires_at", "revoked_at"))


def check_admins(mode: str, columns: Mapping[str, Any]) -> None:
    """What an admin's key does is not confined to the test books. Raises CallerError."""
    if mode == TEST and ADMIN in columns.get("scopes", ""):
        raise CallerError(f"scopes: a key with {ADMIN!r} must be a live one")


def _ended(row: tuple[Any, ...]) -> bool:
    return row[_EXPIRES_AT] is not None and row[_EXPIRES_AT] <= now()


def _read(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row with its lists decoded."""
    said = dict(zip(keys.COLUMNS, row, strict=True))
    return said | {
        "models": None if said["models"] is None else json.loads(said["models"]),
        "networks": json.loads(said["networks"] or "[]"),
        "scopes": said["scopes"].split(),
    }


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    """As operators see it: accounts have names."""
    said = _read(row)
    return said | {"account": said.pop("account_name"), "account_id": said["account"]}


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _digest(key: str) -> bytes:
    """What a key is remembered by: its whole hash. Unlike the keyed one of the store it never lets another thread in
    between (OpenSSL's one-shot HMAC gives the GIL away), which on the hottest path costs more than itself."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
