"""What a task can cost: its price rule, and the most that its input can come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

import msgspec

from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Micros, Unit
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
FILE_TOKENS = 8192
"""What a picture or a sound comes to at most, as long as nobody has looked at it."""
MOST = 10**9
NUMBERS = (int, float)
LINK = re.compile(r"(?:https?|data):", re.IGNORECASE)
LENGTH = re.compile(r"\d{1,9}(?:\.\d{1,9})?s?")
"""A duration as text: some models list theirs so (`"5"`, `"8s"`)."""

Input = Mapping[str, Any]
Bound = Callable[[Input, float], float]
FREE = Rule((), version="test")


def _outputs(input: Input, longest_s: float) -> float:
    return max(1, _number(input, OUTPUT_COUNTS, 1))


def _made_seconds(input: Input, longest_s: float) -> float:
    """Of all that it makes."""
    timed = {name: _length(input[name]) for name in DURATIONS if name in input}
    return _number(timed, DURATIONS, longest_s) * _outputs(input, longest_s)


def _tokens_in(input: Input, longest_s: float) -> float:
    """A token is at least a byte."""
    return len(str(input).encode("utf-8", "surrogatepass"))


def _tokens_in_files(input: Input, longest_s: float) -> float:
    links = sum(LINK.match(text) is not None for text in _texts(input))
    return _tokens_in(input, longest_s) + links * FILE_TOKENS


def _tokens_out(input: Input, longest_s: float) -> float:
    return _number(input, TOKENS, TOKENS_MOST) * _outputs(input, longest_s)


BOUNDS: dict[Unit, Bound] = {
    Unit.RUN: lambda input, longest_s: 1,
    Unit.OUTPUT: _outputs,
    Unit.SECOND: lambda input, longest_s: longest_s,
    Unit.VIDEO_SECOND: _made_seconds,
    Unit.AUDIO_SECOND: _made_seconds,
    Unit.CHARACTER: lambda input, longest_s: sum(map(len, _texts(input))),
    **dict.fromkeys(INPUT_UNITS, _tokens_in),
    **dict.fromkeys((Unit.AUDIO_INPUT_TOKEN, Unit.IMAGE_INPUT_TOKEN), _tokens_in_files),
    **dict.fromkeys(OUTPUT_UNITS, _tokens_out),
}
"""The most of each unit that an input can make, in a run of at most so many seconds; of others it is one."""


def rule_for(
    ctx: Context,
    caller: Caller,
    path: str,
    known: tuple[Model, Version] | None,
    input: Input,
    asked: str | None = None,
) -> Rule:
    """The operator's rule for the alias that was asked for, else for the model, else the catalogue's, for this input; a
    test key needs none. Raises Unpriced."""
    listed = _listed(known[0]) if known else None
    if listed is None and caller.mode == TEST:
        listed = FREE
    prices = ctx.of(Prices)
    name = asked if asked and prices.knows(asked) else path
    rule = prices.rule(name, listed, caller.group.multiplier)
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
    return held(rule, bounds(rule, version, input, longest_s))


def held(rule: Rule, bounds: Mapping[Unit, float]) -> Micros:
    return _held(rule, tuple(bounds.items()))


@lru_cache(1000)
def _held(rule: Rule, bounds: tuple[tuple[Unit, float], ...]) -> Micros:
    return rule.most(dict(bounds))


@lru_cache(1000)
def frozen(rule: Rule) -> str:
    """The rule as it is kept in each task."""
    return msgspec.json.encode(rule).decode()


@lru_cache(1000)
def _listed(model: Model) -> Rule | None:
    if not model.prices:
        return None
    lines = tuple(Line(price.unit, price.micros, price.per, price.above, price.when) for price in model.prices)
    return Rule(lines, version="catalog", source=model.prices[0].source)


def _one(input: Input, longest_s: float) -> float:
    return 1.0


def _number(input: Input, names: tuple[str, ...], otherwise: float) -> float:
    """The largest that is given under any of these names; nothing, or less, says nothing."""
    given = [float(min(value, MOST)) for name in names if _is_number(value := input.get(name)) and value > 0]
    return max(given, default=float(otherwise))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, NUMBERS) and not isinstance(value, bool)


def _length(value: Any) -> Any:
    return float(value.rstrip("s")) if isinstance(value, str) and LENGTH.fullmatch(value) else value


def _texts(value: Any) -> Iterator[str]:
    """All that is written in it, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
