"""What a task shall make."""

from __future__ import annotations

from typing import Any

import msgspec


class OpenJob(msgspec.Struct, frozen=True):
    """A job for a model that is known by its schema alone.

    `input` is ready to send: files of ours in it are URLs that the vendor can fetch, or `data:` URLs. `upstream_model`
    is the vendor's `owner/name`, `version` the vendor's version id or None for the newest. `callback` is where the
    vendor may report to, `lifetime_s` how long the caller gave it.
    """

    model: str
    upstream_model: str
    input: dict[str, Any]
    version: str | None = None
    kind: str = "json"
    callback: str | None = None
    lifetime_s: float | None = None
    usual_s: float = 10.0
    output_schema: dict[str, Any] = {}


Job = OpenJob
