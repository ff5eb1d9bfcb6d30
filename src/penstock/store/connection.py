"""The database as the rest of the house sees it: queries compiled once, and writes that are values.

A write is an ordered list of steps; `Store.write` runs them as one transaction. A step that changes another number of
rows than it must undoes them all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import msgspec
from sqlalchemy import BindParameter, Dialect, Executable, Table, bindparam
from sqlalchemy.dialects.postgresql import insert

from penstock.errors import PenstockError, Stale

Row = tuple[Any, ...]


class _Params:
    """`P.task` is the parameter `task` of a statement; the prefix keeps it apart from the column of that name."""

    def __getattr__(self, name: str) -> BindParameter[Any]:
        return bindparam(f"p_{name}", None)  # with a value, so that lists beside it can be spelt out


P: Any = _Params()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement in one database's own words: its SQL, what lines up its parameters, and the values that it brings
    itself."""

    sql: str
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    own: Mapping[str, Any]

    def line_up(self, params: dict[str, Any]) -> tuple[Any, ...]:
        return self.pick({**self.own, **params} if self.own else params)


class Statement:
    """A Core statement, compiled once per database. Called with its parameters it is a step of a write."""

    __slots__ = ("_compiled", "clause")

    def __init__(self, clause: Executable) -> None:
        self.clause = clause
        self._compiled: dict[str, Compiled] = {}

    def __call__(self, **params: Any) -> Step:
        return Step(self, params)

    def many(self, rows: Sequence[tuple[Any, ...]]) -> Step:
        """A step that runs once for each row; a row gives the parameters in the statement's own order, which is the
        table's for `inserting`."""
        return Step(self, {}, many=rows)

    def compiled(self, dialect: Dialect) -> Compiled:
        known = self._compiled.get(dialect.name)
        return known if known is not None else self._compile(dialect)

    def _compile(self, dialect: Dialect) -> Compiled:
        made = self.clause.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
        names = made.positiontup or []
        own = {f"={name}": made.params[name] for name in names if not name.startswith("p_")}
        pick = _picker([name[2:] if name.startswith("p_") else f"={name}" for name in names])
        known = self._compiled[dialect.name] = Compiled(str(made), pick, own)
        return known


def _picker(names: list[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """These values of a mapping in this order; `itemgetter`, which is quick, gives a tuple from two names on."""
    return itemgetter(*names) if len(names) > 1 else lambda params: tuple([params[name] for name in names])


def compiled(clause: Executable) -> Statement:
    return Statement(clause)


def inserting(table: Table, *, unless_present: bool = False) -> Statement:
    """Insert one whole row. `unless_present`: a row with the same key or unique value makes it change nothing."""
    clause = insert(table).values({column: bindparam(f"p_{column.name}", type_=column.type) for column in table.c})
    return Statement(clause.on_conflict_do_nothing() if unless_present else clause)


class Step(msgspec.Struct, frozen=True):
    """One statement of a write. `rows`: how many it must change, None for any; `otherwise` is raised if it does not.

    `many`: run it for each of these rows instead of once with `params`; nothing is checked then.
    `after` runs on the loop once the transaction is on disk; a step may be that alone (`statement` None).
    """

    statement: Statement | None
    params: dict[str, Any]
    rows: int | None = None
    otherwise: PenstockError | None = None
    after: Callable[[], None] | None = None
    many: Sequence[tuple[Any, ...]] = ()

    def must_change(self, rows: int, otherwise: PenstockError | None = None) -> Step:
        return Step(self.statement, self.params, rows, otherwise, self.after, self.many)

    def check(self, changed: int) -> None:
        if self.rows is not None and changed != self.rows:
            raise self.otherwise or Stale()


class Store(Protocol):
    """One database. Point reads may run on the event loop; `scan` is for the long ones and does not."""

    kind: str

    def begin(self, *steps: Step) -> asyncio.Future[None]:
        """Have the steps run as one durable transaction; done once it is on disk.

        Fails with what the failing step says, or Stale; then nothing of it happened.
        """
        raise NotImplementedError

    async def write(self, *steps: Step) -> None:
        """Run the steps as one durable transaction; returns once it is on disk. Raises what `begin` fails with."""

    async def one(self, query: Statement, **params: Any) -> Row | None: ...

    async def all(self, query: Statement, **params: Any) -> list[Row]: ...

    async def scan(self, query: Statement, **params: Any) -> list[Row]:
        """Like `all`, for answers that may be long: off the loop."""

    async def close(self) -> None: ...


def ran(steps: Iterable[Step]) -> None:
    """Run the after-effects of steps whose transaction is on disk; one that breaks does not keep the others back."""
    for step in steps:
        if step.after is not None:
            try:
                step.after()
            except Exception:
                logging.getLogger("penstock.store").exception("after-effect failed")
