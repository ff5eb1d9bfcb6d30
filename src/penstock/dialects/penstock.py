"""Our own dialect: every task in one shape, whichever API made it, and the files that capabilities open."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Raw

from penstock.canonical.commands import Cancel, Download, Fetch, Follow, List
from penstock.canonical.task import Event, Page, State, Task
from penstock.canonical.usage import Micros
from penstock.clock import rfc3339
from penstock.dialects import _outputs
from penstock.dialects._base import Dialect, Incoming, Links, Outgoing, route
from penstock.dialects._downloads import write_body
from penstock.dialects._streams import last_seen, write_events
from penstock.errors import CallerError, PenstockError, RangeNotSatisfiable
from penstock.wire import sse

FILTERS = ("state", "model", "created_after", "created_before")
AT_ONCE = 100
BAR = re.compile(r"(?:^|\r)[ \t]*(\d{1,3})%[ \t]*\|", re.MULTILINE)
"""tqdm's line, as the SDKs of Replicate look for it too."""

BAR_IS_WITHIN = 4000
"""Characters at the end of the logs in which to look for it."""


class Fault(msgspec.Struct):
    code: str
    message: str


class Cost(msgspec.Struct):
    """Whole micro-dollars. `hold` is the most that it can come to; `charge` is None until it has ended."""

    hold: Micros
    charge: Micros | None
    currency: str = "USD"
    unit: str = "micros"


class Shown(msgspec.Struct):
    """A task, in our own words."""

    id: str
    dialect: str
    model: str
    version: str
    state: str
    progress: int | None  # in percent
    created_at: str
    started_at: str | None
    completed_at: str | None
    input: Raw
    output: Raw
    logs: str
    metrics: Raw
    error: Fault | None
    data_removed: bool
    cost: Cost
    urls: dict[str, str]


def shown(task: Task, links: Links) -> Shown:
    failed = task.shown == State.FAILED
    return Shown(
        id=task.id,
        dialect=task.dialect,
        model=task.model,
        version=task.version,
        state=task.shown,
        progress=progress(task),
        created_at=rfc3339(task.created_at, 3),
        started_at=_time(task.started_at),
        completed_at=_time(task.completed_at),
        input=Raw(task.input),
        output=_outputs.shown(task.output, links),
        logs=task.logs,
        metrics=Raw(task.metrics),
        error=Fault(task.error_code or "failed", task.error or "failed") if failed else None,
        data_removed=bool(task.data_removed),
        cost=Cost(task.hold, task.charge),
        urls=_urls(task, links),
    )


def progress(task: Task) -> int | None:
    """What the last progress bar in the logs says; None where there is none, and the task has not succeeded."""
    if task.shown == State.SUCCEEDED:
        return 100
    bars = BAR.findall(task.logs[-BAR_IS_WITHIN:])
    return min(int(bars[-1]), 100) if bars else None


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _urls(task: Task, links: Links) -> dict[str, str]:
    own = f"{links.base}/v1/tasks/{task.id}"
    return {"get": own, "cancel": f"{own}/cancel", "events": f"{own}/events", "web": links.page(task.id)}


def write_task(dialect: Dialect, task: Task, http: Incoming) -> Outgoing:
    return Outgoing(200, dialect.task(task, http.links))


def write_tasks(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    tasks = [shown(task, http.links) for task in page.results]
    return Outgoing(200, {"tasks": tasks, "previous": _url(http, page.previous), "next": _url(http, page.next)})


def _url(http: Incoming, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    kept = {name: value for name, value in http.query.items() if name in (*FILTERS, "limit")}
    return f"{http.links.base}{quote(http.target)}?{urlencode(kept | {'cursor': cursor})}"


class Penstock(Dialect):
    name = "penstock"

    @route("GET", "/v1/tasks", write_tasks)
    def list_tasks(self, http: Incoming) -> List:
        """List tasks of all dialects, newest first."""
        query = http.query
        filters = {name: query[name] for name in FILTERS if query.get(name)}
        return List("tasks", cursor=query.get("cursor") or None, limit=_limit(query.get("limit")), filters=filters)

    @route("GET", "/v1/tasks/{id}", write_task)
    def get(self, http: Incoming) -> Fetch:
        """Get a task, by its id or its dialect's name for it."""
        return Fetch(http.path["id"])

    @route("POST", "/v1/tasks/{id}/cancel", write_task)
    def cancel(self, http: Incoming) -> Cancel:
        """Cancel a task. One that has ended is returned as it is."""
        return Cancel(http.path["id"])

    @route("GET", "/v1/tasks/{id}/events", write_events)
    def follow(self, http: Incoming) -> Follow:
        """Follow a task's events, our own notes among them."""
        return Follow(http.path["id"], last_seen(http))

    @route("GET", "/files/{id}/{capability}/{name}", write_body, needs_key=False)
    def download(self, http: Incoming) -> Download:
        """Download a file by its capability, whole or a range of it."""
        return Download(http.path["id"], http.path["capability"], http.header("range"))

    def word(self, exc: PenstockError) -> str:
        return exc.code

    def error(self, exc: PenstockError) -> Outgoing:
        headers = {"content-range": f"bytes */{exc.size}"} if isinstance(exc, RangeNotSatisfiable) else {}
        return Outgoing(exc.status, {"error": {"code": self.word(exc), "message": str(exc)}}, headers)

    def task(self, task: Task, links: Links) -> bytes:
        return msgspec.json.encode(shown(task, links))

    def event(self, event: Event, task: Task, links: Links) -> bytes:
        """Data is always a JSON object."""
        return sse.event(event.kind, str(event.seq), msgspec.json.encode(_data(event, links)))


def _data(event: Event, links: Links) -> Any:
    if event.kind in ("logs", "note"):
        return {"text": event.data}
    found = msgspec.json.decode(event.data)
    return _outputs.with_urls(found, links) if event.kind == "output" else found


def _limit(said: str | None) -> int:
    if not said:
        return AT_ONCE
    if not (said.isascii() and said.isdigit() and int(said[:9]) > 0):
        raise CallerError(f"limit must be 1 to {AT_ONCE}")
    return min(int(said[:9]), AT_ONCE)
