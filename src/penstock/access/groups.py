"""Groups: callers who share models, channels, and prices."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from penstock.access import fields
from penstock.canonical.who import Group
from penstock.context import Context
from penstock.errors import CallerError, NotFound
from penstock.store import groups

DEFAULT = Group()
"""Always there, and changed as any other."""
CHECKS: Mapping[str, fields.Check] = {
    "models": fields.patterns,
    "channels": fields.patterns,
    "multiplier": fields.multiplier,
    "policy": fields.policy,
    "rpm": fields.limit,
    "tpm": fields.limit,
    "concurrency": fields.limit,
}
_NEW = {
    "models": None,
    "channels": None,
    "multiplier": DEFAULT.multiplier,
    "policy": DEFAULT.policy,
    "rpm": None,
    "tpm": None,
    "concurrency": None,
}


class Groups:
    """All of them, in memory; every change goes through here. `listeners` are told of each."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._groups = {DEFAULT.name: DEFAULT}
        self.listeners: list[Callable[[], None]] = []

    async def load(self) -> None:
        read = [_group(row) for row in await groups.every(self._ctx.store)]
        found = {DEFAULT.name: DEFAULT} | {group.name: group for group in read}
        if found != self._groups:
            self._groups = found
            for tell in self.listeners:
                tell()

    def get(self, name: str) -> Group:
        """The group of this name, else the default one."""
        return self._groups.get(name) or self._groups[DEFAULT.name]

    def named(self, name: str) -> Group:
        """Raises NotFound."""
        if name not in self._groups:
            raise NotFound(f"no group named {name!r}; see: penstock groups list")
        return self._groups[name]

    def every(self) -> list[Group]:
        return list(self._groups.values())

    async def put(self, name: str, **given: Any) -> Group:
        """Make a group, or change these fields of it (`CHECKS`; `multiplier` is millionths). Raises CallerError."""
        columns = fields.checked(CHECKS, given)
        changed = [groups.change(name, **columns)] if columns else []
        await self._ctx.store.write(groups.unless_present(name=fields.name("name", name), **_NEW), *changed)
        await self.load()
        return self._groups[name]

    async def remove(self, name: str) -> None:
        """Raises Conflict where keys or accounts are in it."""
        if name == DEFAULT.name:
            raise CallerError("the default group is always there; change it: penstock groups set default")
        self.named(name)
        await self._ctx.store.write(groups.remove(name))
        await self.load()


def _group(row: tuple[Any, ...]) -> Group:
    read = dict(zip(groups.COLUMNS, row, strict=True))
    return Group(**read | {field: _words(read[field]) for field in ("models", "channels")})


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))
