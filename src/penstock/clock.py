"""Time: whole nanoseconds since 1970 in the store, RFC 3339 on the wire, a clock that tests can hold."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

Nanos = int
"""Nanoseconds since 1970-01-01T00:00Z."""

SECOND: Nanos = 1_000_000_000


def now() -> Nanos:
    return time.time_ns()


def after(seconds: float, since: Nanos | None = None) -> Nanos:
    return (now() if since is None else since) + int(seconds * SECOND)


def seconds(span: Nanos) -> float:
    return span / SECOND


def rfc3339(at: Nanos, digits: int | None = None) -> str:
    """`2026-03-04T09:10:11.5032187Z`: up to nine digits without trailing zeros, or exactly `digits` of them."""
    whole, fraction = divmod(at, SECOND)
    stamp = _stamp(whole)
    nines = f"{fraction:09d}"
    shown = nines.rstrip("0") if digits is None else nines[:digits]
    return f"{stamp}.{shown}Z" if shown else f"{stamp}Z"


@lru_cache(256)
def _stamp(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def parse(text: str) -> Nanos:
    """Read an ISO 8601 time; one without a zone is taken as UTC, one beyond the store's years (1678 to 2262) as its
    edge. Raises ValueError."""
    head, dot, tail = text.strip().replace("z", "Z").partition(".")
    digits = "".join(c for c in tail[: len(tail) - len(tail.lstrip("0123456789"))]) if dot else ""
    zone = tail[len(digits) :] if dot else ""
    at = datetime.fromisoformat(head + zone)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(-(2**63), min(int(at.timestamp()) * SECOND + int((digits + "0" * 9)[:9]), 2**63 - 1))
