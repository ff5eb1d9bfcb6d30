"""SQL: responses that are kept, so that clients can fetch them and go on from them."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict
from sqlalchemy import delete, select, update

from penstock.clock import Nanos, now
from penstock.store.connection import P, Step, Store, compiled, inserting
from penstock.store.tables import responses

_INSERT = inserting(responses, unless_present=True)
_UPDATE = compiled(update(responses).where(responses.c.id == P.id).values(status=P.status, response=P.response))
_OWN = compiled(
    select(*responses.c)
    .where(responses.c.id == P.id, responses.c.account == P.account, responses.c.mode == P.mode)
    .where(responses.c.expires_at > P.now)
)
_BY_ID = compiled(select(*responses.c).where(responses.c.id == P.id))
_DELETE = compiled(delete(responses).where(responses.c.id == P.id, responses.c.account == P.account))
_FORGET = compiled(delete(responses).where(responses.c.expires_at < P.before))


class Stored(msgspec.Struct, frozen=True):
    """A response of the responses API: `input` is the JSON of all its input items, those of earlier turns too;
    `response` the object itself. `task` makes it, where it is made in the background."""

    id: str
    account: str
    mode: str
    key: str
    model: str
    status: str
    task: str | None
    input: str
    response: str
    created_at: Nanos
    expires_at: Nanos


def insert(stored: Stored) -> Step:
    """The same id again changes nothing."""
    return _INSERT(**asdict(stored))


def change(id: str, status: str, response: bytes) -> Step:
    """A response that was deleted meanwhile stays so."""
    return _UPDATE(id=id, status=status, response=response.decode())


def remove(id: str, account: str) -> Step:
    return _DELETE(id=id, account=account)


def forget(before: Nanos) -> Step:
    """Remove those whose time is over."""
    return _FORGET(before=before)


async def own(store: Store, id: str, account: str, mode: str) -> Stored | None:
    row = await store.one(_OWN, id=id, account=account, mode=mode, now=now())
    return Stored(*row) if row else None


async def get(store: Store, id: str) -> Stored | None:
    row = await store.one(_BY_ID, id=id)
    return Stored(*row) if row else None
