"""What the drivers of Replicate's Python clients share."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import harness
from harness import equal, true, until

BOAT = "[[slow:0.2]] a boat"
TELL = "[[slow:0.5]] Tell me of boats."


@dataclass(frozen=True, kw_only=True)
class Case(harness.Case):
    """The account of `crowd_key` has exactly `crowd` predictions."""

    other_key: str
    crowd_key: str
    crowd: int
    receiver: str
    image: str
    images: str
    language: str

    @property
    def mailbox(self) -> str:
        """A webhook address of this scenario's own. The query is there to be kept."""
        return f"{self.receiver}/{self.unique}?job=17"

    async def deliveries(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """What the receiver got at `mailbox`: a list of (headers, raw body, decoded body), as soon as it is enough."""

        async def look() -> list[Any] | None:
            got = json.loads(await fetch_without_key(self.mailbox))
            bodies = [(one["headers"], base64.b64decode(one["body_base64"])) for one in got]
            came = [(headers, body, json.loads(body)) for headers, body in bodies]
            return came if enough(came) else None

        return await until(look)


def png(content: bytes) -> None:
    """A whole PNG, first byte to last."""
    true(content.startswith(b"\x89PNG\r\n\x1a\n"), f"not a PNG: {content[:60]!r}")
    true(content.endswith(b"IEND\xaeB`\x82"), f"a PNG cut short: {len(content)} bytes, ends in {content[-20:]!r}")


async def fetch_without_key(url: str) -> bytes:
    """As a browser would: no key, no cookies."""
    return await asyncio.to_thread(fetch, url)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as reply:
        equal(reply.status, 200, f"status of {url}")
        body: bytes = reply.read()
        return body
