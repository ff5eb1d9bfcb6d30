"""What things cost: rules as data, and the arithmetic of a charge, kept with it.

A rule is frozen into each piece of work when it is made; today's price never touches yesterday's job.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import msgspec

from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, PRICED_AS, Micros, Unit, Usage
from penstock.canonical.who import ONE
from penstock.errors import Unpriced

MOST = 1e9
"""Of a unit, in one piece of work. The books hold 63 bits, and vendors send what they like."""
DEAREST: Micros = 2**62
"""What one piece of work can come to: more than any account has, and the books can still hold it."""
TOGETHER = (frozenset(INPUT_UNITS), frozenset(OUTPUT_UNITS))
"""Kinds of tokens that are bounded together: which of them they turn out to be, nobody knows before."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """So many micro-dollars for each `per` of a unit.

    `above`: of work that takes in more than so many tokens; of a unit's lines the one with the highest `above` that is
    passed counts. `when`: of work whose input says so, such as `{"resolution": "1080p"}`; of a unit's lines that fit,
    the one that asks for most counts, of two that ask for as much the later.
    """

    unit: Unit
    micros: Micros
    per: int = 1
    above: int = 0
    when: dict[str, str] = {}

    def __hash__(self) -> int:
        return hash((self.unit, self.micros, self.per, self.above))


class Rule(msgspec.Struct, frozen=True, dict=True, omit_defaults=True):
    """A model's price. `version` names the row or file that it came from; `multiplier` is the caller's group's, in
    millionths; `channels` are the rules of those channels that have their own, by name."""

    lines: tuple[Line, ...]
    version: str = ""
    source: str = ""
    multiplier: int = ONE
    channels: dict[str, Rule] = {}

    def __hash__(self) -> int:
        return hash(self.text)

    @cached_property
    def text(self) -> str:
        """The rule as it is kept beside what was charged by it."""
        return msgspec.json.encode(self).decode()

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def combined(self, channels: Mapping[str, Rule], multiplier: int) -> Rule:
        """The same for callers who pay so many millionths of it, with the rules of single channels."""
        own = {name: msgspec.structs.replace(rule, multiplier=multiplier) for name, rule in channels.items()}
        return msgspec.structs.replace(self, multiplier=multiplier, channels=own)

    def on(self, channel: str) -> Rule:
        """The rule for what this channel did."""
        return self.channels.get(channel, self) if self.channels else self

    def every(self) -> Iterable[Rule]:
        """The rule, and those of single channels: whichever comes to count."""
        return self, *self.channels.values()

    @cached_property
    def conditional(self) -> bool:
        """Whether it matters what the work's input says."""
        return any(line.when for rule in self.every() for line in rule.lines)

    def fitting(self, said: Mapping[str, Any]) -> Rule:
        """The rule for work whose input says this: of each unit the lines that fit best, conditions kept for the
        record. Raises Unpriced where a unit has lines, and none fits."""
        if not self.conditional:
            return self
        lines = tuple(line for unit in self._units for line in self._best(unit, said))
        channels = {name: rule.fitting(said) for name, rule in self.channels.items()}
        return msgspec.structs.replace(self, lines=lines, channels=channels)

    def _best(self, unit: Unit, said: Mapping[str, Any]) -> list[Line]:
        lines = [line for line in self.lines if line.unit == unit]
        fit = [line for line in lines if all(_word(said.get(name)) == value for name, value in line.when.items())]
        if not fit:
            names = sorted({name for line in lines for name in line.when})
            told = ", ".join(f"{name}={_word(said.get(name)) or 'nothing'}" for name in names)
            raise Unpriced(f"This model has no price for {told}. Ask your operator to set one.")
        most = max(len(line.when) for line in fit)
        return [line for line in fit if len(line.when) == most]

    # ── what it comes to ──────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def folded(self) -> Rule:
        """The same price, as callers see it: with the multiplier in each line."""
        lines = tuple(_folded(line, self.multiplier) for line in self.lines)
        channels = {name: rule.folded for name, rule in self.channels.items()}
        return msgspec.structs.replace(self, lines=lines, multiplier=ONE, channels=channels)

    @cached_property
    def free(self) -> bool:
        """Nothing that work could come to costs anything, and nobody keeps books of it."""
        return not any(rule.lines for rule in self.every())

    @cached_property
    def _units(self) -> tuple[Unit, ...]:
        return tuple(dict.fromkeys(line.unit for line in self.lines))

    @cached_property
    def _tiers(self) -> tuple[int, ...]:
        return tuple(sorted({line.above for line in self.lines}, reverse=True))

    @cached_property
    def _tables(self) -> dict[int, tuple[dict[Unit, int], int]]:
        """For each tier the price of every unit that can be charged, in parts of a micro-dollar, and how many parts
        make one."""
        return {above: _table(self.chosen(above), self.multiplier) for above in self._tiers}

    @cached_property
    def _flat(self) -> tuple[dict[Unit, int], int] | None:
        """The only table, where it does not matter how much goes in."""
        return self._tables[0] if self._tiers == (0,) else None

    def _table(self, input_tokens: float) -> tuple[dict[Unit, int], int]:
        for above in self._tiers:
            if input_tokens > above or not above:
                return self._tables[above]
        return {}, 1

    def chosen(self, above: int) -> dict[Unit, Line]:
        """The line of each unit in one tier."""
        return {line.unit: line for line in sorted(self.lines, key=lambda line: line.above) if line.above <= above}

    def of_tokens(self, usage: Mapping[Unit, int]) -> Micros:
        """What one run of whole numbers of units comes to; a unit without a line counts as its coarser kind."""
        prices, parts = self._flat or self._table(sum([usage.get(unit, 0) for unit in INPUT_UNITS]))
        sum_ = prices.get(Unit.RUN, 0) + sum([amount * prices.get(unit, 0) for unit, amount in usage.items()])
        return (2 * sum_ + parts) // (2 * parts)

    def most_tokens(self, input_tokens: int, output_tokens: int) -> Micros:
        """The most that so many tokens can cost, of whatever kind they turn out to be, on whatever channel."""
        if self.channels:
            return max(rule._most_tokens(input_tokens, output_tokens) for rule in self.every())
        return self._most_tokens(input_tokens, output_tokens)

    def _most_tokens(self, input_tokens: int, output_tokens: int) -> Micros:
        """In the dearest of the tiers that can be reached: what goes in may turn out less than it seems."""
        most, ends = 0, input_tokens
        for above in self._tiers:
            if input_tokens > above or not above:
                run, dearest_in, dearest_out, parts = self._dearest[above]
                most = max(most, -(-(ends * dearest_in + output_tokens * dearest_out + run) // parts))
                ends = above
        return most

    @cached_property
    def _dearest(self) -> dict[int, tuple[int, int, int, int]]:
        """For each tier what a run costs, a token that goes in and one that comes out, whatever its kind, in parts of a
        micro-dollar; and how many parts make one."""
        return {
            above: (
                prices.get(Unit.RUN, 0),
                max(prices.get(unit, 0) for unit in INPUT_UNITS),
                max(prices.get(unit, 0) for unit in OUTPUT_UNITS),
                parts,
            )
            for above, (prices, parts) in self._tables.items()
        }

    def most(self, bounds: Mapping[Unit, float]) -> Micros:
        """The most that work within these bounds can cost, on whatever channel. A unit without a bound counts once. Of
        all kinds of tokens together that go in, or come out, the largest bound counts."""
        return max(rule._most(bounds) for rule in self.every())

    def _most(self, bounds: Mapping[Unit, float]) -> Micros:
        worst = {unit: max(_each(line) for line in self.lines if line.unit == unit) for unit in self._units}
        alone = [{unit} for unit in worst if not any(unit in kinds for kinds in TOGETHER)]
        total = Fraction(0)
        for kinds in (*TOGETHER, *alone):
            if priced := [unit for unit in worst if unit in kinds]:
                bound = max(Fraction(str(bounds.get(unit, 1.0))) for unit in priced)
                total += bound * max(worst[unit] for unit in priced)
        return min(math.ceil(total * self.multiplier / ONE), DEAREST)

    def charge(self, usage: Usage, hold: Micros) -> Charge:
        """What the usage comes to; never above the hold: the rest is noted as uncovered."""
        detail = self.explained(usage)
        total = detail["total"]
        return Charge(min(total, hold), max(0, total - hold), detail)

    def explained(self, usage: Usage) -> dict[str, Any]:
        """The arithmetic, to the last micro: the units that were reported, a line for each that costs something (its
        price and what it comes to, an exact decimal), the group's multiplier, and the total, rounded once."""
        amounts = {unit: _sane(amount) for unit, amount in usage.items()}
        tokens = sum(amounts.get(unit, 0) for unit in INPUT_UNITS)
        chosen = self.chosen(next((above for above in self._tiers if tokens > above or not above), -1))
        lines, sum_ = [], Fraction(0)
        for unit, amount in amounts.items():
            line = chosen.get(_priced_as(unit, chosen))
            if line is None or not amount:
                continue
            cost = Fraction(str(amount)) * _each(line)
            sum_ += cost
            lines.append({"unit": unit, "amount": amount, **_said(line, unit), "comes_to": _decimal(cost)})
        total = min(math.floor(sum_ * self.multiplier / ONE + Fraction(1, 2)), DEAREST)
        said = {"rule": self.version, "source": self.source, "units": dict(usage), "lines": lines}
        times = {"multiplier": _decimal(Fraction(self.multiplier, ONE))} if self.multiplier != ONE else {}
        return said | times | {"total": total}


@dataclass(frozen=True, slots=True)
class Charge:
    """`detail` holds rule, units, and arithmetic, so that the figure can be explained for ever."""

    micros: Micros
    uncovered: Micros
    detail: dict[str, Any]


def _table(chosen: Mapping[Unit, Line], multiplier: int) -> tuple[dict[Unit, int], int]:
    """Each unit's price in whole parts of a micro-dollar, and how many parts make one."""
    parts = math.lcm(*(line.per for line in chosen.values()))
    prices = {unit: line.micros * (parts // line.per) * multiplier for unit, line in chosen.items()}
    for unit in PRICED_AS:
        coarser = _priced_as(unit, chosen)
        if coarser in prices:
            prices[unit] = prices[coarser]
    common = math.gcd(parts * ONE, *prices.values())
    return {unit: price // common for unit, price in prices.items()}, parts * ONE // common


def _priced_as(unit: Unit, chosen: Mapping[Unit, Line]) -> Unit:
    """The unit whose line counts: its own, or a coarser kind's."""
    while unit not in chosen and unit in PRICED_AS:
        unit = PRICED_AS[unit]
    return unit


def _folded(line: Line, multiplier: int) -> Line:
    common = math.gcd(line.micros * multiplier, line.per * ONE)
    parts = {"micros": line.micros * multiplier // common, "per": line.per * ONE // common}
    return line if multiplier == ONE else msgspec.structs.replace(line, **parts)


def _each(line: Line) -> Fraction:
    return Fraction(line.micros, line.per)


def _said(line: Line, unit: Unit) -> dict[str, Any]:
    said: dict[str, Any] = {"micros": line.micros, "per": line.per}
    if line.unit != unit:
        said["priced_as"] = line.unit
    if line.above:
        said["above"] = line.above
    return said | ({"when": line.when} if line.when else {})


def _decimal(value: Fraction) -> str:
    """Exact where a decimal can be, else to twelve places."""
    places = next((places for places in range(40) if 10**places % value.denominator == 0), 12)
    digits = f"{round(value * 10**places):0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def _word(value: Any) -> str:
    """As a condition names it. `10.0` passes where a whole number is asked for, and is one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _sane(amount: float) -> float:
    """A vendor's figure, kept within what can be multiplied and stored; what is no number counts as nothing."""
    return min(max(amount, 0), MOST) if amount == amount else 0
