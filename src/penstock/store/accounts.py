"""SQL: accounts, their balances and entries, and prices."""

from __future__ import annotations

from sqlalchemy import case, func, select, update

from penstock.canonical.usage import Micros
from penstock.clock import Nanos, now
from penstock.errors import Conflict, PenstockError
from penstock.ids import new_id
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import accounts, balances, entries, prices, tasks

_ACCOUNT = inserting(accounts, unless_present=True)
_BALANCE = inserting(balances, unless_present=True)
_BY_NAME = compiled(select(*accounts.c).where((accounts.c.name == P.name) | (accounts.c.id == P.name)))
_LIST = compiled(select(*accounts.c).order_by(accounts.c.name))
_REGROUP = compiled(update(accounts).where(accounts.c.id == P.id).values(group=P.group))
_AMOUNTS = compiled(select(*balances.c))
_AMOUNT = compiled(select(balances.c.amount).where(balances.c.account == P.account, balances.c.mode == P.mode))
_ADD = compiled(
    update(balances)
    .where(balances.c.account == P.account, balances.c.mode == P.mode)
    .values(amount=balances.c.amount + P.amount)
)
_TAKE = compiled(
    update(balances)
    .where(balances.c.account == P.account, balances.c.mode == P.mode, balances.c.amount >= P.amount)
    .values(amount=balances.c.amount - P.amount)
)
_ENTRY = inserting(entries, unless_present=True)
_ENTRIES = compiled(
    select(*entries.c)
    .where(entries.c.account == P.account, entries.c.mode == P.mode, entries.c.id < P.cursor)
    .order_by(entries.c.id.desc())
    .limit(P.limit)
)
_OF_WORK = compiled(select(*entries.c).where(entries.c.work == P.work).order_by(entries.c.at, entries.c.id))

_SUMS = compiled(
    select(entries.c.account, entries.c.mode, func.sum(entries.c.amount)).group_by(entries.c.account, entries.c.mode)
)
_CLOSED = case((entries.c.kind.in_(["settle", "release"]), 1), else_=0)
_HELD = case((entries.c.kind == "hold", 1), else_=0)
_NET = case((entries.c.kind.in_(["hold", "settle", "release"]), entries.c.amount), else_=0)
_WORKS = (
    select(
        entries.c.work.label("work"),
        func.sum(_HELD).label("holds"),
        func.sum(_CLOSED).label("closes"),
        func.sum(_NET).label("net"),
    )
    .where(entries.c.work.is_not(None))
    .group_by(entries.c.work)
    .subquery()
)
_TASKS = compiled(
    select(tasks.c.id, tasks.c.state, tasks.c.hold, tasks.c.charge, _WORKS.c.holds, _WORKS.c.closes, _WORKS.c.net)
    .select_from(tasks.outerjoin(_WORKS, _WORKS.c.work == tasks.c.id))
    .where(
        (_WORKS.c.work.is_(None))
        | (_WORKS.c.holds != 1)
        | (tasks.c.state.in_(["succeeded", "failed", "canceled"]) & (_WORKS.c.closes != 1))
        | (
            tasks.c.state.in_(["succeeded", "failed", "canceled"])
            & (_WORKS.c.net != -func.coalesce(tasks.c.charge, -1))
        )
        | (tasks.c.state.not_in(["succeeded", "failed", "canceled"]) & (_WORKS.c.closes != 0))
        | (tasks.c.state.not_in(["succeeded", "failed", "canceled"]) & (_WORKS.c.net != -tasks.c.hold))
    )
)
_ORPHANS = compiled(
    select(entries.c.work, entries.c.amount)
    .select_from(entries.outerjoin(tasks, tasks.c.id == entries.c.work))
    .where(entries.c.kind == "hold", tasks.c.id.is_(None))
)

_PRICE = inserting(prices)
_BEGINNING = func.coalesce(func.nullif(prices.c.starts_at, 0), prices.c.created_at)
_PRICES = compiled(select(*prices.c).order_by(prices.c.model, _BEGINNING, prices.c.created_at, prices.c.id))


def open_account(account: str, name: str, webhook_secret: str, group: str = "default") -> tuple[Step, ...]:
    at, words = now(), f"there is an account named {name!r} already"
    return (
        _ACCOUNT(id=account, name=name, webhook_secret=webhook_secret, created_at=at, group=group).must_change(
            1, Conflict(words)
        ),
        _BALANCE(account=account, mode="live", amount=0),
        _BALANCE(account=account, mode="test", amount=0),
    )


def regroup(account: str, group: str) -> Step:
    return _REGROUP(id=account, group=group).must_change(1)


def add(account: str, mode: str, amount: Micros) -> Step:
    return _ADD(account=account, mode=mode, amount=amount).must_change(1)


def take(account: str, mode: str, amount: Micros, otherwise: PenstockError) -> Step:
    """Take from the balance if there is as much, else nothing happens and `otherwise` is raised."""
    return Step(_TAKE, {"account": account, "mode": mode, "amount": amount}, 1, otherwise)


def entry(
    account: str,
    mode: str,
    kind: str,
    amount: Micros,
    *,
    work: str | None = None,
    detail: str = "{}",
    uncovered: Micros = 0,
    id: str = "",
) -> Step:
    """Append to the books. A second hold, or a second settle or release, of the same work raises Stale; so does a
    second entry of the same id."""
    given = {"account": account, "mode": mode, "kind": kind, "work": work, "amount": amount, "detail": detail}
    return Step(_ENTRY, given | {"id": id or new_id(), "uncovered": uncovered, "at": now()}, 1)


async def find(store: Store, name: str) -> Row | None:
    """(id, name, webhook_secret, created_at, group), by name or id."""
    return await store.one(_BY_NAME, name=name)


async def every(store: Store) -> list[Row]:
    return await store.all(_LIST)


async def amounts(store: Store) -> list[Row]:
    """(account, mode, amount) of every balance."""
    return await store.scan(_AMOUNTS)


async def balance(store: Store, account: str, mode: str) -> Micros:
    row = await store.one(_AMOUNT, account=account, mode=mode)
    return row[0] if row else 0


async def entries_of(store: Store, account: str, mode: str, cursor: str = "~", limit: int = 100) -> list[Row]:
    """Newest first: (id, account, mode, kind, work, amount, detail, uncovered, at)."""
    return await store.all(_ENTRIES, account=account, mode=mode, cursor=cursor, limit=limit)


async def entries_of_work(store: Store, work: str) -> list[Row]:
    return await store.all(_OF_WORK, work=work)


async def sums(store: Store) -> list[Row]:
    """(account, mode, sum of entries)."""
    return [(account, mode, int(total)) for account, mode, total in await store.scan(_SUMS)]


async def wrong_tasks(store: Store) -> list[Row]:
    """Tasks whose entries disagree with them: (id, state, hold, charge, holds, closes, net)."""
    return await store.scan(_TASKS)


async def orphans(store: Store) -> list[Row]:
    """Holds for work that does not exist: (work, amount)."""
    return await store.scan(_ORPHANS)


def price(model: str, rule: str, source: str, channel: str = "", starts_at: Nanos = 0, id: str = "") -> Step:
    at = now()
    when = {"created_at": at, "starts_at": starts_at or at}
    return _PRICE(id=id or new_id(), model=model, rule=rule, source=source, channel=channel, **when)


async def prices_of_all(store: Store) -> list[Row]:
    """(id, model, rule, source, created_at, channel, starts_at), in the order in which they hold."""
    return await store.all(_PRICES)
