"""What Google's errors mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContextTooLong,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
    UpstreamTimeout,
)
from penstock.formats.gemini_content.wire import Failure

STATUSES: Mapping[str, type[PenstockError]] = {
    "RESOURCE_EXHAUSTED": UpstreamBusy,
    "UNAVAILABLE": UpstreamBusy,
    "ABORTED": UpstreamBusy,
    "DEADLINE_EXCEEDED": UpstreamTimeout,
    "UNAUTHENTICATED": ChannelRejected,
    "PERMISSION_DENIED": ChannelRejected,
    "INVALID_ARGUMENT": CallerError,
    "OUT_OF_RANGE": CallerError,
    "FAILED_PRECONDITION": ChannelRejected,  # no free tier here, or billing is off
    "INTERNAL": UpstreamError,
}
TOO_LONG = re.compile(
    r"exceeds the maximum number of tokens|input token count|context (?:window|length)", re.IGNORECASE
)
DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


def refusal(error: Mapping[str, Any]) -> tuple[type[PenstockError] | None, float | None]:
    """(what one of Google's errors means, None where its status word tells nothing; after how long to try again)."""
    said = error.get("details")
    details = [detail for detail in said if isinstance(detail, dict)] if isinstance(said, list) else []
    reasons = [detail.get("reason") for detail in details]
    delays = [found[1] for detail in details if (found := DELAY.fullmatch(str(detail.get("retryDelay"))))]
    after_s = float(delays[0]) if delays else None
    words, status = str(error.get("message") or ""), str(error.get("status") or "")
    if "API_KEY_INVALID" in reasons or "API key not valid" in words or "API key expired" in words:
        return ChannelRejected, after_s
    if status == "INVALID_ARGUMENT" and TOO_LONG.search(words):
        return ContextTooLong, after_s
    return STATUSES.get(status), after_s


def failed(error: Failure) -> PenstockError:
    """An error within a stream."""
    facts = msgspec.to_builtins(error)
    kind, after_s = refusal(facts)
    kind = kind or {429: UpstreamBusy, 503: UpstreamBusy, 504: UpstreamTimeout}.get(error.code or 0, UpstreamError)
    return kind(error.message or "", retry_after_s=after_s)
