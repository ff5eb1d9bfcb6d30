"""SQL: the books of calls (epochs, allowances, rules, charges) and the request log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, literal_column, select, update

from penstock.canonical.usage import Micros
from penstock.clock import Nanos, now
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import allowances, calls, charges, entries, epochs, rules

EPOCH_BITS = 40
"""An id is its epoch's number, shifted by so much, and a counter."""

NEWEST = 2**63 - 1
COLUMNS = tuple(calls.c.keys())

_OPEN = inserting(epochs)
_LAST = compiled(select(func.max(epochs.c.id)))
_SUMMED = compiled(update(epochs).where(epochs.c.id == P.epoch, epochs.c.closed_at.is_(None)).values(summed=P.through))
_CLOSE = compiled(update(epochs).where(epochs.c.id == P.epoch).values(closed_at=P.at))
_UNCLOSED = compiled(select(epochs.c.id).where(epochs.c.closed_at.is_(None)).order_by(epochs.c.id))

_ALLOWANCE = inserting(allowances, unless_present=True)
_DRAW = compiled(
    update(allowances)
    .where(allowances.c.epoch == P.epoch, allowances.c.account == P.account, allowances.c.mode == P.mode)
    .values(drawn=allowances.c.drawn + P.amount, settled=P.settled, through=P.through)
)
_ALLOWANCES = compiled(select(*allowances.c).where(allowances.c.epoch == P.epoch))
_CHARGED = compiled(
    select(charges.c.account, charges.c.mode, func.sum(charges.c.amount), func.max(charges.c.id))
    .select_from(
        charges.join(
            allowances,
            (allowances.c.epoch == P.epoch)
            & (allowances.c.account == charges.c.account)
            & (allowances.c.mode == charges.c.mode),
        )
    )
    .where(charges.c.id > P.after, charges.c.id < P.before, charges.c.id > allowances.c.through)
    .group_by(charges.c.account, charges.c.mode)
)

_RULE = inserting(rules, unless_present=True)
_CHARGE = inserting(charges)
_CALL = inserting(calls, unless_present=True)
_FORGET = compiled(delete(calls).where(calls.c.at < P.before))
_CALLS = compiled(
    select(*calls.c)
    .where(calls.c.account == P.account, calls.c.mode == P.mode, calls.c.id < P.cursor)
    .order_by(calls.c.id.desc())
    .limit(P.limit)
)
_CHARGES = compiled(
    select(charges.c.account, charges.c.mode, func.sum(charges.c.amount)).group_by(charges.c.account, charges.c.mode)
)
_CHARGES_SUMMED = compiled(
    select(charges.c.account, charges.c.mode, func.sum(charges.c.amount))
    .select_from(charges.outerjoin(epochs, epochs.c.id == charges.c.id.op(">>")(literal_column(str(EPOCH_BITS)))))
    .where(epochs.c.summed.is_(None) | (charges.c.id <= epochs.c.summed) | epochs.c.closed_at.is_not(None))
    .group_by(charges.c.account, charges.c.mode)
)
_DRAWN = compiled(
    select(
        allowances.c.account, allowances.c.mode, func.sum(allowances.c.drawn), func.sum(allowances.c.settled)
    ).group_by(allowances.c.account, allowances.c.mode)
)
_BOOKED = compiled(
    select(entries.c.account, entries.c.mode, func.sum(entries.c.amount))
    .where(entries.c.kind.in_(["draw", "return"]))
    .group_by(entries.c.account, entries.c.mode)
)
_WRONG = compiled(
    select(allowances.c.epoch, allowances.c.account, allowances.c.mode, allowances.c.drawn, allowances.c.settled)
    .select_from(allowances.join(epochs, epochs.c.id == allowances.c.epoch))
    .where(epochs.c.closed_at.is_not(None), allowances.c.drawn != allowances.c.settled)
)


async def next_epoch(store: Store) -> int:
    row = await store.one(_LAST)
    return (row[0] or 0) + 1 if row else 1


def open_epoch(epoch: int) -> Step:
    return _OPEN(id=epoch, opened_at=now(), closed_at=None, summed=0)


def summed(epoch: int, through: int) -> Step:
    """The charges of this epoch up to that one are in the sums."""
    return _SUMMED(epoch=epoch, through=through).must_change(1)


def close_epoch(epoch: int) -> Step:
    return _CLOSE(epoch=epoch, at=now()).must_change(1)


async def unclosed(store: Store) -> list[int]:
    return [row[0] for row in await store.all(_UNCLOSED)]


def draw(epoch: int, account: str, mode: str, amount: Micros, settled: Micros, through: int) -> tuple[Step, ...]:
    """Add to what an epoch drew (less, where negative), and note how far its charges were summed."""
    named = {"epoch": epoch, "account": account, "mode": mode}
    return (
        _ALLOWANCE(drawn=0, settled=0, through=0, **named),
        _DRAW(amount=amount, settled=settled, through=through, **named).must_change(1),
    )


async def allowances_of(store: Store, epoch: int) -> list[Row]:
    """(epoch, account, mode, drawn, settled, through)."""
    return await store.all(_ALLOWANCES, epoch=epoch)


async def charged_since(store: Store, epoch: int) -> list[Row]:
    """(account, mode, sum, last id) of an epoch's charges that its allowances had not summed."""
    bounds = {"after": (epoch << EPOCH_BITS) - 1, "before": (epoch + 1) << EPOCH_BITS}
    rows = await store.scan(_CHARGED, epoch=epoch, **bounds)
    return [(account, mode, int(total), last) for account, mode, total, last in rows]


def rule(id: str, text: str) -> Step:
    return _RULE(id=id, rule=text)


def charge_all(rows: Sequence[tuple[Any, ...]]) -> Step:
    """(id, account, mode, key, model, rule, units, amount, uncovered, estimated, at) each."""
    return _CHARGE.many(rows)


def log_all(rows: Sequence[tuple[Any, ...]]) -> Step:
    """One tuple a call, in the table's order."""
    return _CALL.many(rows)


def forget(before: Nanos) -> Step:
    return _FORGET(before=before)


async def page(store: Store, account: str, mode: str, cursor: int, limit: int) -> list[Row]:
    """The request log of an account, newest first, before this id; columns in the table's order."""
    return await store.all(_CALLS, account=account, mode=mode, cursor=cursor, limit=limit)


async def charge_sums(store: Store, *, summed: bool = False) -> list[Row]:
    """(account, mode, sum of charges). `summed`: of those alone that are in `spending`."""
    rows = await store.scan(_CHARGES_SUMMED if summed else _CHARGES)
    return [(account, mode, int(total)) for account, mode, total in rows]


async def drawn_sums(store: Store) -> list[Row]:
    """(account, mode, drawn less given back, settled as far as it was noted)."""
    return [(a, m, int(drawn), int(settled)) for a, m, drawn, settled in await store.scan(_DRAWN)]


async def booked_sums(store: Store) -> list[Row]:
    """(account, mode, sum of the entries that draw and give back)."""
    return [(account, mode, int(total)) for account, mode, total in await store.scan(_BOOKED)]


async def wrong_allowances(store: Store) -> list[Row]:
    """Allowances of closed epochs that were not given back to the micro: (epoch, account, mode, drawn, settled)."""
    return await store.scan(_WRONG)
