"""SQL: keys, channels, deployments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, delete, select, update

from penstock.clock import Nanos, now
from penstock.errors import Conflict, NotFound
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import accounts, channels, deployments, keys

_KEY = inserting(keys, unless_present=True)
COLUMNS = (*(column.name for column in keys.c if column.name != "hash"), "account_name", "account_group")
_KEYS = select(
    *(column for column in keys.c if column.name != "hash"),
    accounts.c.name.label("account_name"),
    accounts.c.group.label("account_group"),
).join(accounts, accounts.c.id == keys.c.account)
_BY_HASH = compiled(_KEYS.where(keys.c.hash == P.hash, keys.c.revoked_at.is_(None)))
_EVER = compiled(_KEYS.where(keys.c.hash == P.hash))
_BY_ID = compiled(_KEYS.where(keys.c.id == P.id))
_CALLED = compiled(
    _KEYS.where((keys.c.id == P.word) | (keys.c.name == P.word) | (keys.c.prefix == P.word)).order_by(keys.c.created_at)
)
_EVERY = compiled(_KEYS.order_by(keys.c.created_at, keys.c.id))
_ACTIVE = (keys.c.id == P.id) & keys.c.revoked_at.is_(None)
_REVOKE = compiled(update(keys).where(_ACTIVE).values(revoked_at=P.at))
_END = compiled(
    update(keys).where(_ACTIVE).values(expires_at=case((keys.c.expires_at < P.at, keys.c.expires_at), else_=P.at))
)

_CHANNEL = inserting(channels, unless_present=True)
_CHANNELS = compiled(select(*channels.c).order_by(channels.c.created_at))
_REPLACE = compiled(
    update(channels)
    .where(channels.c.name == P.name)
    .values(
        {
            name: getattr(P, name)
            for name in (
                *("provider", "base_url", "credential", "models", "priority", "weight"),
                *("concurrency", "rpm", "options", "disabled"),
            )
        }
    )
)
_DISABLE = compiled(update(channels).where(channels.c.name == P.name).values(disabled=P.disabled))

_DEPLOYMENT = inserting(deployments, unless_present=True)
_DEPLOYMENTS = compiled(select(*deployments.c).where(deployments.c.account == P.account).order_by(deployments.c.name))
_ONE_DEPLOYMENT = compiled(
    select(*deployments.c).where(deployments.c.account == P.account, deployments.c.name == P.name)
)
_RELEASE = compiled(
    update(deployments)
    .where(deployments.c.account == P.account, deployments.c.name == P.name, deployments.c.release == P.old)
    .values(version=P.version, configuration=P.configuration, release=P.old + 1, released_at=P.at)
)
_UNDEPLOY = compiled(delete(deployments).where(deployments.c.account == P.account, deployments.c.name == P.name))


_OPEN: dict[str, Any] = {"scopes": "relay read"} | dict.fromkeys(
    (
        *("revoked_at", "group", "rpm", "tpm", "concurrency", "expires_at", "models", "networks"),
        *("quota_total", "quota_month", "quota_day", "root"),
    )
)
"""A key without any bounds."""


def insert(**columns: Any) -> Step:
    words = "there is this key already, or there was and it was revoked"
    return _KEY(created_at=now(), **(_OPEN | columns)).must_change(1, Conflict(words))


def change(id: str, **columns: Any) -> Step:
    """These columns of an active key."""
    values = {column: getattr(P, column) for column in columns}
    return compiled(update(keys).where(_ACTIVE).values(values))(id=id, **columns).must_change(1, _gone(id))


def end(id: str, at: Nanos) -> Step:
    """An active key ends then, unless it ends before."""
    return _END(id=id, at=at).must_change(1, _gone(id))


def revoke(id: str) -> Step:
    return _REVOKE(id=id, at=now()).must_change(1, _gone(id))


def _gone(id: str) -> NotFound:
    return NotFound(f"no active key {id!r}; see: penstock keys list")


async def by_hash(store: Store, hashed: bytes) -> Row | None:
    """The `COLUMNS` of the key with this hash, unless it was revoked."""
    return await store.one(_BY_HASH, hash=hashed)


async def ever(store: Store, hashed: bytes) -> Row | None:
    """The `COLUMNS` of the key with this hash, revoked or not."""
    return await store.one(_EVER, hash=hashed)


async def by_id(store: Store, id: str) -> Row | None:
    """The `COLUMNS` of the key, revoked or not."""
    return await store.one(_BY_ID, id=id)


async def called(store: Store, word: str) -> list[Row]:
    """The `COLUMNS` of every key of this id, name, or prefix."""
    return await store.all(_CALLED, word=word)


async def every(store: Store) -> list[Row]:
    """The `COLUMNS` of all keys, oldest first."""
    return await store.scan(_EVERY)


def insert_channel(**columns: Any) -> Step:
    words = f"there is a channel named {columns['name']!r} already"
    return _CHANNEL(created_at=now(), **columns).must_change(1, Conflict(words))


def replace_channel(**columns: Any) -> Step:
    return _REPLACE(**columns).must_change(1)


def disable_channel(name: str, *, disabled: bool) -> Step:
    return _DISABLE(name=name, disabled=disabled).must_change(1, NotFound(f"no channel named {name!r}"))


async def all_channels(store: Store) -> list[Row]:
    """Every column, in the table's order."""
    return await store.all(_CHANNELS)


def insert_deployment(account: str, name: str, model: str, version: str, configuration: str) -> Step:
    at = now()
    given = {"account": account, "name": name, "model": model, "version": version, "configuration": configuration}
    words = f"there is a deployment named {name!r} already"
    return _DEPLOYMENT(release=1, created_at=at, released_at=at, **given).must_change(1, Conflict(words))


def release_deployment(account: str, name: str, old: int, version: str, configuration: str) -> Step:
    given = {"account": account, "name": name, "version": version, "configuration": configuration}
    return _RELEASE(old=old, at=now(), **given).must_change(1)


def delete_deployment(account: str, name: str) -> Step:
    return _UNDEPLOY(account=account, name=name).must_change(1, NotFound())


async def deployments_of(store: Store, account: str) -> list[Row]:
    """(account, name, model, version, configuration, release, created_at, released_at)."""
    return await store.all(_DEPLOYMENTS, account=account)


async def deployment(store: Store, account: str, name: str) -> Row | None:
    return await store.one(_ONE_DEPLOYMENT, account=account, name=name)
