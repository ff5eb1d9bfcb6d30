"""What clients ask for in headers: how long to wait, when to give up, whether this request was sent before."""

from __future__ import annotations

import re

from penstock.dialects._base import Incoming
from penstock.errors import InvalidField, InvalidInput

LONGEST_WAIT_S = 55.0
"""One client keeps a timeout of 60 s even where it asks to wait for 60, and would post again."""

SHORTEST_LIFE_S = 5
LONGEST_LIFE_S = 30 * 86400.0
UNIT_S = {"h": 3600, "m": 60, "s": 1, "": 1}
LIFETIME = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?[hms])+|\d{1,9}(?:\.\d{1,9})?", re.ASCII)
PART = re.compile(r"([\d.]+)([hms]?)", re.ASCII)

SDKS = ("replicate-python/", "Replicate/Python", "AsyncReplicate/Python", "replicate-javascript/")


def wait_s(http: Incoming) -> float:
    """How long `Prefer` asks to hold the answer back; 0 is not at all. Other preferences, and other grammar, are
    passed over (RFC 7240)."""
    wanted = 0.0
    for preference in (http.header("prefer") or "").lower().split(","):
        name, _, value = (part.strip().strip('"') for part in preference.partition(";")[0].partition("="))
        if name == "respond-async":
            return 0.0
        if name == "wait" and (not value or re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value, re.ASCII)):
            wanted = min(float(value or LONGEST_WAIT_S), LONGEST_WAIT_S)
    return wanted


def lifetime_s(http: Incoming) -> float | None:
    """Raises InvalidInput for what is no duration, or one of less than five seconds."""
    for name in ("Cancel-After", "Replicate-Max-Lifetime"):
        said = http.header(name.lower())
        if said is not None:
            return _lifetime_s(name, said.strip().lower())
    return None


def _lifetime_s(name: str, said: str) -> float:
    if not LIFETIME.fullmatch(said):
        raise InvalidInput(fields=(InvalidField(name, "format", "Does not match format 'duration', such as 1h30m45s"),))
    seconds = sum(float(number) * UNIT_S[unit] for number, unit in PART.findall(said))
    if seconds < SHORTEST_LIFE_S:
        raise InvalidInput(
            fields=(InvalidField(name, "number_gte", f"Must be greater than or equal to {SHORTEST_LIFE_S}"),)
        )
    return min(seconds, LONGEST_LIFE_S)


def idempotency_key(http: Incoming) -> str | None:
    return (http.header("idempotency-key") or "").strip() or None


def inlines(http: Incoming) -> bool:
    """Whether the client makes files only of `data:` URLs: the SDKs do, where ours are not `https:`."""
    return http.links.base.startswith("http:") and (http.header("user-agent") or "").startswith(SDKS)
