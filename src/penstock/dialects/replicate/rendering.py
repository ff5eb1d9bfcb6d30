"""Predictions as Replicate shows them: one struct, encoded once, the JSON texts of the row passed on undecoded.

Quirks: `created_at` has three digits, the other times up to nine; `metrics` and the times are absent, not null, until
there are any; `urls.stream` is open to whoever has it, since the JavaScript client sends no key there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from penstock.canonical.task import Event, State, Task
from penstock.clock import SECOND, rfc3339
from penstock.dialects import _outputs
from penstock.dialects._base import Links
from penstock.wire import sse

BASE = "/replicate/v1"
"""Of the URLs that we give out, whichever spelling the client used."""

ENDS = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.CANCELED: "canceled"}


class Urls(msgspec.Struct, gc=False):
    get: str
    cancel: str
    stream: str
    web: str


class Prediction(msgspec.Struct):
    """In the official order of keys."""

    id: str
    model: str
    version: str
    input: Raw
    logs: str
    output: Raw
    data_removed: bool
    error: str | None
    source: str
    status: str
    created_at: str
    started_at: str | UnsetType
    completed_at: str | UnsetType
    deadline: str | UnsetType
    deployment: str | UnsetType
    webhook: str | UnsetType
    webhook_events_filter: list[str] | UnsetType
    metrics: Raw | UnsetType
    urls: Urls


_encode = msgspec.json.Encoder().encode


def prediction(task: Task, links: Links, inlined: Mapping[str, str] | None = None) -> bytes:
    end = ENDS.get(task.shown)
    started = task.started_at is not None
    return _encode(
        Prediction(
            id=task.id,
            model=task.model,
            version=task.version,
            input=Raw(task.input),
            logs=task.logs,
            output=_outputs.shown(task.output, links, inlined),
            data_removed=bool(task.data_removed),
            error=task.error if end == "failed" else None,
            source=task.source,
            status=end or ("processing" if started else "starting"),
            created_at=rfc3339(task.created_at, 3),
            started_at=UNSET if task.started_at is None else rfc3339(task.started_at),
            completed_at=UNSET if end is None or task.completed_at is None else rfc3339(task.completed_at),
            deadline=UNSET if task.deadline is None else rfc3339(task.deadline, 3),
            deployment=task.deployment or UNSET,
            webhook=task.webhook or UNSET,
            webhook_events_filter=task.webhook_events.split(",") if task.webhook_events else UNSET,
            metrics=Raw(task.metrics) if started or end else UNSET,
            urls=urls(task, links),
        )
    )


def unbegun(task: Task, links: Links) -> bytes:
    """For a create that waited in vain: clients take any status but `starting` for the end, and return no output."""
    early = msgspec.structs.replace(task, state=State.QUEUED, started_at=None, output=None)
    return prediction(early, links)


def urls(task: Task, links: Links) -> Urls:
    own = f"{links.base}{BASE}/predictions/{task.id}"
    stream = f"{links.base}{BASE}/stream/{task.id}?sig={links.capability('stream', task.id)}"
    return Urls(own, f"{own}/cancel", stream, links.page(task.id))


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Item(msgspec.Struct):
    item: Any


_item = msgspec.json.Decoder(Item).decode


def event(event: Event, links: Links) -> bytes:
    """Empty for our own kinds of event: a client makes an enum of the name, and fails for a fifth one."""
    if event.kind not in ("output", "logs", "error", "done"):
        return b""
    data = _plain(_item(event.data).item, links) if event.kind == "output" else event.data
    return sse.event(event.kind, f"{event.at // SECOND}:{event.seq}", data)


def _plain(item: Any, links: Links) -> str:
    """Words as they are, a file as its URL, anything else as JSON."""
    shown = item if isinstance(item, str) else _outputs.with_urls(item, links)
    return shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()
