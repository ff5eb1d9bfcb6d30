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
from penstock.ledger import Prices, Rule
from penstock.ledger.prices import Line

OUTPUT_COUNTS = ("num_outputs", "number_of_images", "n", "num_images")
DURATIONS = ("duration", "seconds", "duration_seconds")
TOKENS = ("max_tokens", "max_new_tokens")
TOKENS_MOST = 8192
MOST = 10**9
NUMBERS = (int, float)

Input = Mapping[str, Any]
BOUNDS: dict[Unit, Callable[[Input, float], float]] = {
    Unit.RUN: lambda input, longest_s: 1,
    Unit.OUTPUT: lambda input, longest_s: max(1, _number(input, OUTPUT_COUNTS, 1)),
    Unit.SECOND: lambda input, longest_s: longest_s,
    Unit.VIDEO_SECOND: lambda input, longest_s: _number(input, DURATIONS, longest_s),
    Unit.AUDIO_SECOND: lambda input, longest_s: _number(input, DURATIONS, longest_s),
    Unit.INPUT_TOKEN: lambda input, longest_s: len(str(input)),  # a token is at least a character
    Unit.OUTPUT_TOKEN: lambda input, longest_s: _number(input, TOKENS, TOKENS_MOST),
}
"""The most of each unit that an input can make, in a run of at most so many seconds."""


def rule_for(ctx: Context, caller: Caller, path: str, model: Model | None) -> Rule:
    """The operator's rule, else the catalogue's; a test key needs neither. Raises Unpriced."""
    listed = _listed(model) if model else None
    return ctx.of(Prices).rule(path, listed or (Rule((), version="test") if caller.mode == TEST else None))


def most(rule: Rule, version: Version | None, input: Input, longest_s: float) -> Micros:
    """What to hold."""
    known = version.input.get("properties", {}) if version else {}
    filled = {**version.defaults, **{k: v for k, v in input.items() if k in known}} if version else input
    return _most(rule, tuple([max(0.0, BOUNDS[line.unit](filled, longest_s)) for line in rule.lines]))


@lru_cache(1000)
def _most(rule: Rule, bounds: tuple[float, ...]) -> Micros:
    return rule.most({line.unit: bound for line, bound in zip(rule.lines, bounds, strict=True)})


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


def _number(input: Input, names: tuple[str, ...], otherwise: float) -> float:
    """The largest that is given under any of these names; nothing, or less, says nothing."""
    given = [input[name] for name in names if isinstance(input.get(name), NUMBERS) and input[name] > 0]
    return float(min(max(given), MOST)) if given else otherwise
