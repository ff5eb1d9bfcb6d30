"""Commands about what there is: models, versions, collections, hardware, deployments, files, tasks in lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from penstock import clock
from penstock.access import Keys
from penstock.canonical import results as r
from penstock.canonical.commands import Change, Create, Delete, List, Show
from penstock.canonical.task import File, Page, State
from penstock.canonical.who import LIVE, Caller
from penstock.catalog import Collection, Model
from penstock.catalog.loaded import catalog
from penstock.clock import now
from penstock.context import Context
from penstock.desk import account, explaining, language, responses
from penstock.errors import CallerError, Conflict, InvalidField, InvalidInput, NotFound, Stale
from penstock.routing import Channels
from penstock.store import files, keys, tasks

CONFIGURATION = ("hardware", "min_instances", "max_instances")
NEWER = "n-"
"""Marks a cursor that leads back to newer things."""


async def list_(ctx: Context, caller: Caller, command: List) -> Any:
    return await LISTS[command.of](ctx, caller, command)


async def show(ctx: Context, caller: Caller, command: Show) -> Any:
    return await SHOWS[command.of](ctx, caller, command.name)


# ── tasks and files: long lists, by cursor ────────────────────────────────────────────────────────────────────────────


async def _tasks(ctx: Context, caller: Caller, command: List) -> Page:
    filters = command.filters
    try:
        since = clock.parse(filters["created_after"]) if filters.get("created_after") else 0
        since = max(0, since) // 1_000_000 * 1_000_000  # tasks are dated to the millisecond, and this one is within
        until = clock.parse(filters["created_before"]) if filters.get("created_before") else 2**62
    except ValueError:
        raise CallerError("created_after and created_before must be ISO 8601 times") from None
    if filters.get("state") and filters["state"] not in set(State):
        raise CallerError(f"no such state; there are {', '.join(State)}")
    chosen = {name: filters.get(name, "") for name in ("state", "model", "source")}

    async def some(cursor: str, limit: int, newer: bool) -> list[Any]:
        given = {"cursor": cursor, "limit": limit, "newer": newer, "since": since, "until": until}
        return await tasks.page(ctx.store, caller.account, caller.mode, **given, **chosen)  # type: ignore[arg-type]

    return await _page(command, some)


async def _files(ctx: Context, caller: Caller, command: List) -> Page:
    async def some(cursor: str, limit: int, newer: bool) -> list[Any]:
        return await files.page(ctx.store, caller.account, caller.mode, cursor, limit, newer=newer)

    return await _page(command, some)


async def _page(command: List, some: Callable[[str, int, bool], Awaitable[list[Any]]]) -> Page:
    """One page around the cursor, and the cursors of its neighbours."""
    cursor, limit = command.cursor or "~", max(1, min(command.limit, 100))
    newer = cursor.startswith(NEWER)
    found = await some(cursor.removeprefix(NEWER), limit + 1, newer)
    more = len(found) > limit
    found = found[-limit:] if newer else found[:limit]
    if not found:
        return Page()
    before = more if newer else command.cursor is not None
    behind = True if newer else more
    return Page(found, found[-1].id if behind else None, NEWER + found[0].id if before else None)


# ── models: short lists, whole ────────────────────────────────────────────────────────────────────────────────────────


async def _models(ctx: Context, caller: Caller, command: List) -> Page:
    cards = [_card(model) for model in _visible(ctx, caller)]
    descending = command.filters.get("sort_direction", "desc") == "desc"
    return _slice(sorted(cards, key=lambda card: card.created_at, reverse=descending), command)


async def _versions(ctx: Context, caller: Caller, command: List) -> Page:
    return _slice(list(_find(ctx, caller, command.name or "").versions), command)


async def _examples(ctx: Context, caller: Caller, command: List) -> Page:
    _find(ctx, caller, command.name or "")
    return Page()


async def _collections(ctx: Context, caller: Caller, command: List) -> Page:
    return _slice([_collection(ctx, caller, found) for found in catalog(ctx).collections()], command)


async def _hardware(ctx: Context, caller: Caller, command: List) -> list[r.HardwareCard]:
    return [r.HardwareCard(hardware.name, hardware.sku) for hardware in catalog(ctx).hardware()]


async def _search(ctx: Context, caller: Caller, command: List) -> r.Found:
    query = command.filters.get("query", "").strip()
    if not query:
        raise CallerError('Query parameter "query" is required')
    allowed = {model.path for model in _visible(ctx, caller)}
    models = tuple(_card(model) for model in catalog(ctx).search(query) if model.path in allowed)
    words = query.lower()
    named = [found for found in catalog(ctx).collections() if words in f"{found.name} {found.description}".lower()]
    return r.Found(query, models[: command.limit], tuple(_collection(ctx, caller, found) for found in named))


def _slice(cards: list[Any], command: List) -> Page:
    """A page of a list that is held whole: the cursor is a position in it."""
    try:
        start = max(0, int(command.cursor or 0))
    except ValueError:
        raise CallerError("not a cursor of ours") from None
    limit = max(1, min(command.limit, 100))
    end = start + limit
    return Page(
        cards[start:end],
        str(end) if end < len(cards) else None,
        str(max(0, start - limit)) if start > 0 else None,
    )


async def _model(ctx: Context, caller: Caller, name: str) -> r.ModelCard:
    return _find(ctx, caller, name)


async def _version(ctx: Context, caller: Caller, name: str) -> r.VersionCard:
    path, _, id = name.partition(":")
    for version in _find(ctx, caller, path).versions:
        if version.id == id:
            return version
    raise NotFound()


async def _readme(ctx: Context, caller: Caller, name: str) -> str:
    model = catalog(ctx).find(_find(ctx, caller, name).path)
    if model is None:
        raise NotFound()
    source = f"\n\nThis gateway knows the model from <{model.source}>, read {model.read}.\n" if model.source else "\n"
    return f"# {model.path}\n\n{model.description}{source}"


async def _show_collection(ctx: Context, caller: Caller, slug: str) -> r.CollectionCard:
    for found in catalog(ctx).collections():
        if found.slug == slug:
            return _collection(ctx, caller, found)
    raise NotFound()


def _visible(ctx: Context, caller: Caller) -> list[Model]:
    return [m for m in catalog(ctx).models() if not (caller.mode == LIVE and m.path.startswith("sandbox/"))]


def _find(ctx: Context, caller: Caller, name: str) -> r.ModelCard:
    model = catalog(ctx).find(name)
    if model is not None and not (caller.mode == LIVE and name.startswith("sandbox/")):
        return _card(model)
    if model is None and name.count("/") == 1 and ctx.of(Channels).serving(name):
        owner, _, short = name.partition("/")
        return r.ModelCard(owner, short, "Allowed by a channel; its schema is not known here.", False, EPOCH, ())
    raise NotFound()


EPOCH = "1970-01-01T00:00:00Z"


def _card(model: Model) -> r.ModelCard:
    versions = tuple(r.VersionCard(v.id, v.created_at, v.cog_version, v.openapi_schema()) for v in model.versions)
    return r.ModelCard(
        owner=model.owner,
        name=model.name,
        description=model.description,
        official=model.official,
        created_at=model.latest.created_at,
        versions=versions,
        run_count=model.run_count,
        cover=model.cover,
        github_url=model.github_url,
        paper_url=model.paper_url,
        license_url=model.license_url,
        example=model.example or None,
        tags=model.collections,
    )


def _collection(ctx: Context, caller: Caller, found: Collection) -> r.CollectionCard:
    models = [model for model in _visible(ctx, caller) if found.slug in model.collections]
    return r.CollectionCard(
        found.slug, found.name, found.description, found.full_description, tuple(_card(model) for model in models)
    )


# ── deployments ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _deployments(ctx: Context, caller: Caller, command: List) -> Page:
    rows = await keys.deployments_of(ctx.store, caller.account)
    return _slice([_deployed(caller, row) for row in rows], command)


async def _deployment(ctx: Context, caller: Caller, path: str) -> r.Deployed:
    owner, _, name = path.partition("/")
    row = await keys.deployment(ctx.store, caller.account, name) if owner == caller.account_name else None
    if row is None:
        raise NotFound()
    return _deployed(caller, row)


async def create(ctx: Context, caller: Caller, command: Create) -> r.Deployed:
    fields = command.fields
    missing = [name for name in ("name", "model", "version", *CONFIGURATION) if fields.get(name) is None]
    if missing:
        raise InvalidInput(fields=tuple(InvalidField("", "required", f"{name} is required") for name in missing))
    name, model, version = str(fields["name"]), str(fields["model"]), str(fields["version"])
    _check_version(ctx, caller, model, version)
    await ctx.store.write(keys.insert_deployment(caller.account, name, model, version, _configuration(fields)))
    return await _deployment(ctx, caller, f"{caller.account_name}/{name}")


async def change(ctx: Context, caller: Caller, command: Change) -> r.Deployed:
    old = await _deployment(ctx, caller, command.name)
    version = str(command.fields.get("version") or old.version)
    _check_version(ctx, caller, old.model, version)
    configuration = _configuration(old.configuration | command.fields)
    try:
        step = keys.release_deployment(caller.account, old.name, old.release, version, configuration)
        await ctx.store.write(step)
    except Stale:
        raise Conflict("The deployment was changed by another request at the same time.") from None
    return await _deployment(ctx, caller, command.name)


async def delete(ctx: Context, caller: Caller, command: Delete) -> None:
    if command.of == "response":
        return await responses.remove(ctx, caller, command.name)
    if command.of == "file":
        await _file(ctx, caller, command.name)
        await ctx.store.write(files.remove(command.name, caller.account))
        return
    owner, _, name = command.name.partition("/")
    if owner != caller.account_name:
        raise NotFound()
    await ctx.store.write(keys.delete_deployment(caller.account, name))


def _check_version(ctx: Context, caller: Caller, model: str, version: str) -> None:
    if all(known.id != version for known in _find(ctx, caller, model).versions):
        raise InvalidInput(fields=(InvalidField("version", "enum", "The specified version does not exist"),))


def _configuration(fields: dict[str, Any]) -> str:
    low, high = fields.get("min_instances", 0), fields.get("max_instances", 1)
    if not (isinstance(low, int) and isinstance(high, int) and 0 <= low <= 5 and low <= high <= 20):
        words = "Must have 0 to 5 min_instances and as many to 20 max_instances"
        raise InvalidInput(fields=(InvalidField("max_instances", "number_lte", words),))
    return msgspec.json.encode({name: fields.get(name) for name in CONFIGURATION}).decode()


def _deployed(caller: Caller, row: tuple[Any, ...]) -> r.Deployed:
    _, name, model, version, configuration, release, _, released_at = row
    found = msgspec.json.decode(configuration)
    return r.Deployed(caller.account_name, name, model, version, found, release, released_at)


# ── one of a kind ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _file(ctx: Context, caller: Caller, id: str) -> File:
    file = await files.get(ctx.store, id)
    if file is None or (file.account, file.mode, file.role) != (caller.account, caller.mode, "upload"):
        raise NotFound("File not found")
    if file.expires_at is not None and file.expires_at < now():
        raise NotFound("File not found")
    return file


async def _webhook_secret(ctx: Context, caller: Caller, name: str) -> str:
    return await ctx.of(Keys).webhook_secret(caller.account)


LISTS: dict[str, Callable[[Context, Caller, List], Awaitable[Any]]] = {
    "tasks": _tasks,
    "files": _files,
    "models": _models,
    "versions": _versions,
    "examples": _examples,
    "collections": _collections,
    "hardware": _hardware,
    "search": _search,
    "deployments": _deployments,
    "language_models": language.list_,
    "input_items": responses.input_items,
    "entries": account.entries,
    "usage": account.usage,
    "quota": account.quota,
}
SHOWS: dict[str, Callable[[Context, Caller, str], Awaitable[Any]]] = {
    "model": _model,
    "version": _version,
    "readme": _readme,
    "collection": _show_collection,
    "deployment": _deployment,
    "file": _file,
    "webhook_secret": _webhook_secret,
    "language_model": language.show,
    "response": responses.show,
    "account": account.show,
    "charge": explaining.own,
}
