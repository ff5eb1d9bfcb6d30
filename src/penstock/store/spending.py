"""SQL: what each key spent on each model on each day, summed up; for calls see `ledger.charges`."""

from __future__ import annotations

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert

from penstock.canonical.usage import Micros
from penstock.store.calls import EPOCH_BITS
from penstock.store.connection import P, Row, Step, Store, compiled
from penstock.store.tables import charges, entries, epochs, keys, spending, tasks

SUMS = ("runs", "input_tokens", "output_tokens", "amount")
_NEW = insert(spending).values({column: getattr(P, column.name) for column in spending.c})
_ADD = compiled(
    _NEW.on_conflict_do_update(
        index_elements=list(spending.primary_key),
        set_={name: spending.c[name] + _NEW.excluded[name] for name in SUMS},
    )
)
_OF_ACCOUNT = compiled(
    select(*(spending.c[name] for name in ("day", "key", "model", *SUMS)))
    .where(spending.c.account == P.account, spending.c.mode == P.mode)
    .where(spending.c.day >= P.first, spending.c.day <= P.last)
    .order_by(spending.c.day, spending.c.key, spending.c.model)
)
_BY_KEY = compiled(
    select(
        spending.c.key,
        func.sum(spending.c.amount),
        func.sum(case((spending.c.day >= P.month, spending.c.amount), else_=0)),
        func.sum(case((spending.c.day == P.today, spending.c.amount), else_=0)),
    ).group_by(spending.c.key)
)
_UNSUMMED = compiled(
    select(*(charges.c[name] for name in ("account", "mode", "key", "model", "units", "amount", "at")))
    .select_from(
        epochs.join(
            charges,
            (charges.c.id > epochs.c.summed)
            & (charges.c.id > epochs.c.id * (1 << EPOCH_BITS))
            & (charges.c.id < (epochs.c.id + 1) * (1 << EPOCH_BITS)),
        )
    )
    .where(epochs.c.closed_at.is_(None), (epochs.c.id == P.epoch) | (P.epoch == 0))
)
_ROOTS = compiled(select(keys.c.id, keys.c.root).where(keys.c.root.is_not(None)))
_HELD = compiled(select(tasks.c.key, tasks.c.hold, tasks.c.created_at).where(tasks.c.charge.is_(None)))
_SUMS = compiled(
    select(spending.c.account, spending.c.mode, func.sum(spending.c.amount)).group_by(
        spending.c.account, spending.c.mode
    )
)
_TASKS = compiled(
    select(tasks.c.account, tasks.c.mode, func.sum(tasks.c.charge))
    .where(tasks.c.charge.is_not(None))
    .group_by(tasks.c.account, tasks.c.mode)
)
_REFUNDS = compiled(
    select(entries.c.account, entries.c.mode, func.sum(entries.c.amount))
    .where(entries.c.kind == "refund")
    .group_by(entries.c.account, entries.c.mode)
)


def add(
    account: str,
    mode: str,
    day: str,
    key: str,
    model: str,
    *,
    runs: int = 0,
    input_tokens: int = 0,
    output_tokens: int = 0,
    amount: Micros = 0,
) -> Step:
    """Add to a sum; less, where negative. `day` is the one on which the work began, as `2026-03-04`."""
    sums = {"runs": runs, "input_tokens": input_tokens, "output_tokens": output_tokens, "amount": amount}
    return _ADD(account=account, mode=mode, day=day, key=key, model=model, **sums)


async def of_account(store: Store, account: str, mode: str, first_day: str, last_day: str) -> list[Row]:
    """(day, key, model, runs, input_tokens, output_tokens, amount), from the first day to the last."""
    return await store.scan(_OF_ACCOUNT, account=account, mode=mode, first=first_day, last=last_day)


async def unsummed(store: Store, epoch: int | None = None) -> list[Row]:
    """(account, mode, key, model, units, amount, at) of each charge, in this epoch or in all open ones, that is not in
    the sums yet."""
    return await store.scan(_UNSUMMED, epoch=epoch or 0)


async def by_key(store: Store, month: str, today: str) -> list[Row]:
    """(key, in all, since the first day of the month, today)."""
    rows = await store.scan(_BY_KEY, month=month, today=today)
    return [(key, int(total), int(this_month), int(this_day)) for key, total, this_month, this_day in rows]


async def roots(store: Store) -> list[Row]:
    """(key, the first of the keys that it was rotated from)."""
    return await store.scan(_ROOTS)


async def held(store: Store) -> list[Row]:
    """(key, hold, created_at) of every unfinished task."""
    return await store.scan(_HELD)


async def sums(store: Store) -> list[tuple[str, str, int, int, int]]:
    """(account, mode, spent as summed up, charged for tasks, refunded)."""
    found = [{(a, m): int(total) for a, m, total in await store.scan(query)} for query in (_SUMS, _TASKS, _REFUNDS)]
    return [(*who, *(each.get(who, 0) for each in found)) for who in sorted(set().union(*found))]
