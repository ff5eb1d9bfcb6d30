"""A plain HTTP client for tests, so that what they check is what is on the wire."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    method: str = "GET",
    *,
    key: str | None = None,
    body: Any = None,
    timeout_s: float = 30.0,
    **headers: str,
) -> Reply:
    """Send one request. `body`: bytes as they are, anything else as JSON; header names with _ for -."""
    parts = urlsplit(url)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        given["authorization"] = f"Bearer {key}"
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    kind: Any = http.client.HTTPConnection
    options: dict[str, Any] = {}
    if parts.scheme == "https":
        kind, options = http.client.HTTPSConnection, {"context": ssl._create_unverified_context()}
    connection = kind(parts.hostname, parts.port, timeout=timeout_s, **options)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, raw, given)
        reply = connection.getresponse()
        return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
    finally:
        connection.close()
