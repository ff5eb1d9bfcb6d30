"""What commands result in, for dialects to write: one value for each kind of answer that is not a task or a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.canonical.task import Event, File, Task
from penstock.canonical.usage import Micros, Unit
from penstock.canonical.who import Caller
from penstock.clock import Nanos


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


@dataclass(frozen=True, slots=True)
class Quoted:
    """What work would hold, at which price, and whether there is as much. `bounds`: the most of each unit."""

    model: str
    hold: Micros
    balance: Micros
    enough: bool
    price: Mapping[str, Any]
    bounds: Mapping[Unit, float]


@dataclass(frozen=True, slots=True)
class Bound:
    """A quota of the asking key: what is spent of it, holds included, and when that begins anew, if ever."""

    period: str  # total, month, or day
    most: Micros
    spent: Micros
    anew_at: Nanos | None

    @property
    def left(self) -> Micros:
        return max(0, self.most - self.spent)


@dataclass(frozen=True, slots=True)
class AccountCard:
    """An account as one of its keys sees it. `balance` is what is not held; `spent` is by this key, holds included;
    `spent_in_all` and `runs` are the account's, of work that has ended."""

    caller: Caller
    balance: Micros
    held: Micros
    spent: Micros
    bounds: tuple[Bound, ...]
    spent_in_all: Micros
    runs: int

    @property
    def left(self) -> Micros:
        """What this key can still spend."""
        return max(0, min([self.balance, *(bound.left for bound in self.bounds)]))


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What was done, summed up by those of `day`, `model`, and `key` that are not empty."""

    day: str
    model: str
    key: str
    key_name: str
    runs: int
    input_tokens: int
    output_tokens: int
    amount: Micros


@dataclass(frozen=True, slots=True)
class Usage:
    """From the first day to the last, by UTC."""

    first: str
    last: str
    by: tuple[str, ...]
    rows: tuple[UsageRow, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of a balance; see `ledger.entries`."""

    id: str
    at: Nanos
    kind: str
    work: str | None
    amount: Micros
    uncovered: Micros
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Redeemed:
    amount: Micros
    balance: Micros


@dataclass(frozen=True, slots=True)
class Refund:
    at: Nanos
    amount: Micros
    reason: str


@dataclass(frozen=True, slots=True)
class Explained:
    """How a charge came about. `id`: a task's, or the number of a call's charge; `request` is the call's.

    `lines` are each unit's arithmetic, `total` their sum by the rule, `recomputed` what that makes of the charge now.
    `held` is None where it was in memory alone, `charge` until the work has ended.
    """

    id: str
    work: str  # task or call
    request: str | None
    model: str
    at: Nanos
    key: str
    rule: str
    source: str
    units: Mapping[str, float]
    lines: tuple[Mapping[str, Any], ...]
    multiplier: float
    total: Micros
    held: Micros | None
    uncovered: Micros
    charge: Micros | None
    recomputed: Micros
    estimated: bool
    refunds: tuple[Refund, ...]

    @property
    def refunded(self) -> Micros:
        return sum(refund.amount for refund in self.refunds)
