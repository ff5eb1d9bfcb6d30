"""SQL: names of the operator's for models."""

from __future__ import annotations

from sqlalchemy import delete, select, update

from penstock.clock import now
from penstock.errors import NotFound
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import aliases

_ALIAS = inserting(aliases, unless_present=True)
_CHANGE = compiled(update(aliases).where(aliases.c.name == P.name).values(targets=P.targets))
_REMOVE = compiled(delete(aliases).where(aliases.c.name == P.name))
_EVERY = compiled(select(aliases.c.name, aliases.c.targets).order_by(aliases.c.name))


def put(name: str, targets: str) -> tuple[Step, Step]:
    """Set it, whether it was there or not."""
    return _ALIAS(name=name, targets=targets, created_at=now()), _CHANGE(name=name, targets=targets).must_change(1)


def remove(name: str) -> Step:
    return _REMOVE(name=name).must_change(1, NotFound(f"no alias named {name!r}"))


async def every(store: Store) -> list[Row]:
    """(name, targets as JSON)."""
    return await store.all(_EVERY)
