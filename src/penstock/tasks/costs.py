"""What a task can cost: its price rule, and the most that its input can come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from penstock.canonical.usage import Micros, Unit
from penstock.canonical.who import TEST, Caller
from penstock.catalog import Model, Version
from penstock.context import Context
from penstock.errors import Unpriced
from penstock.ledger import Prices, Rule
from penstock.ledger.rules import Line

OUTPUT_COUNTS = ("num_outputs", "number_of_images", "n", "num_images")
DURATIONS = ("duration", "seconds", "duration_seconds")
TOKENS = ("max_tokens", "max_new_tokens")
TOKENS_MOST = 8192
MOST = 10**9
NUMBERS = (int, float)

Input = Mapping[str, Any]
FREE = Rule((), version="test")
BOUNDS: dict[Unit, Callable[[Input, float], float]] = {
    Unit.RUN: lambda input, longest_s: 1,
    Unit.OUTPUT: lambda input, longest_s: max(1, _number(input, OUTPUT_COUNTS, 1)),
    Unit.SECOND: lambda input, longest_s: longest_s,
    Unit.VIDEO_SECOND: lambda input, longest_s: _number(input, DURATIONS, longest_s),
    Unit.AUDIO_SECOND: lambda input, longest_s: _number(input, DURATIONS, longest_s),
    Unit.CHARACTER: lambda input, longest_s: sum(len(text) for text in input.values() if isinstance(text, str)),
    Unit.INPUT_TOKEN: lambda input, longest_s: len(str(input)),  # a token is at least a character
    Unit.OUTPUT_TOKEN: lambda input, longest_s: _number(input, TOKENS, TOKENS_MOST),
}
"""The most of each unit that an input can make, in a run of at most so many seconds; of others it is one."""


def rule_for(ctx: Context, caller: Caller, path: str, known: tuple[Model, Version] | None, input: Input) -> Rule:
    """The operator's rule, else the catalogue's, for this input; a test key needs neither. Raises Unpriced."""
    listed = _listed(known[0]) if known else None
    if listed is None and caller.mode == TEST:
        listed = FREE
    rule = ctx.of(Prices).rule(path, listed, caller.group.multiplier)
    try:
        return rule.fitting(filled(known[1] if known else None, input))
    except Unpriced:
        if caller.mode == TEST:
            return FREE
        raise


def filled(version: Version | None, input: Input) -> Input:
    """The input as the vendor will take it: with defaults, without what the model does not know."""
    if version is None:
        return input
    known = version.input.get("properties", {})
    return {**version.defaults, **{k: v for k, v in input.items() if k in known}}


def bounds(rule: Rule, version: Version | None, input: Input, longest_s: float) -> dict[Unit, float]:
    """The most of each unit that the rule asks for."""
    taken = filled(version, input)
    units = {line.unit for each in rule.every() for line in each.lines}
    return {unit: max(0.0, BOUNDS.get(unit, _one)(taken, longest_s)) for unit in sorted(units)}


def most(rule: Rule, version: Version | None, input: Input, longest_s: float) -> Micros:
    """What to hold."""
    return _most(rule, tuple(bounds(rule, version, input, longest_s).items()))


@lru_cache(1000)
def _most(rule: Rule, bounds: tuple[tuple[Unit, float], ...]) -> Micros:
    return rule.most(dict(bounds))


@lru_cache(1000)
def frozen(rule: Rule) -> str:
    """The rule as it is kept in each task."""
    return msgspec.json.encode(rule).decode()


@lru_cache(1000)
def _listed(model: Model) -> Rule | None:
    if not model.prices:
        return None
    lines = tuple(Line(price.unit, price.micros, price.per) for price in model.prices)
    return Rule(lines, version="catalog", source=model.prices[0].source)


def _one(input: Input, longest_s: float) -> float:
    return 1.0


def _number(input: Input, names: tuple[str, ...], otherwise: float) -> float:
    """The largest that is given under any of these names; nothing, or less, says nothing."""
    given = [input[name] for name in names if isinstance(input.get(name), NUMBERS) and input[name] > 0]
    return float(min(max(given), MOST)) if given else otherwise
