"""SQL: what an account's statements are made of: what is held, one charge and what was refunded of it, its keys'
names."""

from __future__ import annotations

from sqlalchemy import and_, bindparam, func, insert, or_, select

from penstock.canonical.usage import Micros
from penstock.clock import now
from penstock.errors import PenstockError
from penstock.ids import new_id
from penstock.store.connection import P, Row, Step, Store, compiled
from penstock.store.tables import calls, charges, entries, keys, rules, spending, tasks

_HELD = compiled(
    select(func.sum(tasks.c.hold)).where(
        tasks.c.charge.is_(None), tasks.c.account == P.account, tasks.c.mode == P.mode, tasks.c.state != "waiting"
    )
)
_SPENT = compiled(
    select(func.sum(spending.c.amount), func.sum(spending.c.runs)).where(
        spending.c.account == P.account, spending.c.mode == P.mode
    )
)
_KEYS = compiled(select(keys.c.id, keys.c.name).where(keys.c.account == P.account, keys.c.mode == P.mode))
_THEIRS = and_(charges.c.account == P.account, charges.c.mode == P.mode)
_CHARGE = compiled(
    select(*charges.c, rules.c.rule.label("text"))
    .join(rules, rules.c.id == charges.c.rule)
    .where(charges.c.id == P.id, or_(P.account == "", _THEIRS))
)
_CALL = compiled(
    select(*calls.c)
    .where(or_(calls.c.id == P.number, calls.c.request == P.request))
    .where(or_(P.account == "", and_(calls.c.account == P.account, calls.c.mode == P.mode)))
    .order_by(calls.c.id)
)
_REFUNDED = select(func.coalesce(func.sum(entries.c.amount), 0)).where(
    entries.c.work == P.work, entries.c.kind == "refund"
)
_CHARGED = select(charges.c.amount).where(charges.c.id == P.charge)
_REFUND = compiled(
    insert(entries).from_select(
        [column.name for column in entries.c],
        select(*(bindparam(f"p_{column.name}", type_=column.type) for column in entries.c)).where(
            _REFUNDED.scalar_subquery() + bindparam("p_amount", type_=entries.c.amount.type)
            <= _CHARGED.scalar_subquery()
        ),
    )
)


def work_of(charge: int) -> str:
    """What the entries of a call's refunds are entered under."""
    return f"call/{charge}"


async def held(store: Store, account: str, mode: str) -> Micros:
    """By unfinished tasks."""
    [(held,)] = await store.scan(_HELD, account=account, mode=mode)
    return int(held or 0)


async def spent(store: Store, account: str, mode: str) -> tuple[Micros, int]:
    """What was ever charged, less what was refunded, and for how many pieces of work."""
    [(amount, runs)] = await store.scan(_SPENT, account=account, mode=mode)
    return int(amount or 0), int(runs or 0)


async def key_names(store: Store, account: str, mode: str) -> dict[str, str]:
    return dict(await store.all(_KEYS, account=account, mode=mode))


async def charge(store: Store, id: int, account: str = "", mode: str = "") -> Row | None:
    """A call's charge: every column of the table, and the rule's text. `account` empty: whoever's it is."""
    return await store.one(_CHARGE, id=id, account=account, mode=mode)


async def calls_of(store: Store, number: int, request: str, account: str = "", mode: str = "") -> list[Row]:
    """The request log's rows of this number or request, in the table's order of columns."""
    return await store.all(_CALL, number=number, request=request, account=account, mode=mode)


def refund(charge: int, account: str, mode: str, amount: Micros, detail: str, otherwise: PenstockError) -> Step:
    """Append to the books, unless more would be refunded than was charged: then `otherwise` is raised.

    On PostgreSQL the balance has to be written before it in the same transaction: that row's lock is what makes one
    refund see the other.
    """
    given = {"account": account, "mode": mode, "kind": "refund", "work": work_of(charge), "amount": amount}
    row = given | {"id": new_id(), "detail": detail, "uncovered": 0, "at": now()}
    return _REFUND(charge=charge, **row).must_change(1, otherwise)
