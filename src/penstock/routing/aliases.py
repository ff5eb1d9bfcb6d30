"""Aliases: names of the operator's for models, and the order in which models are tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from penstock.context import Context
from penstock.errors import CallerError
from penstock.store import aliases as rows

Targets = tuple[str, ...]
MOST = 32
"""Targets of an alias, with those of the aliases among them."""


class Aliases:
    """All of them in memory; every change goes through here."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._set: dict[str, Targets] = {}
        self._flat: dict[str, Targets] = {}
        self.release = 0
        """Grows with every change."""

    async def load(self) -> None:
        self._set = {name: tuple(json.loads(targets)) for name, targets in await rows.every(self._ctx.store)}
        self._flat = flattened(self._set)
        self.release += 1

    def targets(self, model: str) -> Targets:
        """The models to try, in order; the model itself where it is no alias."""
        return self._flat.get(model) or (model,)

    def every(self) -> dict[str, Targets]:
        """As they were set, by name."""
        return dict(self._set)

    async def put(self, name: str, targets: Sequence[str]) -> Targets:
        """Set one; what it comes to. Raises CallerError where it would go round in a circle."""
        given = tuple(dict.fromkeys(targets))
        if not name or not given or not all(isinstance(target, str) and target for target in given):
            raise CallerError("an alias needs a name, and at least one model to stand for")
        flattened(self._set | {name: given})
        await self._ctx.store.write(*rows.put(name, json.dumps(given)))
        await self.load()
        return self.targets(name)

    async def remove(self, name: str) -> None:
        await self._ctx.store.write(rows.remove(name))
        await self.load()


def flattened(aliases: Mapping[str, Targets]) -> dict[str, Targets]:
    """Every alias as models alone. One that names itself means the model of that name: it has others to fall back on.
    Raises CallerError for a circle, and for more than can sensibly be tried."""
    return {name: _models(aliases, name, (name,)) for name in aliases}


def _models(aliases: Mapping[str, Targets], name: str, path: Targets) -> Targets:
    found: dict[str, None] = {}
    for target in aliases[name]:
        if target == name or target not in aliases:
            found[target] = None
        elif target in path:
            raise CallerError(f"these aliases go round in a circle: {' → '.join((*path, target))}")
        else:
            found |= dict.fromkeys(_models(aliases, target, (*path, target)))
    if len(found) > MOST:
        raise CallerError(f"the alias {name!r} stands for {len(found)} models; {MOST} are the most")
    return tuple(found)
