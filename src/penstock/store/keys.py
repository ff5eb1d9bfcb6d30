"""SQL: keys, channels, deployments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from penstock.clock import now
from penstock.errors import Conflict, NotFound
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import accounts, channels, deployments, keys

_KEY = inserting(keys)
_BY_HASH = compiled(
    select(keys.c.id, keys.c.account, accounts.c.name, keys.c.mode, keys.c.name, keys.c.rpm, keys.c.concurrency)
    .join(accounts, accounts.c.id == keys.c.account)
    .where(keys.c.hash == P.hash, keys.c.revoked_at.is_(None))
)
_KEYS = compiled(
    select(
        *(keys.c[name] for name in ("id", "name", "mode", "prefix", "rpm", "concurrency", "created_at", "revoked_at")),
        accounts.c.name.label("account"),
    )
    .join(accounts, accounts.c.id == keys.c.account)
    .order_by(keys.c.created_at)
)
_REVOKE = compiled(
    update(keys)
    .where((keys.c.id == P.id) | (keys.c.name == P.id) | (keys.c.prefix == P.id), keys.c.revoked_at.is_(None))
    .values(revoked_at=P.at)
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
        *("quota_total", "quota_month", "quota_day"),
    )
)
"""A key without any bounds."""


def insert(**columns: Any) -> Step:
    return _KEY(created_at=now(), **(_OPEN | columns))


def revoke(key: str) -> Step:
    """By id, name, or prefix."""
    return _REVOKE(id=key, at=now()).must_change(1, NotFound(f"no active key {key!r}, or more than one of that name"))


async def by_hash(store: Store, hashed: bytes) -> Row | None:
    """(id, account, account name, mode, name, rpm, concurrency) of the active key with this hash."""
    return await store.one(_BY_HASH, hash=hashed)


async def every(store: Store) -> list[Row]:
    """(id, name, mode, prefix, rpm, concurrency, created_at, revoked_at, account name)."""
    return await store.all(_KEYS)


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
