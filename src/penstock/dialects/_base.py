"""What a dialect is: routes that turn a client's request into a command, writers that turn the result into a reply.

A translator: it never touches a socket, a clock, or the database.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import msgspec

from penstock.canonical.commands import Command
from penstock.canonical.results import Answered, Quoted
from penstock.canonical.task import Event, Task
from penstock.errors import CallerError, InvalidField, InvalidInput, PenstockError
from penstock.wire.signing import Signer

Writer = Callable[..., "Outgoing"]
Reader = Callable[..., Command]

JSON = "application/json"
DROPPED = "x-penstock-dropped"
"""Names what a translation could not carry and did without."""
DROPPED_MOST = 2000
"""Characters; clients and proxies bound a header."""
STREAMED = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@dataclass(frozen=True, slots=True)
class Links:
    """Where things of ours are: absolute URLs on this gateway, with capabilities for clients that send no key."""

    base: str
    signer: Signer

    def capability(self, purpose: str, subject: str) -> str:
        return self.signer.sign(purpose, subject, None)

    def allows(self, purpose: str, subject: str, capability: str) -> bool:
        return self.signer.verify(purpose, subject, capability)

    def file(self, file: str, name: str) -> str:
        return f"{self.base}/files/{file}/{self.capability('file', file)}/{name}"

    def page(self, task: str) -> str:
        return f"{self.base}/p/{task}?c={self.capability('page', task)}"


@dataclass(slots=True)
class Incoming:
    """A client's request. `path` holds the route's variables; the body is there whole unless the route streams it."""

    method: str
    target: str
    headers: Mapping[str, str]
    query_string: str = ""
    path: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
    links: Links = None  # type: ignore[assignment]  # given by the server to every request

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    def bearer(self, *schemes: str) -> str | None:
        """The credential of an Authorization header with one of these schemes, whatever their case."""
        scheme, _, credential = (self.headers.get("authorization") or "").partition(" ")
        return credential.strip() or None if scheme.lower() in (schemes or ("bearer",)) else None

    @property
    def dry(self) -> bool:
        """Whether the client only asks what it would cost: `dry_run=1`. Raises CallerError where that is not clear."""
        if "dry_run" not in self.query_string:
            return False
        said = self.query.get("dry_run")
        if said not in (None, "1", "true"):
            raise CallerError("dry_run must be 1 or true, or be left out")
        return said is not None

    def json(self) -> Any:
        """The body decoded. Raises CallerError where it is not JSON, InvalidInput where it is nested too deep."""
        try:
            return msgspec.json.decode(self.body)
        except RecursionError:
            raise InvalidInput(fields=(InvalidField("", "depth", "The request body is nested too deep"),)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CallerError(f"the request body is not valid JSON: {error}") from None

    def json_object(self) -> dict[str, Any]:
        body = self.json()
        if not isinstance(body, dict):
            raise CallerError("the request body must be a JSON object")
        return body


@dataclass(slots=True)
class Outgoing:
    """A reply: a value to write as JSON, ready bytes, or a stream of them."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON
    stream: AsyncIterator[bytes] | None = None
    beat: bytes = b""
    """Sent between two pieces of a stream that is idle for long, so that it stays open."""
    broken: Callable[[PenstockError], bytes] | None = None
    """How a stream tells that it failed on the way."""

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body) + b"\n"


@dataclass(frozen=True, slots=True)
class Route:
    """One path of ours. `needs_key` False: a capability in the URL stands for the key. `streams`: the body is read as
    it comes. `scope`: what the key must be for, where what is asked does not tell. `counts`: against the key's requests
    a minute."""

    method: str
    path: str
    read: Reader
    write: Writer
    needs_key: bool = True
    streams: bool = False
    summary: str = ""
    scope: str = ""
    counts: bool = True


def route(
    method: str,
    path: str,
    write: Writer,
    *,
    needs_key: bool = True,
    streams: bool = False,
    scope: str = "",
    counts: bool = True,
) -> Callable[[Reader], Reader]:
    """Bind a method that reads a request into a command; `write` makes a reply of what the command results in."""

    def bind(read: Reader) -> Reader:
        bound = getattr(read, "routes", [])
        summary = (read.__doc__ or "").strip().partition("\n")[0]
        made = Route(method, path, read, write, needs_key, streams, summary, scope, counts)
        read.routes = [*bound, made]  # type: ignore[attr-defined]
        return read

    return bind


class Dialect:
    """One API that clients speak."""

    name: ClassVar[str]
    prefixes: ClassVar[tuple[str, ...]] = ("",)
    id_header: ClassVar[str] = ""
    """Where this API's clients look for the id of their request, besides `x-request-id`."""
    errors: ClassVar[Mapping[type[PenstockError], Any]] = {}
    """Our errors in this API's words; the nearest ancestor's word counts."""

    def claims(self, http: Incoming) -> bool:
        """Whether this request is for this API, where another has a route at the same path."""
        return True

    def routes(self) -> list[Route]:
        members = [getattr(type(self), name) for name in dir(type(self))]
        return [route for member in members for route in getattr(member, "routes", [])]

    def credential(self, http: Incoming) -> str | None:
        return http.bearer()

    def word(self, exc: PenstockError) -> Any:
        for kind in type(exc).__mro__:
            if kind in self.errors:
                return self.errors[kind]
        raise LookupError(f"{self.name} has no word for {type(exc).__name__}")

    def error(self, exc: PenstockError) -> Outgoing:
        raise NotImplementedError

    def broken(self, exc: PenstockError) -> bytes:
        """An error within a stream that has begun, as whole events."""
        raise NotImplementedError

    def write_call(self, answered: Answered, http: Incoming) -> Outgoing:
        """What a call resulted in; the writer of routes that call."""
        headers = {DROPPED: _header(", ".join(answered.dropped))} if answered.dropped else {}
        if answered.stream is None:
            return Outgoing(200, answered.body, headers, answered.content_type)
        headers |= STREAMED
        return Outgoing(200, None, headers, answered.content_type, answered.stream, answered.beat, self.broken)

    def quote(self, quoted: Quoted) -> Outgoing:
        """What work would cost: one shape, whatever the API."""
        money = {"hold": quoted.hold, "currency": "USD", "unit": "micros"}
        body = {
            "object": "quote",
            "dry_run": True,
            "model": quoted.model,
            **money,
            "balance": quoted.balance,
            "enough": quoted.enough,
            "price": quoted.price,
            "bounds": quoted.bounds,
        }
        return Outgoing(200, body, {"cache-control": "no-store"})

    def task(self, task: Task, links: Links) -> bytes:
        """A task as this API shows it, encoded: the body of a query, and of a webhook."""
        raise NotImplementedError

    def event(self, event: Event, task: Task, links: Links) -> bytes:
        """One event of a task as this API streams it."""
        raise NotImplementedError


def _header(words: str) -> str:
    """As a header can hold it: what was dropped is named as the client named it, line breaks and all."""
    return re.sub("[^ -~]", "?", words[:DROPPED_MOST])
