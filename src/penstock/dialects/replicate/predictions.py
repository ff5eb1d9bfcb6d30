"""Create, query, list, cancel, and follow predictions."""

from __future__ import annotations

import re

import msgspec

from penstock import clock
from penstock.canonical.commands import Cancel, Fetch, Follow, List, Submit
from penstock.canonical.results import Made
from penstock.canonical.task import Page, Task
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.dialects._streams import last_seen, write_events
from penstock.dialects.replicate import headers, rendering
from penstock.dialects.replicate.bodies import Read, Rule, read
from penstock.dialects.replicate.pages import write_page
from penstock.errors import CallerError, InvalidField, InvalidInput, UnknownVersion

EVENTS = ("start", "output", "logs", "completed")
BODY = {
    "input": Rule("object", required=True),
    "webhook": Rule("string", is_url=True),
    "webhook_events_filter": Rule("array", items=EVENTS),
    "stream": Rule("boolean"),  # every prediction can be streamed
    "webhook_completed": Rule("string", is_url=True),  # of clients older than the filter
}
NAMED = {"version": Rule("string"), "model": Rule("string")}
REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)(?::([0-9a-f]{64}))?|([0-9a-f]{64})", re.ASCII)


def write_made(dialect: Dialect, made: Made, http: Incoming) -> Outgoing:
    task = made.task
    if task.shown in rendering.ENDS:
        return Outgoing(201, rendering.prediction(task, http.links, made.inlined))
    body = rendering.unbegun(task, http.links) if made.waited else rendering.prediction(task, http.links)
    return Outgoing(201, body, {"location": f"{http.links.base}{rendering.BASE}/predictions/{task.id}"})


def write_task(dialect: Dialect, task: Task, http: Incoming) -> Outgoing:
    return Outgoing(200, rendering.prediction(task, http.links))


def write_tasks(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    return write_page(page, [msgspec.Raw(rendering.prediction(task, http.links)) for task in page.results], http)


class Predictions(Dialect):
    @route("POST", "/predictions", write_made)
    def create(self, http: Incoming) -> Submit:
        """Create a prediction with a version, or a model."""
        asked = read(http.body, NAMED | BODY)
        model, version = target(asked["version"], asked["model"])
        return self._submit(http, asked, model=model, version=version)

    @route("POST", "/models/{owner}/{name}/predictions", write_made)
    def create_with_model(self, http: Incoming) -> Submit:
        """Create a prediction with a model. Tools that encode the slash in `owner%2Fname` come here too."""
        model = f"{http.path['owner']}/{http.path['name']}"
        return self._submit(http, read(http.body, BODY), model=model, in_path=True)

    @route("POST", "/deployments/{owner}/{name}/predictions", write_made)
    def create_with_deployment(self, http: Incoming) -> Submit:
        """Create a prediction with a deployment."""
        deployment = f"{http.path['owner']}/{http.path['name']}"
        return self._submit(http, read(http.body, BODY), deployment=deployment, in_path=True)

    def _submit(
        self,
        http: Incoming,
        asked: Read,
        *,
        model: str | None = None,
        version: str | None = None,
        deployment: str | None = None,
        in_path: bool = False,
    ) -> Submit:
        webhook, events = _webhook(asked)
        wait_s = headers.wait_s(http)
        return Submit(
            dialect=self.name,
            input=asked["input"],
            raw_input=bytes(asked.raws["input"]),
            model=model,
            version=version,
            deployment=deployment,
            in_path=in_path,
            webhook=webhook,
            webhook_events=events,
            wait_s=wait_s,
            lifetime_s=headers.lifetime_s(http),
            idempotency_key=headers.idempotency_key(http),
            inlines=wait_s > 0 and headers.inlines(http),
        )

    @route("GET", "/predictions", write_tasks)
    def list_predictions(self, http: Incoming) -> List:
        """List predictions."""
        query = http.query
        filters = {name: query[name] for name in ("created_after", "created_before", "source") if query.get(name)}
        if filters.get("source", "web") != "web":
            raise CallerError('Query parameter "source" must be "web"')
        for name in filters.keys() - {"source"}:
            _check_time(name, filters[name])
        return List("tasks", cursor=query.get("cursor"), filters=filters)

    @route("GET", "/predictions/{id}", write_task)
    def get(self, http: Incoming) -> Fetch:
        """Get a prediction."""
        return Fetch(http.path["id"])

    @route("POST", "/predictions/{id}/cancel", write_task)
    def cancel(self, http: Incoming) -> Cancel:
        """Cancel a prediction. One that has ended is returned as it is."""
        return Cancel(http.path["id"])

    @route("GET", "/predictions/{id}/stream", write_events)
    def follow(self, http: Incoming) -> Follow:
        """Follow a prediction's events."""
        return Follow(http.path["id"], last_seen(http))

    @route("GET", "/stream/{id}", write_events, needs_key=False)
    def follow_by_capability(self, http: Incoming) -> Follow:
        """The same at `urls.stream`, for clients that send no key there."""
        return Follow(http.path["id"], last_seen(http), http.query.get("sig", ""))


def target(*named: str | None) -> tuple[str | None, str | None]:
    """Model and version that these references name together: `owner/name`, `owner/name:version`, `version`.

    Raises InvalidInput where there is none, UnknownVersion where they disagree, or are no references.
    """
    found = [REFERENCE.fullmatch(text) for text in named if text is not None]
    if not found:
        raise InvalidInput(fields=(InvalidField("", "required", "version is required"),))
    if not all(found):
        raise UnknownVersion()
    models = {match[1] for match in found if match and match[1]}
    versions = {match[2] or match[3] for match in found if match and (match[2] or match[3])}
    if len(models) > 1 or len(versions) > 1:
        raise UnknownVersion()
    return next(iter(models), None), next(iter(versions), None)


def _webhook(asked: Read) -> tuple[str | None, tuple[str, ...]]:
    """Where to, and which events; none is all of them."""
    if asked["webhook"] is None:
        return asked["webhook_completed"], ("completed",) if asked["webhook_completed"] else ()
    return asked["webhook"], tuple(dict.fromkeys(asked["webhook_events_filter"] or ()))


def _check_time(name: str, text: str) -> None:
    try:
        clock.parse(text)
    except (ValueError, OverflowError):
        raise CallerError(f'Query parameter "{name}" must be an ISO 8601 time') from None
