"""The arithmetic of prices: two ways to the same figure, and no charge above the hold."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Unit
from penstock.canonical.who import ONE
from penstock.errors import Unpriced
from penstock.ledger.rules import DEAREST, Line, Rule

FIELDS = st.dictionaries(st.sampled_from(["size", "quality"]), st.sampled_from(["a", "b"]), max_size=2)
LINES = st.builds(
    Line,
    st.sampled_from(list(Unit)),
    st.integers(0, 10**8),
    st.integers(1, 10**7),
    st.sampled_from([0, 0, 100, 5000]),
    FIELDS,
)
RULES = st.builds(
    lambda lines, channel, multiplier: Rule(tuple(lines)).combined({"theirs": Rule(tuple(channel))}, multiplier),
    st.lists(LINES, max_size=8),
    st.lists(LINES, max_size=4),
    st.sampled_from([0, 1, 333_333, ONE, 1_250_000, 3 * ONE]),
)
TOKENS = st.dictionaries(st.sampled_from([*INPUT_UNITS, *OUTPUT_UNITS]), st.integers(0, 20_000), max_size=6)


def fitted(rule: Rule, said: dict[str, str]) -> Rule:
    try:
        return rule.fitting(said)
    except Unpriced:
        return Rule(())


@given(RULES, FIELDS, TOKENS)
def test_both_ways_of_reckoning_agree(rule: Rule, said: dict[str, str], usage: dict[Unit, int]) -> None:
    for each in fitted(rule, said).every():
        assert each.of_tokens(usage) == each.explained({Unit.RUN: 1, **usage})["total"]


@given(RULES, FIELDS, TOKENS)
def test_no_tokens_cost_more_than_their_number_may(rule: Rule, said: dict[str, str], usage: dict[Unit, int]) -> None:
    fit = fitted(rule, said)
    asked = sum(usage.get(unit, 0) for unit in INPUT_UNITS)
    answered = sum(usage.get(unit, 0) for unit in OUTPUT_UNITS)
    priced = {line.unit for each in fit.every() for line in each.lines}
    counted = {unit: amount for unit, amount in usage.items() if unit in priced or unit in INPUT_UNITS + OUTPUT_UNITS}
    for channel in ("theirs", "ours"):
        for more in (0, 1, 7000):
            assert fit.on(channel).of_tokens(counted) <= fit.most_tokens(asked + more, answered + more)


@given(RULES, FIELDS, st.dictionaries(st.sampled_from(list(Unit)), st.floats(0, 1e6)), st.floats(0, 1))
@settings(max_examples=300)
def test_nothing_within_the_bounds_costs_more(
    rule: Rule, said: dict[str, str], usage: dict[Unit, float], part: float
) -> None:
    """Bounds of kinds of tokens are of them all together."""
    fit = fitted(rule, said)
    bounds: dict[Unit, float] = dict(usage)
    for kinds in (INPUT_UNITS, OUTPUT_UNITS):
        bounds |= dict.fromkeys(kinds, math.ceil(sum(usage.get(unit, 0) for unit in kinds)))
    bounds |= {unit: 1.0 for unit in Unit if unit not in bounds}
    less = {unit: amount * part for unit, amount in usage.items()}
    hold = fit.most(bounds)
    for channel in ("theirs", "ours"):
        for used in (usage, less):
            charge = fit.on(channel).charge(used, hold)
            assert (charge.micros, charge.uncovered) == (charge.detail["total"], 0)


def test_a_cheaper_tier_does_not_lower_the_hold() -> None:
    rule = Rule((Line(Unit.INPUT_TOKEN, 10), Line(Unit.INPUT_TOKEN, 1, above=100)))
    assert rule.of_tokens({Unit.INPUT_TOKEN: 100}) == 1000
    assert rule.of_tokens({Unit.INPUT_TOKEN: 101}) == 101
    assert rule.most_tokens(101, 0) == 1000
    assert rule.most_tokens(5000, 0) == 5000


def test_a_tier_counts_for_the_whole_of_the_work() -> None:
    rule = Rule((Line(Unit.INPUT_TOKEN, 1), Line(Unit.INPUT_TOKEN, 2, above=100), Line(Unit.OUTPUT_TOKEN, 5)))
    assert rule.explained({Unit.CACHED_TOKEN: 60, Unit.INPUT_TOKEN: 40, Unit.OUTPUT_TOKEN: 1})["total"] == 105
    assert rule.explained({Unit.CACHED_TOKEN: 60, Unit.INPUT_TOKEN: 41, Unit.OUTPUT_TOKEN: 1})["total"] == 207


PICTURES = Rule(
    (
        Line(Unit.OUTPUT, 10),
        Line(Unit.OUTPUT, 20, when={"size": "large"}),
        Line(Unit.OUTPUT, 40, when={"size": "large", "quality": "hd"}),
        Line(Unit.RUN, 1),
    )
)


@pytest.mark.parametrize(
    ("said", "comes_to"),
    [
        ({}, 11),
        ({"size": "small", "quality": "hd"}, 11),
        ({"size": "large"}, 21),
        ({"size": "large", "quality": "hd"}, 41),
        ({"size": "large", "quality": "hd", "n": 3}, 41),
        ({"size": None, "quality": ["hd"]}, 11),
    ],
)
def test_the_line_that_asks_for_most_counts(said: dict[str, object], comes_to: int) -> None:
    assert PICTURES.fitting(said).explained({Unit.RUN: 1, Unit.OUTPUT: 1})["total"] == comes_to


@pytest.mark.parametrize(("value", "word"), [(10, "10"), (10.0, "10"), ("10", "10"), (2.5, "2.5"), (True, "true")])
def test_a_condition_is_about_the_value_however_it_is_written(value: object, word: str) -> None:
    rule = Rule((Line(Unit.OUTPUT, 1), Line(Unit.OUTPUT, 2, when={"duration": word})))
    assert rule.fitting({"duration": value}).lines[0].micros == 2


def test_what_no_line_fits_is_unpriced_and_said_so() -> None:
    rule = Rule((Line(Unit.OUTPUT, 1, when={"resolution": "720p"}),))
    with pytest.raises(Unpriced, match="resolution=4k"):
        rule.fitting({"resolution": "4k"})
    with pytest.raises(Unpriced, match="resolution=nothing"):
        Rule((), channels={"theirs": rule}).fitting({})


@pytest.mark.parametrize(
    ("multiplier", "total"), [(ONE, 1001), (1_250_000, 1251), (333_333, 334), (0, 0), (999, 1), (499, 0)]
)
def test_a_multiplier_is_exact_and_rounded_with_all_else(multiplier: int, total: int) -> None:
    rule = Rule((Line(Unit.RUN, 1001),)).combined({}, multiplier)
    assert rule.explained({Unit.RUN: 1})["total"] == rule.of_tokens({}) == total
    assert total == math.floor(Fraction(1001 * multiplier, ONE) + Fraction(1, 2))


def test_a_channel_has_its_own_rule_and_the_hold_covers_each() -> None:
    rule = Rule((Line(Unit.RUN, 10),)).combined({"dear": Rule((Line(Unit.SECOND, 7),))}, 2 * ONE)
    assert rule.on("dear").charge({Unit.RUN: 1, Unit.SECOND: 3}, 100).micros == 42
    assert rule.on("any other").charge({Unit.RUN: 1, Unit.SECOND: 3}, 100).micros == 20
    assert rule.most({Unit.SECOND: 3.0}) == 42


@given(RULES, FIELDS)
def test_a_rule_that_is_frozen_is_the_same_when_it_thaws(rule: Rule, said: dict[str, str]) -> None:
    fit = fitted(rule, said)
    assert msgspec.json.decode(fit.text, type=Rule) == fit


def test_a_rule_of_the_last_release_charges_what_it_did() -> None:
    """As its tasks and its request log have it."""
    text = (
        '{"lines":[{"unit":"output","micros":3000},{"unit":"input_token","micros":2500000,"per":1000000},'
        '{"unit":"input_token","micros":5000000,"per":1000000,"above":200000}],"version":"v1","source":"operator"}'
    )
    rule = msgspec.json.decode(text, type=Rule)
    charge = rule.on("any").charge({Unit.OUTPUT: 2, Unit.INPUT_TOKEN: 101}, 10_000)
    assert charge.micros == 6253
    assert charge.detail == {
        "rule": "v1",
        "source": "operator",
        "units": {"output": 2, "input_token": 101},
        "lines": [
            {"unit": "output", "amount": 2, "micros": 3000, "per": 1, "comes_to": "6000"},
            {"unit": "input_token", "amount": 101, "micros": 2500000, "per": 1000000, "comes_to": "252.5"},
        ],
        "total": 6253,
    }
    assert rule.fitting({"size": "any"}) is rule
    assert msgspec.json.decode('{"lines":[]}', type=Rule).most({}) == 0


@given(st.integers(0, 10**12), st.sampled_from([1, 60, 1000, 2**20, 10**6, 10**15]), st.integers(1, 10**9))
def test_what_a_line_comes_to_is_told_exactly_where_a_decimal_can(micros: int, per: int, amount: int) -> None:
    [line] = Rule((Line(Unit.SECOND, micros, per),)).explained({Unit.SECOND: amount})["lines"]
    exact = Fraction(micros * amount, per)
    if per == 60:
        assert abs(Fraction(Decimal(line["comes_to"])) - exact) <= Fraction(1, 10**12)
    else:
        assert Fraction(Decimal(line["comes_to"])) == exact


def test_the_dearest_price_still_fits_into_the_books() -> None:
    rule = Rule((Line(Unit.SECOND, 10**15),))
    charge = rule.charge({Unit.SECOND: 1e300}, rule.most({Unit.SECOND: 1e12}))
    assert charge.micros == DEAREST < 2**63
    assert 0 <= charge.uncovered < 2**63
