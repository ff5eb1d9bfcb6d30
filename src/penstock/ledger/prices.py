"""What things cost: rules as data, and the arithmetic of a charge, kept with it.

A rule is frozen into each task when it is made; today's price never touches yesterday's job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from penstock.canonical.usage import Micros, Unit, Usage
from penstock.context import Context
from penstock.errors import CallerError, Unpriced
from penstock.store import accounts

MOST = 1e9
"""Of a unit, in one piece of work. The books hold 63 bits, and vendors send what they like."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """So many micro-dollars for each `per` of a unit."""

    unit: Unit
    micros: Micros
    per: int = 1


class Rule(msgspec.Struct, frozen=True):
    """A model's price. `version` names the row or file that it came from."""

    lines: tuple[Line, ...]
    version: str = ""
    source: str = ""

    def most(self, bounds: Mapping[Unit, float]) -> Micros:
        """The most that work within these bounds can cost. A unit without a bound counts once."""
        return _rounded(sum((_cost(line, bounds.get(line.unit, 1.0)) for line in self.lines), Decimal(0)))

    def charge(self, usage: Usage, hold: Micros) -> Charge:
        """What the usage comes to; never above the hold: the rest is noted as uncovered."""
        sums = [(line, _sane(usage.get(line.unit, 0.0))) for line in self.lines]
        total = max(0, _rounded(sum((_cost(line, amount) for line, amount in sums), Decimal(0))))
        lines = [
            {"unit": line.unit, "amount": amount, "micros": line.micros, "per": line.per}
            for line, amount in sums
            if amount
        ]
        detail = {"rule": self.version, "source": self.source, "lines": lines, "total": total}
        return Charge(min(total, hold), max(0, total - hold), detail)


@dataclass(frozen=True, slots=True)
class Charge:
    """`detail` holds rule, units, and arithmetic, so that the figure can be explained for ever."""

    micros: Micros
    uncovered: Micros
    detail: dict[str, Any]


class Prices:
    """The operator's rules, newest for each model; read at start, changed through `add`."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._rules: dict[str, Rule] = {}

    async def load(self) -> None:
        rows = await accounts.prices_of_all(self._ctx.store)
        self._rules = {row[1]: Rule(_lines(msgspec.json.decode(row[2])), row[0], row[3]) for row in rows}

    async def add(self, model: str, lines: Sequence[Mapping[str, Any]], source: str = "operator") -> Rule:
        """Set a model's price from now on. Raises CallerError where a line makes no sense."""
        rule = Rule(_lines(lines), source=source)
        await self._ctx.store.write(accounts.price(model, msgspec.json.encode(rule.lines).decode(), source))
        await self.load()
        return self._rules[model]

    def every(self) -> dict[str, Rule]:
        return dict(self._rules)

    def rule(self, model: str, listed: Rule | None) -> Rule:
        """The operator's rule, else the catalogue's list price. Raises Unpriced."""
        rule = self._rules.get(model) or listed
        if rule is None:
            raise Unpriced()
        return rule


def _lines(raw: Any) -> tuple[Line, ...]:
    try:
        lines = msgspec.convert(raw, tuple[Line, ...])
    except msgspec.ValidationError as error:
        raise CallerError(f"not a price: {error}") from None
    if any(line.micros < 0 or line.per < 1 for line in lines):
        raise CallerError("not a price: amounts can't be negative")
    return lines


def _sane(amount: float) -> float:
    """A vendor's figure, kept within what can be multiplied and stored; what is no number counts as nothing."""
    return min(max(amount, 0.0), MOST) if amount == amount else 0.0


def _cost(line: Line, amount: float) -> Decimal:
    return Decimal(str(amount)) * line.micros / line.per


def _rounded(amount: Decimal) -> Micros:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
