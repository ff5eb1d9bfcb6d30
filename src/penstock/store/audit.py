"""SQL: what operators did. Rows are only ever added; the database itself refuses to change or remove them."""

from __future__ import annotations

from sqlalchemy import or_, select

from penstock.clock import Nanos, now
from penstock.ids import new_id
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import audit

BEGUN = "begun"
NEWEST = "~"
"""A cursor beyond every id."""
COLUMNS = ("id", "at", "actor", "act", "given", "outcome", "ended_at")

_ROW = inserting(audit)
_end = audit.alias("ended")
_PAGE = compiled(
    select(*(audit.c[name] for name in COLUMNS[:5]), _end.c.outcome, _end.c.at)
    .select_from(audit.outerjoin(_end, _end.c.of == audit.c.id))
    .where(
        audit.c.of.is_(None),
        audit.c.id < P.cursor,
        audit.c.at >= P.since,
        or_(audit.c.act == P.act, P.act == ""),
        or_(audit.c.actor == P.actor, P.actor == ""),
    )
    .order_by(audit.c.id.desc())
    .limit(P.limit)
)


def begun(id: str, actor: str, act: str, given: str) -> Step:
    """To be on disk before the act begins. `given` is JSON."""
    return _ROW(id=id, at=now(), actor=actor, act=act, given=given, outcome=BEGUN, of=None)


def ended(begun: str, actor: str, act: str, outcome: str) -> Step:
    """`outcome`: ok, or an error's code."""
    return _ROW(id=new_id(), at=now(), actor=actor, act=act, given="{}", outcome=outcome, of=begun)


async def page(store: Store, act: str, actor: str, since: Nanos, cursor: str, limit: int) -> list[Row]:
    """Newest first, one row an act (`COLUMNS`); the last two are None where no outcome was written. An empty filter
    means all."""
    return await store.scan(_PAGE, act=act, actor=actor, since=since, cursor=cursor, limit=limit)
