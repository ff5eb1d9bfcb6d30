"""SQL: codes that put money into the account that redeems them, once."""

from __future__ import annotations

from sqlalchemy import or_, select, update

from penstock.canonical.usage import Micros
from penstock.clock import Nanos, now
from penstock.errors import NotFound, PenstockError
from penstock.store.connection import P, Row, Step, Store, compiled, inserting
from penstock.store.tables import accounts, codes

_CODE = inserting(codes)
_FIND = compiled(select(codes.c.id, codes.c.amount, codes.c.reason).where(codes.c.hash == P.hash))
_REDEEM = compiled(
    update(codes)
    .where(codes.c.id == P.id, codes.c.redeemed_at.is_(None), codes.c.revoked_at.is_(None))
    .where(or_(codes.c.expires_at.is_(None), codes.c.expires_at > P.at))
    .values(redeemed_at=P.at, redeemed_by=P.account)
)
_REVOKE = compiled(
    update(codes)
    .where(or_(codes.c.id == P.id, codes.c.prefix == P.id), codes.c.redeemed_at.is_(None), codes.c.revoked_at.is_(None))
    .values(revoked_at=P.at)
)
_EVERY = compiled(
    select(*(column for column in codes.c if column.name not in ("hash", "redeemed_by")), accounts.c.name)
    .select_from(codes.outerjoin(accounts, accounts.c.id == codes.c.redeemed_by))
    .order_by(codes.c.id)
)


def insert(id: str, prefix: str, hashed: bytes, amount: Micros, reason: str, expires_at: Nanos | None) -> Step:
    given = {"id": id, "prefix": prefix, "hash": hashed, "amount": amount, "reason": reason, "expires_at": expires_at}
    return _CODE(created_at=now(), **given, **dict.fromkeys(("revoked_at", "redeemed_at", "redeemed_by")))


def redeem(id: str, account: str, otherwise: PenstockError) -> Step:
    """Once, and only while it holds; else `otherwise` is raised."""
    return _REDEEM(id=id, account=account, at=now()).must_change(1, otherwise)


def revoke(code: str) -> Step:
    """By id, or by how it begins."""
    words = f"no code {code!r} that could still be redeemed, or more than one that begins so"
    return _REVOKE(id=code, at=now()).must_change(1, NotFound(words))


async def find(store: Store, hashed: bytes) -> Row | None:
    """(id, amount, reason)."""
    return await store.one(_FIND, hash=hashed)


async def every(store: Store) -> list[Row]:
    """(id, prefix, amount, reason, created_at, expires_at, revoked_at, redeemed_at, name of the account)."""
    return await store.scan(_EVERY)
