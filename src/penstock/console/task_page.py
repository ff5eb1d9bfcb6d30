"""The page of one task, for whoever has its link: drawn whole, then kept up to date region by region while it lives.

A script follows `live`, a stream of regions that changed; without scripts the page loads itself anew.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from penstock.canonical.task import Task
from penstock.catalog.loaded import catalog
from penstock.console.rendering import Pages
from penstock.console.task_view import Known, View, view
from penstock.context import Context
from penstock.store import accounts, files, tasks
from penstock.tasks.events import SILENCE_S, Bells
from penstock.wire import sse

REGIONS = ("head", "outcome", "logs", "timeline", "cost", "input")
"""Parts of the page that change on their own; each is `templates/parts/<name>.html`."""

PAUSE_S = 0.2
"""Between two looks at a task that changes quickly."""


@dataclass(frozen=True, slots=True)
class Region:
    """`mark` changes with the HTML, so that a page leaves what it shows already untouched: a video plays on."""

    name: str
    html: Markup
    mark: str


class TaskPage:
    def __init__(self, ctx: Context, pages: Pages) -> None:
        self._ctx, self._pages = ctx, pages

    async def page(self, request: Request) -> Response:
        """A task for people: what it made, its logs, progress, timeline, and cost."""
        task = await self._allowed(request)
        shown = await self._view(task)
        regions = {region.name: region for region in self._regions(shown)}
        capability = request.query_params["c"]
        return self._pages.answer("task.html", 200, task=shown, regions=regions, capability=capability)

    async def live(self, request: Request) -> Response:
        """The regions of a task's page as they change, as server-sent events."""
        task = await self._allowed(request)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._changes(task), 200, headers, "text/event-stream")

    async def _allowed(self, request: Request) -> Task:
        """The task that the link is for. Raises a 404 for a wrong link, as for one that leads nowhere."""
        id = request.path_params["task"]
        allowed = self._ctx.signer.verify("page", id, request.query_params.get("c", ""))
        task = await tasks.get(self._ctx.store, id) if allowed else None
        if task is None:
            raise HTTPException(404)
        return task

    async def _changes(self, task: Task) -> AsyncIterator[bytes]:
        sent: dict[str, str] = {}
        bells = self._ctx.of(Bells)
        current: Task | None = task
        yield b"retry: 1000\n\n"
        while current is not None and not self._ctx.closing.is_set():
            bell = bells.bell(task.id)
            try:
                current = await tasks.get(self._ctx.store, task.id) or task
                shown = await self._view(current)
                for region in self._regions(shown):
                    if sent.get(region.name) != region.mark:
                        sent[region.name] = region.mark
                        yield sse.event("region", None, _encoded(region))
                if shown.ended:
                    yield sse.event("end", None, "{}")
                    return
                if not await bells.wait(task.id, bell, SILENCE_S):
                    yield sse.COMMENT
            finally:
                bells.leave(task.id, bell)
            await asyncio.sleep(PAUSE_S)

    async def _view(self, task: Task) -> View:
        ctx = self._ctx
        found = {file.id: file for file in await files.of_task(ctx.store, task.id)}
        for id in msgspec.json.decode(task.files or "{}", type=dict[str, str]).values():
            if id not in found and (file := await files.get(ctx.store, id)) is not None:
                found[id] = file  # an upload of the caller's, used as input
        detail = await self._detail(task) if task.ended else {}
        return view(task, Known(found, detail, catalog(ctx).find(task.model), ctx.signer, self._pages.root))

    async def _detail(self, task: Task) -> dict[str, Any]:
        """The arithmetic of the charge; empty where nothing was charged."""
        for _, _, _, kind, _, _, detail, _, _ in await accounts.entries_of_work(self._ctx.store, task.id):
            if kind == "settle":
                return dict(msgspec.json.decode(detail))
        return {}

    def _regions(self, shown: View) -> list[Region]:
        return [self._region(name, shown) for name in REGIONS]

    def _region(self, name: str, shown: View) -> Region:
        html = self._pages.render(f"parts/{name}.html", task=shown)
        return Region(name, Markup(html), hashlib.sha256(html.encode()).hexdigest()[:16])  # noqa: S704  drawn with escapes


def _encoded(region: Region) -> bytes:
    return msgspec.json.encode({"region": region.name, "mark": region.mark, "html": str(region.html)})
