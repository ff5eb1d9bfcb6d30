"""Values that dialects read and write, made directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from penstock.canonical.task import Event, File, State, Task
from penstock.clock import parse
from penstock.dialects._base import Dialect, Incoming, Links, Outgoing, Route
from penstock.wire.signing import Signer

ID = "7k2m9x4fhsrm40cv8d1a6bqzng"
CREATED, STARTED, COMPLETED = (
    parse(f"2026-03-04T09:10:{time}Z") for time in ("11.482999999", "11.5032187", "14.911027442")
)
LINKS = Links("https://gw.example", Signer(b"x" * 32))
PLAIN_LINKS = Links("http://127.0.0.1:8700", Signer(b"x" * 32))


def task(state: State = State.QUEUED, **changes: Any) -> Task:
    """A task in this state, its times as they would be."""
    started = STARTED if state in (State.RUNNING, State.CANCELING, State.SUCCEEDED, State.FAILED) else None
    ended = state in (State.SUCCEEDED, State.FAILED, State.CANCELED)
    fields: dict[str, Any] = {
        "id": ID,
        "name": None,
        "dialect": "replicate",
        "account": "a1",
        "key": "k1",
        "mode": "test",
        "source": "api",
        "model": "acme/glowpaint",
        "version": "hidden",
        "deployment": None,
        "input": '{"prompt": "a paper boat"}',
        "files": None,
        "state": state,
        "attempt": 1,
        "channel": None,
        "upstream_model": None,
        "ref": None,
        "refused_by": "",
        "report": None,
        "output": None,
        "logs": "",
        "metrics": "{}",
        "error": "the oven is cold" if state is State.FAILED else None,
        "error_code": "cold" if state is State.FAILED else None,
        "price": "{}",
        "hold": 40_000,
        "charge": 25_000 if ended else None,
        "webhook": None,
        "webhook_events": "",
        "created_at": CREATED,
        "moved_at": CREATED,
        "submitted_at": None,
        "started_at": started,
        "completed_at": COMPLETED if ended else None,
        "due_at": CREATED,
        "deadline": None,
        "longest_s": 600.0,
        "canceled_at": None,
        "data_removed": False,
        "seq": 0,
    }
    return Task(**fields | changes)


def file(**changes: Any) -> File:
    fields: dict[str, Any] = {
        "id": "0a",
        "account": "a1",
        "mode": "test",
        "task": None,
        "role": "upload",
        "name": "boat.png",
        "content_type": "image/png",
        "size": 10,
        "sha256": "1f0c",
        "md5": "9b2c",
        "metadata": '{"job": 17}',
        "created_at": CREATED,
        "expires_at": COMPLETED,
    }
    return File(**fields | changes)


def event(kind: str, data: str, seq: int = 0) -> Event:
    return Event(ID, seq, CREATED, kind, data)


def incoming(
    method: str = "GET", target: str = "/", body: bytes = b"", links: Links = LINKS, **headers: str
) -> Incoming:
    """A request as the server gives it to a dialect, its path decoded; header names are written with `_`."""
    path, _, query = target.partition("?")
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Incoming(method, unquote(path), named, query, body=body, links=links)


def find(dialect: Dialect, http: Incoming) -> Route:
    """The route that this request takes; its variables are put into `http.path`. Fixed parts go before variables."""
    asked, found = http.target.split("/"), []
    for prefix in dialect.prefixes:
        for route in dialect.routes():
            parts = (prefix + route.path).split("/")
            if route.method == http.method and len(parts) == len(asked):
                pairs = list(zip(parts, asked, strict=True))
                names = {part[1:-1]: said for part, said in pairs if part.startswith("{")}
                if all(part.startswith("{") or part == said for part, said in pairs):
                    found.append((len(names), route, names))
    _, route, http.path = min(found, key=lambda one: one[0])
    return route


def asked(dialect: Dialect, http: Incoming) -> Any:
    """The command that this request is."""
    return find(dialect, http).read(dialect, http)


def answered(dialect: Dialect, result: Any, http: Incoming) -> Outgoing:
    """The reply to this request if its command results in this."""
    return find(dialect, http).write(dialect, result, http)


async def stream(*parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        yield part


async def whole(outgoing: Outgoing) -> bytes:
    assert outgoing.stream is not None
    return b"".join([part async for part in outgoing.stream])
