"""What a provider is: a translator between a task of ours and a vendor's requests. It never touches a socket.

A vendor's operation is a *talk*: a generator that yields requests, is sent each reply's decoded JSON, and returns the
result. The driver (`calls.talk`) adds base URL and credentials, and raises what `refusals` make of an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from penstock.canonical.media import Job, OpenJob
from penstock.canonical.task import Report
from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContentRefused,
    FateUnknown,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamTimeout,
)
from penstock.formats._base import Format, Operation, with_fields

T = TypeVar("T")


class Ask(msgspec.Struct, frozen=True):
    """One request to the vendor: a path below the channel's base URL, or a whole URL on the same origin.

    `timeout_s` None: as the settings say (`upstream_timeout_s`).
    """

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    timeout_s: float | None = None


Talk = Generator[Ask, Any, T]


def get(path: str, **headers: str) -> Ask:
    return Ask("GET", path, headers=headers)


def post(path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Ask:
    return _with_json("POST", path, body, headers)


def put(path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Ask:
    return _with_json("PUT", path, body, headers)


def _with_json(method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> Ask:
    raw = None if body is None else msgspec.json.encode(body)
    typed = {"content-type": "application/json"} if raw is not None else {}
    return Ask(method, path, raw, {**typed, **(headers or {})})


@dataclass(frozen=True, slots=True)
class Every:
    """When to ask again: a tenth of the task's age, within these bounds, so that asking stays cheap and late news rare.

    A task that takes 100 s is asked about 25 times; one that takes 2 s is noticed within `first_s`. `of_usual` is the
    part of what its model usually takes that may pass before the first look, and is the least between two: a film of
    four minutes is not asked for twice in its first second.
    """

    first_s: float = 0.5
    growing_to_s: float = 30.0
    of_usual: float = 0.0

    def next_s(self, age_s: float, usual_s: float = 0.0) -> float:
        return min(max(self.first_s, usual_s * self.of_usual, age_s / 10), self.growing_to_s)


class TaskEndpoint:
    """One kind of job at one vendor. The attributes are facts about the vendor; a channel's options may override
    `idempotent` and `findable`."""

    takes: ClassVar[type[Job]] = OpenJob
    polls: ClassVar[Every] = Every()
    cancellable: ClassVar[bool] = True
    """There is a cancel endpoint. Without one we watch on, and settle what it comes to."""
    idempotent: ClassVar[bool] = False
    """A create sent twice with the same tag is one job: a lost reply may be followed by the same request."""
    findable: ClassVar[bool] = False
    """`find(tag)` is a true answer to whether a create arrived."""
    inlines: ClassVar[bool] = False
    """Files in the input go as `data:` URLs, for vendors that fetch nothing."""
    describes: ClassVar[bool] = False
    """A server of one model, which publishes its OpenAPI document: `describe()`."""
    forgets: ClassVar[bool] = False
    """Work lives only in the vendor's process: one that can't be reached for `doubt_s` has lost it."""
    doubt_s: ClassVar[float] = 10.0
    """How long a doubt must last before it is a failure."""

    def submit(self, job: OpenJob, tag: str) -> Talk[Report]:
        """Create the job. The report's `ref` holds all that watching needs after a restart."""
        raise NotImplementedError

    def watch(self, ref: str) -> Talk[Report]:
        raise NotImplementedError

    def cancel(self, ref: str) -> Talk[Report | None]:
        """Ask the vendor to stop. None: the next `watch` will tell."""
        raise NotImplementedError

    def find(self, tag: str) -> Talk[Report | None]:
        """The job that we created with this tag, or None if the vendor surely has none."""
        raise NotImplementedError

    def describe(self) -> Talk[dict[str, Any]]:
        """The OpenAPI document of the model behind this channel."""
        raise NotImplementedError

    def hear(self, body: bytes, tag: str) -> Report | None:
        """What the vendor says by itself, at the job's `callback`; None if it is not news. Raises CallerError."""
        raise CallerError("this provider takes no callbacks")


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: <scheme> <credential>`; nothing where the channel has no credential."""

    scheme: str = "Bearer"

    def headers(self, credential: str) -> dict[str, str]:
        return {"authorization": f"{self.scheme} {credential}"} if credential else {}


@dataclass(frozen=True, slots=True)
class InHeader:
    """The credential alone, in a header of the vendor's own."""

    name: str

    def headers(self, credential: str) -> dict[str, str]:
        return {self.name: credential} if credential else {}


@dataclass(frozen=True)
class CallEndpoint:
    """One kind of call at one vendor, in one format.

    `{model}` in a path is the vendor's name for it. `headers` go with every request, `forwards` names the client's own
    that go along where it speaks the same format. `stops`: closing the connection stops the vendor's meter, so that a
    client who left is not read on for. `lacks`: fields that this vendor refuses, removed from every request.
    """

    format: Format
    path: str
    stream_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    forwards: tuple[str, ...] = ()
    stops: bool = True
    lacks: tuple[str, ...] = ()

    def asked(self, body: bytes, model: str, *, stream: bool) -> Ask:
        """The request, from a body in this vendor's format."""
        path = (self.stream_path or self.path) if stream else self.path
        if self.lacks:
            body = with_fields(body, **dict.fromkeys(self.lacks))
        typed = {"content-type": "application/json", **self.headers}
        return Ask("POST", path.replace("{model}", quote(model, safe="/:@")), body, typed)


class Transport(Protocol):
    """Answers asks in this process, for a provider that brings its own."""

    async def answer(self, ask: Ask) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body)."""

    def stream(self, ask: Ask) -> AsyncIterator[bytes]:
        """The body of an answer that comes bit by bit. Raises PenstockError where `answer` would give an error status,
        before the first bit."""
        raise NotImplementedError

    async def close(self) -> None: ...


REFUSALS: dict[int, type[PenstockError]] = {
    401: ChannelRejected,
    402: ChannelRejected,
    403: ChannelRejected,
    404: UpstreamForgot,
    408: UpstreamTimeout,
    409: UpstreamBusy,
    410: UpstreamForgot,
    423: UpstreamBusy,
    425: UpstreamBusy,
    429: UpstreamBusy,
    451: ContentRefused,
    503: UpstreamBusy,
    529: UpstreamBusy,
}
"""What a vendor's status means unless its provider knows better. Other 4xx would fail alike elsewhere."""


class Provider:
    """One vendor: how it is addressed, what it takes, and what its refusals mean."""

    name: ClassVar[str]
    base_url: ClassVar[str] = ""
    auth: ClassVar[Bearer | InHeader] = Bearer()
    probe: ClassVar[str] = "/models"
    """What can be read for nothing, to see whether the vendor answers and takes the credential."""
    tasks: ClassVar[tuple[TaskEndpoint, ...]] = ()
    calls: ClassVar[tuple[CallEndpoint, ...]] = ()
    """What it answers at once, the vendor's own format first."""
    refusals: ClassVar[Mapping[int, type[PenstockError]]] = {}

    def endpoint(self, takes: type[Job] = OpenJob) -> TaskEndpoint:
        return next(endpoint for endpoint in self.tasks if endpoint.takes is takes)

    def call(self, operation: Operation, format: str) -> CallEndpoint | None:
        """How to ask for this: in the client's own format if the vendor has it, else in the vendor's first."""
        serving = [endpoint for endpoint in self.calls if endpoint.format.operation is operation]
        return next((endpoint for endpoint in serving if endpoint.format.name == format), next(iter(serving), None))

    def transport(self, data: Path) -> Transport | None:
        """A provider that answers in this process returns what answers; `data` is a folder of its own."""
        return None

    def words(self, status: int, body: Any) -> str:
        """The vendor's own words for an error, if its body is JSON of the usual shapes."""
        if isinstance(body, dict):
            for name in ("detail", "message", "error", "title"):
                said = body.get(name)
                if isinstance(said, dict):
                    said = said.get("message")
                if isinstance(said, str) and said.strip():
                    return said.strip()[:2000]
        return ""

    def refusal(self, status: int, body: Any, retry_after_s: float | None, *, creates: bool) -> PenstockError:
        """What an error reply means. `creates`: to a request that may have made something, which a gateway's 502 leaves
        open, while an error in the vendor's own JSON does not."""
        said = self.words(status, body)
        kind = self.refusals.get(status) or REFUSALS.get(status)
        if kind is None:
            kind = CallerError if status < 500 else UpstreamError
        if creates and (status == 408 or (kind is UpstreamError and (status in (502, 504) or not said))):
            kind = FateUnknown
        return kind(said or f"the upstream answered {status}", retry_after_s=retry_after_s)
