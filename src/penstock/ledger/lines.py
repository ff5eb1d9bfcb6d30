"""A price's line as operators write it: `UNIT=USD[/PER] [above TOKENS] [when FIELD=VALUE,…]`, read and written.

Dollars are decimals, never binary fractions: `input_token=2.5/1000000 above 200000`, `output=0.04 when size=1024x1024`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from penstock.canonical.usage import Unit
from penstock.errors import CallerError
from penstock.ledger.rules import Line

SPELT: Mapping[str, tuple[str, int]] = {
    "minute": ("second", 60),
    "video_minute": ("video_second", 60),
    "audio_minute": ("audio_second", 60),
    "request": ("run", 1),
    "image": ("output", 1),
    "video": ("output", 1),
}
"""Units as operators say them, and how many of ours they are."""
UNITS = (*(unit.value for unit in Unit), *SPELT)
DIGITS = 15
"""After the point, of an amount: more than any vendor's price has."""
WRITTEN = re.compile(
    r"""\s*(?P<unit>\w+)\s*=\s*(?P<usd>[^\s/]+)\s*(?:/\s*(?P<per>[\d_]+))?
        (?:\s+above\s+(?P<above>[\d_]+))?
        (?:\s+when\s+(?P<when>\S.*?))?\s*""",
    re.VERBOSE | re.DOTALL,
)
FORM = "UNIT=USD, UNIT=USD/PER, and then perhaps: above TOKENS, when FIELD=VALUE,FIELD=VALUE"


def parsed(text: str) -> dict[str, Any]:
    """A line as `prices.read_lines` takes it. Raises CallerError, which says what to write instead."""
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise CallerError(f"{text!r} is not a line of a price; write {FORM}, such as: output=0.04 when quality=hd")
    unit = found["unit"]
    if unit not in UNITS:
        near = difflib.get_close_matches(unit, UNITS, 1)
        meant = f"do you mean {near[0]}? " if near else ""
        raise CallerError(f"{text!r} is not a price: {meant}there is no unit {unit!r}, but {', '.join(UNITS)}")
    micros, per = amount(found["usd"])
    line: dict[str, Any] = {"unit": unit, "micros": micros, "per": per * _whole(text, found["per"] or "1", least=1)}
    if found["above"]:
        line["above"] = _whole(text, found["above"], least=0)
    if found["when"]:
        line["when"] = dict(_condition(text, part) for part in found["when"].split(","))
    return line


def amount(usd: str) -> tuple[int, int]:
    """Dollars as whole micro-dollars for so many: `0.0000025` is 25 for 10. Raises CallerError."""
    try:
        value = Decimal(usd.removeprefix("$"))
    except InvalidOperation:
        raise CallerError(f"{usd!r} is not an amount of dollars; write a decimal, such as 0.04") from None
    if not value.is_finite() or not 0 <= value <= 10**9:
        raise CallerError(f"{usd!r} is not a price: it can't be negative, nor above a billion dollars")
    digits = max(6, -int(value.normalize().as_tuple().exponent))
    if digits > DIGITS:
        raise CallerError(f"{usd!r} has more than {DIGITS} decimals; write a price for more units, such as 2.5/1000000")
    return int(value.scaleb(digits)), 10 ** (digits - 6)


def written(line: Line) -> str:
    """As `parsed` takes it."""
    above = f" above {line.above}" if line.above else ""
    when = f" when {','.join(f'{name}={value}' for name, value in line.when.items())}" if line.when else ""
    return f"{line.unit}={dollars(line)}{above}{when}"


def dollars(line: Line) -> str:
    """`0.04`, `2.5/1000000`."""
    usd = f"{Decimal(line.micros).scaleb(-6):f}"
    per = f"/{line.per}" if line.per != 1 else ""
    return f"{usd.rstrip('0').rstrip('.') if '.' in usd else usd}{per}"


def check(lines: Iterable[Line]) -> None:
    """Refuse two lines for the same, and a unit that would be free below its first tier. Raises CallerError."""
    seen: set[tuple[Unit, frozenset[tuple[str, str]], int]] = set()
    for line in lines:
        place = line.unit, frozenset(line.when.items()), line.above
        if place in seen:
            raise CallerError(f"two lines of the price are for the same: {written(line)}")
        seen.add(place)
    for unit, when, above in seen:
        if above and (unit, when, 0) not in seen:
            same = f" when {','.join(f'{name}={value}' for name, value in sorted(when))}" if when else ""
            raise CallerError(f"{unit} needs a price for up to {above} tokens too: {unit}=USD{same}")


def _whole(text: str, digits: str, *, least: int) -> int:
    try:
        number = int(digits)
    except ValueError:
        number = -1
    if not least <= number < 2**53:
        raise CallerError(f"{text!r}: {digits!r} is not a whole number; write one such as 1000000")
    return number


def _condition(text: str, part: str) -> tuple[str, str]:
    name, _, value = (word.strip() for word in part.partition("="))
    if not name or not value:
        raise CallerError(f"{text!r}: after `when` write FIELD=VALUE,FIELD=VALUE, such as: when size=1024x1024")
    return name, value
