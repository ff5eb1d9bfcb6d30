"""A task's events as server-sent events, each in its dialect's words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from penstock.canonical.results import Following
from penstock.dialects._base import Dialect, Incoming, Links, Outgoing
from penstock.wire.sse import COMMENT

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""nginx would hold a stream back otherwise."""


def write_events(dialect: Dialect, following: Following, http: Incoming) -> Outgoing:
    return Outgoing(200, None, dict(HEADERS), "text/event-stream", _written(dialect, following, http.links))


async def _written(dialect: Dialect, following: Following, links: Links) -> AsyncIterator[bytes]:
    async for event in following.events:
        data = COMMENT if event is None else dialect.event(event, following.task, links)
        if data:
            yield data


def last_seen(http: Incoming) -> int:
    """The number of the last event that the client saw; -1 where it saw none, or says something else."""
    match = re.fullmatch(r"(?:\d{1,12}:)?(\d{1,9})", http.header("last-event-id") or "", re.ASCII)
    return int(match[1]) if match else -1
