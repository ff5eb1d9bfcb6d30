"""SQL: groups of callers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, exists, select, update

from penstock.clock import now
from penstock.errors import Conflict, NotFound
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import accounts, groups, keys

COLUMNS = tuple(column.name for column in groups.c if column.name != "created_at")

_INSERT = inserting(groups, unless_present=True)
_EVERY = compiled(select(*(groups.c[name] for name in COLUMNS)).order_by(groups.c.name))
_KEEP = compiled(update(groups).where(groups.c.name == P.name).values(name=groups.c.name))
_USED = exists().where(accounts.c.group == P.name) | exists().where(keys.c.group == P.name, keys.c.revoked_at.is_(None))
_REMOVE = compiled(delete(groups).where(groups.c.name == P.name, ~_USED))


def unless_present(**columns: Any) -> Step:
    """A new one; nothing, where there is one of this name."""
    return _INSERT(created_at=now(), **columns)


def change(name: str, **columns: Any) -> Step:
    values = {column: getattr(P, column) for column in columns}
    return compiled(update(groups).where(groups.c.name == P.name).values(values))(name=name, **columns)


def keep(name: str) -> Step:
    """Nothing of a write happens where there is no such group."""
    return _KEEP(name=name).must_change(1, NotFound(f"no group named {name!r}; see: penstock groups list"))


def remove(name: str) -> Step:
    words = f"group {name!r} can't be removed: keys or accounts are in it"
    return _REMOVE(name=name).must_change(1, Conflict(words))


async def every(store: Store) -> list[Row]:
    """The columns of `COLUMNS`."""
    return await store.all(_EVERY)
