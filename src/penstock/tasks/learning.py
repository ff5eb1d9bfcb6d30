"""Models that a running server describes by itself: asked for once, remembered with the channel, and in the catalogue.

So an operator adds a server with `--model acme/picture` and no more: inputs are checked by its own schema, and callers
see it as any other model. A model file of the same name wins.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from penstock.calls import converse
from penstock.canonical.plan import Channel
from penstock.catalog import Model, Version
from penstock.catalog.loaded import put
from penstock.catalog.models import Kind
from penstock.clock import now, rfc3339
from penstock.context import Context
from penstock.errors import CallerError, PenstockError
from penstock.log import logger
from penstock.routing import Channels, Providers
from penstock.tasks.watcher import Watches

REMEMBERED = "described"
"""The channel option that holds what its server said, and when: `{"at": time, "document": …}`."""
AGAIN_S = 10.0
"""A server that could not be asked is left alone for so long."""


class _Tries:
    def __init__(self, ctx: Context) -> None:
        self.at: dict[str, float] = {}

    def begin(self, channel: Channel) -> bool:
        """Whether it is time to ask this one."""
        due = time.monotonic() - self.at.get(channel.id, -AGAIN_S) >= AGAIN_S
        if due:
            self.at[channel.id] = time.monotonic()
        return due


async def learn(ctx: Context, channel: Channel) -> None:
    """Ask the server what it takes, and remember it. Nothing for vendors of many models. Raises PenstockError."""
    if not ctx.of(Providers)[channel.provider].tasks:
        return
    endpoint = ctx.of(Watches).endpoint(channel)
    if not endpoint.describes:
        return
    document = await converse(ctx, channel, endpoint.describe())
    if document != channel.options.get(REMEMBERED, {}).get("document"):
        said: dict[str, Any] = {"at": rfc3339(now(), 3), "document": document}
        for path in _paths(channel):
            _model(ctx, path, **said)  # a broken one is refused before it is kept
        await ctx.of(Channels).change(channel.name, {"options": channel.options | {REMEMBERED: said}})
    recall(ctx)


async def seek(ctx: Context, path: str) -> None:
    """Before a model is taken for unknown: ask the servers that should have it, where they were not asked yet."""
    for channel, _ in ctx.of(Channels).serving(path):
        if path in channel.models and REMEMBERED not in channel.options and ctx.of(_Tries).begin(channel):
            try:
                await learn(ctx, channel)
            except PenstockError as error:
                logger("learning").info("no schema yet", channel=channel.name, reason=str(error))


def recall(ctx: Context) -> None:
    """Put what all channels remember into the catalogue."""
    found: dict[str, Model] = {}
    for channel in ctx.of(Channels).every():
        said: dict[str, Any] = channel.options.get(REMEMBERED, {})
        for path in _paths(channel) if said else ():
            try:
                found.setdefault(path, _model(ctx, path, **said))
            except PenstockError as error:
                logger("learning").warning("schema left out", channel=channel.name, reason=str(error))
    put(ctx, found.values())


def _paths(channel: Channel) -> list[str]:
    return [path for path in channel.models if path.count("/") == 1 and "*" not in path]


def _model(ctx: Context, path: str, at: str, document: dict[str, Any]) -> Model:
    owner, _, name = path.partition("/")
    try:
        version = Version.from_openapi(path, document, at, "")
        _ = version.validator
    except (ValueError, TypeError, AttributeError, LookupError) as broken:
        raise CallerError(f"the schema that the server of {path} publishes is broken: {broken}") from None
    return Model(
        kind=_kind(version.output),
        description="",
        versions=(version,),
        usual_s=10.0,
        longest_s=ctx.settings.longest_s,
        source="the server's own document",
        read=at[:10],
        owner=owner,
        name=name,
    )


def _kind(output: dict[str, Any]) -> Kind:
    """What comes out, as far as a schema tells: a file is shown as a picture."""
    if b'"format":"uri"' in msgspec.json.encode(output):
        return "image"
    item = output.get("items", output) if output.get("type") == "array" else output
    return "text" if item.get("type") == "string" else "json"
