"""What can be said of keys and groups, checked and as the store keeps it. Money is micro-dollars, times nanoseconds.

Whatever makes no sense raises CallerError, which names the field.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from penstock.canonical.who import ONE, SCOPES
from penstock.clock import Nanos, after, now, parse
from penstock.errors import CallerError
from penstock.money import MOST

POLICIES = ("weight", "latency", "cost")
PATTERNS_MOST, PATTERN_MOST = 1000, 200
SPANS = {"m": 60, "h": 3600, "d": 86_400}

Check = Callable[[str, Any], Any]


def checked(checks: Mapping[str, Check], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are given, as the store keeps them."""
    if unknown := sorted(set(given) - set(checks)):
        raise CallerError(f"there is no {', '.join(unknown)} to set; there are {', '.join(checks)}")
    return {field: checks[field](field, value) for field, value in given.items()}


def name(field: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100 or value != value.strip() or not value.isprintable():
        raise CallerError(f"{field}: must be 1 to 100 characters, without spaces around them")
    return value


def limit(field: str, value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
        raise CallerError(f"{field}: must be a whole number, and at least 1")
    return value


def money(field: str, value: Any) -> int | None:
    """Nothing at all may be a bound too: of a key that only looks."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise CallerError(f"{field}: must be an amount that is not negative, at most a billion dollars")
    return value


def patterns(field: str, value: Any) -> str | None:
    """Names, with * for any characters."""
    if value is None:
        return None
    found = words(field, value)
    if not found or len(found) > PATTERNS_MOST or not all(0 < len(word) <= PATTERN_MOST for word in found):
        raise CallerError(f"{field}: must be names or patterns, such as openai/*; leave it out to mean all")
    return json.dumps(found)


def networks(field: str, value: Any) -> str | None:
    found = words(field, value or ())
    try:
        read = [str(ipaddress.ip_network(word, strict=False)) for word in found]
    except ValueError as error:
        raise CallerError(f"{field}: must be addresses or networks, such as 203.0.113.0/24: {error}") from None
    return json.dumps(read) if read else None


def scopes(field: str, value: Any) -> str:
    found = words(field, value)
    if not found or not set(found) <= set(SCOPES):
        raise CallerError(f"{field}: must be some of {', '.join(SCOPES)}")
    return " ".join(scope for scope in SCOPES if scope in found)


def future(field: str, value: Any) -> Nanos | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not now() < value < 2**63:
        raise CallerError(f"{field}: must be a time to come")
    return value


def multiplier(field: str, value: Any) -> int:
    """Millionths."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1000 * ONE:
        raise CallerError(f"{field}: must be from 0 to 1000")
    return value


def policy(field: str, value: Any) -> str:
    if value not in POLICIES:
        raise CallerError(f"{field}: must be one of {', '.join(POLICIES)}")
    return str(value)


def words(field: str, value: Any) -> list[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(word, str) for word in value):
        raise CallerError(f"{field}: must be a list of words")
    return [word.strip() for word in value]


# ── as people write them ──────────────────────────────────────────────────────────────────────────────────────────────


def span_s(field: str, text: Any) -> float:
    """`30d`, `12h`, `15m`, `0`."""
    found = re.fullmatch(r"(\d{1,6})([mhd])|0+", text) if isinstance(text, str) else None
    if not found:
        raise CallerError(f"{field}: must be so long: 30d, 12h, 15m; not {text!r}")
    return float(int(found[1]) * SPANS[found[2]]) if found[1] else 0.0


def moment(field: str, text: Any) -> Nanos:
    """`2027-01-31`, which is its beginning by UTC; RFC 3339; or so long from now: `30d`, `12h`, `15m`."""
    if isinstance(text, str) and text[-1:] in SPANS:
        return after(span_s(field, text))
    try:
        return parse(text)
    except (AttributeError, ValueError, OverflowError):
        words = "must be a date (2027-01-31), a time (2027-01-31T12:00:00Z), or so long from now (30d, 12h, 15m)"
        raise CallerError(f"{field}: {words}, not {text!r}") from None
