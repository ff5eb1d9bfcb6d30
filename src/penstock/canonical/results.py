"""What commands result in, for dialects to write: one value for each kind of answer that is not a task or a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from penstock.canonical.task import Event, File, Task


@dataclass(frozen=True, slots=True)
class Made:
    """A new task, or the one that an earlier request with the same idempotency key made.

    `waited`: the client asked to wait. `inlined` are `data:` URLs of its small outputs by file id, for clients that can
    use nothing else.
    """

    task: Task
    waited: bool = False
    inlined: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Following:
    """A task and its events as they come; None in the stream where nothing happened for a while."""

    task: Task
    events: AsyncIterator[Event | None]


@dataclass(frozen=True, slots=True)
class VersionCard:
    """One version of a model, as clients see it. `openapi_schema` has components.schemas.Input and .Output."""

    id: str
    created_at: str
    cog_version: str
    openapi_schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model, as clients see it."""

    owner: str
    name: str
    description: str
    official: bool
    created_at: str
    versions: tuple[VersionCard, ...]
    run_count: int = 0
    cover: str | None = None
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    example: dict[str, Any] | None = None
    tags: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class CollectionCard:
    slug: str
    name: str
    description: str
    full_description: str | None = None
    models: tuple[ModelCard, ...] = ()


@dataclass(frozen=True, slots=True)
class HardwareCard:
    name: str
    sku: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    query: str
    models: tuple[ModelCard, ...]
    collections: tuple[CollectionCard, ...]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment of a caller's: a name of their own for a model's version. `owner` is the account's name."""

    owner: str
    name: str
    model: str
    version: str
    configuration: dict[str, Any]
    release: int
    released_at: int


@dataclass(frozen=True, slots=True)
class Body:
    """A file's bytes, from `start` up to `end` (exclusive) of `file.size`. `partial`: a range was asked for."""

    file: File
    start: int
    end: int
    partial: bool
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call resulted in, in the client's own format: a whole body, or a stream of whole events, which raises what
    goes wrong on the way. `dropped` names what the vendor could not be told."""

    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    content_type: str = "application/json"
    beat: bytes = b""
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model that can be called. The limits are tokens, 0 where unknown; `created_at` is in seconds since 1970."""

    name: str
    vendor: str
    title: str
    created_at: int
    input_limit: int = 0
    output_limit: int = 0
    embeds: bool = False
