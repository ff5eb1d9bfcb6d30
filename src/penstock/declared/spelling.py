"""One spelling for whatever a document says in many, so that two can be compared; and the same in the rooms' terms.

A room's terms: money is micro-dollars, multipliers are millionths, times are nanoseconds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from penstock.clock import Nanos, parse, rfc3339
from penstock.declared.document import Account, Alias, Channel, Group, Key, Opening, Price, said
from penstock.errors import CallerError
from penstock.ledger.lines import amount, check
from penstock.ledger.prices import read_lines
from penstock.ledger.rules import Line
from penstock.money import micros
from penstock.routing.channels import credentials

SHORT = {
    "run": ("run", 1),
    "output": ("output", 1),
    "second": ("second", 1),
    "input_mtok": ("input_token", 1_000_000),
    "cached_mtok": ("cached_token", 1_000_000),
    "output_mtok": ("output_token", 1_000_000),
}
"""Fields of a price that stand for a line: the unit, and of how many the amount is."""
QUOTAS = {"quota_usd": "quota_total", "quota_month_usd": "quota_month", "quota_day_usd": "quota_day"}
Spelling = Callable[[str, Any], Any]


def decimal(millionths: int) -> str:
    """`1.25` for 1250000."""
    return _plain(Decimal(millionths) / 1_000_000)


def moment(field: str, text: str) -> Nanos:
    """A date or a time, never so long from now, which would be another one each time. Raises CallerError."""
    try:
        return parse(text)
    except (ValueError, OverflowError):
        raise CallerError(f"{field}: {text!r} is not a date (2027-01-31) or a time (2027-01-31T12:00:00Z)") from None


def spelt(part: msgspec.Struct) -> dict[str, Any]:
    """The fields that are given, in their one spelling. Raises CallerError, which names the field."""
    ways = SPELLINGS.get(type(part), {})
    return {field: ways[field](field, value) if field in ways else value for field, value in said(part).items()}


def lines(price: Price) -> tuple[Line, ...]:
    """What a price says, as the ledger has it. Raises CallerError."""
    short = [(SHORT[field], usd) for field in SHORT if (usd := getattr(price, field)) is not None]
    given = [_line(unit, usd, per) for (unit, per), usd in short]
    given += [_line(line.unit, line.usd, line.per, above=line.above, when=line.when) for line in price.lines]
    if not given:
        raise CallerError('it has no line; `run = "0"` would make the model free')
    read = read_lines(given)
    check(read)
    return read


def in_terms(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields in their one spelling, of a group or a key, in the rooms' terms."""
    return dict(_in_terms(field, value) for field, value in given.items())


def _in_terms(field: str, value: Any) -> tuple[str, Any]:
    if field in QUOTAS:
        return QUOTAS[field], None if value is None else micros(value, field)
    if field == "expires":
        return "expires_at", moment(field, value) if value else None
    return field, micros(value, field) if field == "multiplier" else value


def _line(unit: str, usd: str, per: int, **more: Any) -> dict[str, Any]:
    parts, of = amount(usd)
    return {"unit": unit, "micros": parts, "per": per * of, **more}


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# ── one spelling each ─────────────────────────────────────────────────────────────────────────────────────────────────


def _limit(field: str, value: int | None) -> int | None:
    return value or None


def _number(field: str, text: str) -> str:
    return decimal(micros(text, field))


def _amount(field: str, text: str | None) -> str | None:
    return _number(field, text) if text else None


def _time(field: str, text: str) -> str:
    return rfc3339(moment(field, text)) if text else ""


def _list(field: str, value: tuple[str, ...]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(value))


def _patterns(field: str, value: tuple[str, ...] | None) -> list[str] | None:
    return list(value) if value else None


def _pairs(field: str, models: tuple[str, ...]) -> list[str]:
    """`ours=theirs`, and `ours` where both are the same; none are all, and of two for one of ours the last counts."""
    named = {ours: theirs for ours, _, theirs in (model.partition("=") for model in models)}
    return [ours if theirs in ("", ours) else f"{ours}={theirs}" for ours, theirs in named.items()] or ["*"]


def _networks(field: str, value: tuple[str, ...]) -> list[str]:
    try:
        return [str(ipaddress.ip_network(word, strict=False)) for word in value]
    except ValueError as error:
        raise CallerError(f"{field}: {error}") from None


def _scopes(field: str, value: tuple[str, ...]) -> list[str]:
    return sorted(set(value))


def _opening(field: str, opening: Opening | None) -> dict[str, str] | None:
    return None if opening is None else {"id": opening.id, "usd": _number(field, opening.usd)}


_LIMITS: dict[str, Spelling] = dict.fromkeys(("rpm", "tpm", "concurrency"), _limit)
SPELLINGS: Mapping[type, Mapping[str, Spelling]] = {
    Channel: {
        **_LIMITS,
        "base_url": lambda field, url: url.rstrip("/"),
        "credentials": lambda field, value: credentials(value),
        "models": _pairs,
    },
    Group: {**_LIMITS, "models": _patterns, "channels": _patterns, "multiplier": _number},
    Alias: {"targets": _list},
    Account: {"opening": _opening},
    Key: {
        **_LIMITS,
        **dict.fromkeys(QUOTAS, _amount),
        "group": lambda field, name: name or None,
        "expires": _time,
        "models": _patterns,
        "networks": _networks,
        "scopes": _scopes,
    },
}
