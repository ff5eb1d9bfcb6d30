"""What things cost: rules as data, and the arithmetic of a charge, kept with it.

A rule is frozen into each task when it is made; today's price never touches yesterday's job.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

import msgspec

from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, PRICED_AS, Micros, Unit, Usage
from penstock.context import Context
from penstock.errors import CallerError, Unpriced
from penstock.store import accounts

MOST = 1e9
"""Of a unit, in one piece of work. The books hold 63 bits, and vendors send what they like."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """So many micro-dollars for each `per` of a unit; of work that takes in more than `above` tokens, if that is not
    0: of a unit's lines the one with the highest `above` that is passed counts."""

    unit: Unit
    micros: Micros
    per: int = 1
    above: int = 0


class Rule(msgspec.Struct, frozen=True, dict=True):
    """A model's price. `version` names the row or file that it came from."""

    lines: tuple[Line, ...]
    version: str = ""
    source: str = ""

    @cached_property
    def text(self) -> str:
        """The rule as it is kept beside what was charged by it."""
        return msgspec.json.encode(self).decode()

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @cached_property
    def _tiers(self) -> tuple[int, ...]:
        return tuple(sorted({line.above for line in self.lines}, reverse=True))

    @cached_property
    def _tables(self) -> dict[int, tuple[dict[Unit, int], int]]:
        """For each tier the price of every unit that can be charged, in parts of a micro-dollar, and how many parts
        make one."""
        return {above: _table(self.lines, above) for above in self._tiers}

    def _table(self, input_tokens: float) -> tuple[dict[Unit, int], int]:
        for above in self._tiers:
            if input_tokens > above or not above:
                return self._tables[above]
        return {}, 1

    def of_tokens(self, usage: Mapping[Unit, int]) -> Micros:
        """What one run of whole numbers of units comes to; a unit without a line counts as its coarser kind."""
        prices, parts = self._table(sum([usage.get(unit, 0) for unit in INPUT_UNITS]))
        sum_ = prices.get(Unit.RUN, 0) + sum([amount * prices.get(unit, 0) for unit, amount in usage.items()])
        return (2 * sum_ + parts) // (2 * parts)

    def most_tokens(self, input_tokens: int, output_tokens: int) -> Micros:
        """The most that so many tokens can cost, of whatever kind they turn out to be."""
        prices, parts = self._table(input_tokens)
        dearest_in = max([prices.get(unit, 0) for unit in INPUT_UNITS])
        dearest_out = max([prices.get(unit, 0) for unit in OUTPUT_UNITS])
        run = prices.get(Unit.RUN, 0)
        return -(-(input_tokens * dearest_in + output_tokens * dearest_out + run) // parts)

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


def _table(lines: tuple[Line, ...], above: int) -> tuple[dict[Unit, int], int]:
    best: dict[Unit, Line] = {}
    for line in sorted(lines, key=lambda line: line.above):
        if line.above <= above:
            best[line.unit] = line
    parts = math.lcm(*(line.per for line in best.values()))
    prices = {unit: line.micros * (parts // line.per) for unit, line in best.items()}
    for unit in PRICED_AS:
        coarser: Unit | None = unit
        while coarser is not None and coarser not in best:
            coarser = PRICED_AS.get(coarser)
        if coarser is not None:
            prices[unit] = prices[coarser]
    return prices, parts


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
