"""Replicate's error bodies.

Source: bodies quoted in public bug reports, and RFC 9457, whose fields they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from penstock import errors as e
from penstock.dialects._base import JSON, Outgoing

PROBLEM = "application/problem+json"
REPEATABLE = {429, 503, 504}
"""What may be sent again as it is. Of all else `x-should-retry: false` says not to: a client would repeat a POST on any
409 or 5xx otherwise, and make a second prediction."""


class Word(NamedTuple):
    """Which fields the body has besides `detail`: a title, the status."""

    title: str | None = None
    status: bool = True


WORDS: Mapping[type[e.PenstockError], Word] = {
    e.PenstockError: Word("Internal server error"),
    e.CallerError: Word(status=False),
    e.Unauthenticated: Word("Unauthenticated"),
    e.QuotaSpent: Word("Insufficient credit"),
    e.QuotaReached: Word("Quota reached"),
    e.Forbidden: Word("Forbidden"),
    e.Unpriced: Word("Forbidden"),
    e.NotFound: Word("Not found"),
    e.Conflict: Word("Conflict"),
    e.TooLarge: Word(status=False),
    e.InvalidInput: Word("Input validation failed"),
    e.UnknownVersion: Word("Invalid version or not permitted"),
    e.Unsupported: Word("Not supported"),
    e.ContentRefused: Word("Content refused"),
    e.LimitReached: Word("Too many requests"),
    e.UpstreamError: Word("Upstream error"),
    e.Crowded: Word("Service unavailable"),
    e.UpstreamBusy: Word("Service unavailable"),
    e.UpstreamTimeout: Word("Upstream timeout"),
    e.ChannelRejected: Word("Service unavailable"),
    e.NoChannel: Word("Service unavailable"),
    e.StorageFull: Word("Service unavailable"),
    e.ShuttingDown: Word("Service unavailable"),
}

FILE_MISSING = "File not found"


def error(exc: e.PenstockError, word: Word) -> Outgoing:
    headers = {} if exc.status in REPEATABLE else {"x-should-retry": "false"}
    if isinstance(exc, e.RangeNotSatisfiable):
        headers["content-range"] = f"bytes */{exc.size}"
    if isinstance(exc, e.NotFound) and str(exc) == FILE_MISSING:
        return Outgoing(exc.status, {"detail": FILE_MISSING}, headers, PROBLEM)
    return Outgoing(exc.status, _body(exc, word), headers, JSON)


def _body(exc: e.PenstockError, word: Word) -> dict[str, Any]:
    body: dict[str, Any] = {"title": word.title} if word.title else {}
    body["detail"] = str(exc)
    if word.status:
        body["status"] = exc.status
    if isinstance(exc, e.InvalidInput) and exc.fields:
        body["invalid_fields"] = [{"type": f.rule, "field": f.path, "description": f.words} for f in exc.fields]
    if isinstance(exc, e.LimitReached) and exc.retry_after_s is not None:
        body["retry_after"] = max(1, math.ceil(exc.retry_after_s))
    return body
