"""All that a client can ask, whatever its dialect. A dialect's routes return these; `gateway.perform` does them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


class Submit(msgspec.Struct, frozen=True):
    """Make a task. Exactly one of `model` (`owner/name`), `version`, and `deployment` names the target, unless `model`
    and `version` agree. `wait_s` holds the answer back until the task ends, at most so long."""

    dialect: str
    input: dict[str, Any]
    raw_input: bytes  # the caller's own bytes of `input`
    model: str | None = None
    version: str | None = None
    deployment: str | None = None
    in_path: bool = False  # the target was named in the path: unknown is 404, not 422
    webhook: str | None = None
    webhook_events: tuple[str, ...] = ()
    wait_s: float = 0.0
    lifetime_s: float | None = None
    idempotency_key: str | None = None
    source: str = "api"
    inlines: bool = False  # small outputs as `data:` URLs, in an answer that waited


@dataclass(slots=True)
class Call:
    """Work that lasts as long as the connection. `format` names the codec of the client's body and of its answer.

    `most_tokens` and `choices` bound the answer, None where the client did not. `options` are for the format's writer
    (`formats.Asked`), `headers` what goes along to a vendor of the same format. `request` is the id of the client's
    request, given by the server.
    """

    dialect: str
    format: str
    body: bytes
    model: str
    stream: bool = False
    most_tokens: int | None = None
    choices: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    request: str = ""


@dataclass(frozen=True, slots=True)
class Respond:
    """A call whose answer is kept (`store`), goes on from an earlier one (`previous`, its id), or is made as a task
    while nobody waits (`background`)."""

    call: Call
    store: bool = True
    background: bool = False
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class FollowResponse:
    """The events of a response that is made in the background, after the one of this number, as they come."""

    response: str
    after: int = -1


@dataclass(frozen=True, slots=True)
class CancelResponse:
    response: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """One task, by its id or its dialect's name for it."""

    task: str


@dataclass(frozen=True, slots=True)
class Cancel:
    task: str


@dataclass(frozen=True, slots=True)
class Follow:
    """A task's events after number `after`, as they come. With a `capability` no key is needed."""

    task: str
    after: int = -1
    capability: str | None = None


@dataclass(frozen=True, slots=True)
class List:
    """A page of something: tasks, files, models, versions, examples, collections, deployments, hardware, entries of the
    books, usage."""

    of: str
    name: str | None = None
    cursor: str | None = None
    limit: int = 100
    filters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Show:
    """One of something: model, version, readme, collection, deployment, file, webhook_secret, account, charge."""

    of: str
    name: str


@dataclass(frozen=True, slots=True)
class Create:
    """A new deployment of the caller's."""

    of: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    of: str
    name: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    of: str
    name: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in multipart form data, read as it arrives."""

    content_type: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Download:
    """The bytes of a file, for whoever holds its capability."""

    file: str
    capability: str
    range: str | None = None


@dataclass(frozen=True, slots=True)
class Whoami:
    """Whose key this is."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What this would cost, and nothing else."""

    command: Submit | Call | Respond


@dataclass(frozen=True, slots=True)
class Redeem:
    """Put the money that a code stands for into the account."""

    code: str


@dataclass(frozen=True, slots=True)
class Hear:
    """A vendor reports by itself. `secret` must be the channel's own."""

    secret: str
    task: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Receive:
    """A vendor puts a file of a task. `secret` must be the channel's own."""

    secret: str
    task: str
    name: str
    content_type: str
    chunks: AsyncIterator[bytes]


Command = (
    Submit
    | Call
    | Respond
    | FollowResponse
    | CancelResponse
    | Fetch
    | Cancel
    | Follow
    | List
    | Show
    | Create
    | Change
    | Delete
    | Upload
    | Download
    | Whoami
    | Quote
    | Redeem
    | Hear
    | Receive
)
