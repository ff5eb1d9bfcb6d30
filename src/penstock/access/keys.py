"""Keys and accounts: a key is shown once and kept as a keyed hash; whoever holds it acts for its account."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import time
from typing import Any

from penstock.canonical.who import TEST, Caller
from penstock.context import Context
from penstock.errors import CallerError, NotFound, Unauthenticated
from penstock.ids import new_id
from penstock.store import accounts, keys
from penstock.wire.signing import derive, hash_key

KEPT_AT_ONCE = 10_000
KEPT_S = 5.0
"""For so long a key is known on PostgreSQL, where another process may revoke it and nobody tells us."""
TEST_MONEY = 1_000_000_000  # 1,000 USD to play with


class Keys:
    """Finds callers by their keys, and remembers those it found, by the whole hash; revocation here forgets
    at once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._pepper = derive(ctx.secret, "keys")
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._sole = ctx.store.kind == "sqlite"

    async def caller(self, key: str | None) -> Caller:
        """Whose key this is. Raises Unauthenticated."""
        if not key:
            raise Unauthenticated()
        return self.remembered(key) or await self._find(key)

    def remembered(self, key: str | None) -> Caller | None:
        """Whose key this is, if it was found before and not forgotten since."""
        found = self._known.get(_digest(key)) if key else None
        return found[0] if found and (self._sole or found[1] > time.monotonic()) else None

    async def _find(self, key: str) -> Caller:
        known = self._known
        row = await keys.by_hash(self._ctx.store, hash_key(self._pepper, key))
        if row is None:
            raise Unauthenticated()
        id, account, account_name, mode, name, rpm, concurrency = row
        settings = self._ctx.settings
        rpm = settings.rpm if rpm is None else rpm
        concurrency = settings.concurrency if concurrency is None else concurrency
        caller = Caller(id, account, account_name, mode, name, rpm, concurrency)
        if len(known) >= KEPT_AT_ONCE:
            known.clear()
        until = time.monotonic() + KEPT_S
        known[_digest(key)] = caller, until  # in the dictionary of before the look: what was forgotten since stays so
        return caller

    async def create(
        self, name: str, mode: str, account: str, rpm: int | None = None, concurrency: int | None = None
    ) -> dict[str, Any]:
        """A new key for an account, made if need be. The key itself is in the result, and nowhere else. Raises
        CallerError where a limit is less than 1."""
        if any(limit is not None and limit < 1 for limit in (rpm, concurrency)):
            raise CallerError("rpm and concurrency must be at least 1")
        owner = await self.account(account)
        key = f"sk-{mode}-{secrets.token_urlsafe(32)}"
        made = {"id": new_id(), "name": name, "mode": mode}
        hashed = hash_key(self._pepper, key)
        given = {"account": owner, "prefix": key[:14], "hash": hashed, "rpm": rpm, "concurrency": concurrency}
        await self._ctx.store.write(keys.insert(**made, **given))
        return {"id": made["id"], "name": name, "key": key, "mode": mode, "account": account}

    async def revoke(self, key: str) -> None:
        await self._ctx.store.write(keys.revoke(key))
        self._known = {}

    async def account(self, name: str, *, make: bool = True) -> str:
        """The id of the account of this name. Raises NotFound unless it may be made."""
        row = await accounts.find(self._ctx.store, name)
        if row is not None:
            return str(row[0])
        if not make:
            raise NotFound(f"no account named {name!r}; see: penstock accounts list")
        return await self.open_account(name)

    async def open_account(self, name: str) -> str:
        """A new account, with test money and a webhook secret of its own."""
        if not name or len(name) > 100 or name != name.strip():
            raise CallerError("an account needs a name of 1 to 100 characters")
        account = new_id()
        secret = "whsec_" + base64.b64encode(os.urandom(24)).decode()
        await self._ctx.store.write(
            *accounts.open_account(account, name, self._ctx.box.seal(secret, f"account/{account}")),
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


def _digest(key: str) -> bytes:
    """What a key is remembered by: its whole hash. Unlike the keyed one of the store it never lets another thread in
    between (OpenSSL's one-shot HMAC gives the GIL away), which on the hottest path costs more than itself."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
