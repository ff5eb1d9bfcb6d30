"""Aliases: names of the operator's for models, and the order in which models are tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from penstock.context import Context
from penstock.errors import CallerError
from penstock.store import aliases as rows

Targets = tuple[str, ...]
MOST = 32
"""Targets of an alias, with those of the aliases among them."""
FOLLOWED = 100
"""Aliases that one leads to, itself too."""


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
        await self.put_all({name: targets})
        return self.targets(name)

    async def put_all(self, given: Mapping[str, Sequence[str]]) -> None:
        """Set several, all or none."""
        wanted = {name: checked(name, targets) for name, targets in given.items()}
        flattened(self._set | wanted)
        steps = [step for name, targets in wanted.items() for step in rows.put(name, json.dumps(targets))]
        await self._ctx.store.write(*steps)
        await self.load()

    async def remove(self, name: str) -> None:
        await self._ctx.store.write(rows.remove(name))
        await self.load()


def checked(name: str, targets: Sequence[str]) -> Targets:
    """Each once. Raises CallerError."""
    if not name or not targets or not all(isinstance(target, str) and target for target in targets):
        raise CallerError("an alias needs a name, and at least one model to stand for")
    return tuple(dict.fromkeys(targets))


def flattened(aliases: Mapping[str, Targets]) -> dict[str, Targets]:
    """Every alias as models alone. One that names itself means the model of that name: it has others to fall back on,
    and those may fall back on it. Raises CallerError for a circle, and for more than can sensibly be tried."""
    names = {name: targets for name, targets in aliases.items() if name not in targets}
    try:
        TopologicalSorter({name: set(targets) & names.keys() for name, targets in names.items()}).prepare()
    except CycleError as error:
        raise CallerError(f"these aliases go round in a circle: {' → '.join(reversed(error.args[1]))}") from None
    return {name: _models(aliases, name) for name in aliases}


def _models(aliases: Mapping[str, Targets], name: str) -> Targets:
    """Each alias on the way is followed once: a second time it would lead to the same models."""
    found: dict[str, None] = {}
    followed: set[str] = set()

    def follow(alias: str) -> None:
        followed.add(alias)
        if len(followed) > FOLLOWED:
            raise CallerError(f"the alias {name!r} stands for more than {FOLLOWED} aliases; make it simpler")
        for target in aliases[alias]:
            if target not in aliases or (target in followed and target in aliases[target]):
                found[target] = None
            elif target not in followed:
                follow(target)

    follow(name)
    if len(found) > MOST:
        raise CallerError(f"the alias {name!r} stands for {len(found)} models; {MOST} are the most")
    return tuple(found)
