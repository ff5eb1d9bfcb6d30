"""The table of acts, and what acts of several nouns need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from penstock import clock
from penstock.errors import CallerError

Act = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Acting:
    name: str
    function: Act
    reads: bool
    """It only looks: nothing is other than before."""


ACTS: dict[str, Acting] = {}


def act(name: str, *, reads: bool = False) -> Callable[[Act], Act]:
    def bind(function: Act) -> Act:
        ACTS[name] = Acting(name, function, reads)
        return function

    return bind


def micros(usd: str) -> int:
    """An amount of dollars as whole micro-dollars. Raises CallerError."""
    try:
        amount = Decimal(usd) * 1_000_000
    except InvalidOperation:
        raise CallerError(f"{usd!r} is not an amount of dollars") from None
    if not amount.is_finite() or amount != amount.to_integral_value() or abs(amount) > 10**15:
        raise CallerError(f"{usd!r} is not an amount of dollars: at most six decimals, at most a billion")
    return int(amount)


def timed(row: dict[str, Any]) -> dict[str, Any]:
    return {k: clock.rfc3339(v, 3) if (k == "at" or k.endswith("_at")) and v else v for k, v in row.items()}
