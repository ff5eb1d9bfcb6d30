"""A task's output for clients: our files in it become URLs. What holds none is passed on as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.dialects._base import Links

NULL = msgspec.Raw(b"null")
MARK = '"$file"'
FILE = {"$file", "name"}


def shown(output: str | None, links: Links, inlined: Mapping[str, str] | None = None) -> msgspec.Raw:
    """The JSON text of `task.output` with URLs in it; `inlined` are `data:` URLs that go before links, by file id."""
    if output is None:
        return NULL
    if MARK not in output:
        return msgspec.Raw(output)
    return msgspec.Raw(msgspec.json.encode(with_urls(msgspec.json.decode(output), links, inlined or {})))


def with_urls(value: Any, links: Links, inlined: Mapping[str, str] | None = None) -> Any:
    if isinstance(value, list):
        return [with_urls(part, links, inlined) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == FILE:
        file = value["$file"]
        return (inlined or {}).get(file) or links.file(file, value["name"])
    return {key: with_urls(part, links, inlined) for key, part in value.items()}
