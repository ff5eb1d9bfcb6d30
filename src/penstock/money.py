"""Amounts as people write them: decimals, without any binary fraction."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from penstock.errors import CallerError

PLAIN = re.compile(r"[+-]?(\d{1,10}|(?=\.))(\.\d{1,6}0{0,20})?", re.ASCII)
MOST = 10**15
"""A billion dollars, in millionths."""
LARGEST, SMALLEST = 20, -30
"""Powers of ten within which a number of others is taken for one: they have 64 bits."""


def micros(text: Any, field: str = "usd") -> int:
    """Dollars in micro-dollars; or another decimal, such as a multiplier of 1.25, in millionths. Raises CallerError,
    which names the field."""
    found = PLAIN.fullmatch(text) if isinstance(text, str) else None
    amount = int(Decimal(found[0]).scaleb(6)) if found else MOST + 1
    if abs(amount) > MOST:
        words = "is not an amount: write a decimal such as 12.50, with at most six places, at most a billion"
        raise CallerError(f"{field}: {str(text)[:100]!r} {words}")
    return amount


def number(text: Any) -> Decimal | None:
    """What another program wrote; None where that is no number, or none to reckon with."""
    try:
        found = Decimal(str(text))
    except ArithmeticError:
        return None
    if not found:
        return Decimal(0) if found.is_finite() else None
    return found if found.is_finite() and SMALLEST <= found.adjusted() < LARGEST else None
