"""What is held is the most that an input can come to, whatever else the input says."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.canonical.usage import Unit
from penstock.canonical.who import LIVE, ONE, TEST, Caller, Group
from penstock.catalog import ListPrice, Model, Version
from penstock.context import Context
from penstock.errors import Unpriced
from penstock.ledger import Prices, Rule
from penstock.ledger.rules import Line
from penstock.tasks.costs import FILE_TOKENS, TOKENS_MOST, bounds, frozen, most, rule_for

LONGEST_S = 60.0
MOST = 10**9


@pytest.mark.parametrize(
    ("unit", "input", "bound"),
    [
        (Unit.RUN, {"n": 4}, 1),
        (Unit.OUTPUT, {}, 1),
        (Unit.OUTPUT, {"num_outputs": 4, "n": 1}, 4),
        (Unit.OUTPUT, {"num_outputs": -4}, 1),
        (Unit.OUTPUT, {"num_outputs": 0.5}, 1),
        (Unit.OUTPUT, {"num_outputs": True}, 1),
        (Unit.OUTPUT, {"num_outputs": 10**30}, MOST),
        (Unit.OUTPUT, {"num_outputs": "4"}, 1),
        (Unit.SECOND, {"duration": 5}, LONGEST_S),
        (Unit.VIDEO_SECOND, {}, LONGEST_S),
        (Unit.VIDEO_SECOND, {"duration": 5}, 5),
        (Unit.VIDEO_SECOND, {"duration": 5, "seconds": 8}, 8),
        (Unit.VIDEO_SECOND, {"duration": "10"}, 10),
        (Unit.VIDEO_SECOND, {"seconds": "8s"}, 8),
        (Unit.VIDEO_SECOND, {"duration": "0"}, LONGEST_S),
        (Unit.VIDEO_SECOND, {"duration": "short"}, LONGEST_S),
        (Unit.VIDEO_SECOND, {"duration": True}, LONGEST_S),
        (Unit.VIDEO_SECOND, {"duration": -5}, LONGEST_S),
        (Unit.VIDEO_SECOND, {"duration": 5, "n": 4}, 20),
        (Unit.AUDIO_SECOND, {"duration": 5.5}, 5.5),
        (Unit.CHARACTER, {"text": "two words"}, 9),
        (Unit.CHARACTER, {"lines": ["ab", {"text": "cdé"}], "speed": 2}, 5),
        (Unit.OUTPUT_TOKEN, {"max_tokens": 5}, 5),
        (Unit.OUTPUT_TOKEN, {"max_tokens": 5, "n": 3}, 15),
        (Unit.OUTPUT_TOKEN, {"max_tokens": 0, "max_new_tokens": 100}, 100),
        (Unit.OUTPUT_TOKEN, {"max_tokens": 0}, TOKENS_MOST),
        (Unit.OUTPUT_TOKEN, {"max_tokens": -7}, TOKENS_MOST),
        (Unit.OUTPUT_TOKEN, {"max_tokens": "5"}, TOKENS_MOST),
        (Unit.OUTPUT_TOKEN, {"max_tokens": 10**30}, MOST),
        (Unit.IMAGE_OUTPUT_TOKEN, {"n": 2}, 2 * TOKENS_MOST),
        (Unit.SEARCH, {"prompt": "x"}, 1),
    ],
)
def test_bounds(unit: Unit, input: dict[str, Any], bound: float) -> None:
    assert bounds(Rule((Line(unit, 10),)), None, input, LONGEST_S) == {unit: bound}
    assert most(Rule((Line(unit, 10),)), None, input, LONGEST_S) == 10 * bound


@pytest.mark.parametrize("text", ["four", "船⛵", "\0\n", "\ud800", "🚢" * 100])
def test_a_token_is_at_least_a_byte(text: str) -> None:
    asked = len(text.encode("utf-8", "surrogatepass"))
    held = bounds(Rule((Line(Unit.INPUT_TOKEN, 1),)), None, {"prompt": text}, LONGEST_S)[Unit.INPUT_TOKEN]
    assert asked <= held <= 4 * asked + 20


def test_a_file_has_tokens_that_its_link_does_not_show() -> None:
    rule = Rule((Line(Unit.IMAGE_INPUT_TOKEN, 1), Line(Unit.INPUT_TOKEN, 1)))
    input = {"prompt": "x", "images": ["https://a.example/b.png", "HTTPS://a.example/c.png"]}
    found = bounds(rule, None, input, LONGEST_S)
    assert found[Unit.IMAGE_INPUT_TOKEN] == found[Unit.INPUT_TOKEN] + 2 * FILE_TOKENS
    assert most(rule, None, input, LONGEST_S) == found[Unit.IMAGE_INPUT_TOKEN], "both together, not each"


# ── which rule ────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = ("https://example.org/prices", "2026-11-21")
FIELDS = {
    "prompt": {"type": "string"},
    "size": {"type": "string", "enum": ["small", "large", "vast"], "default": "small"},
    "duration": {"type": "integer", "default": 5},
}


def model(*prices: ListPrice) -> tuple[Model, Version]:
    version = Version("2026-11-21T00:00:00Z", "", input={"properties": FIELDS})
    made = Model("image", "", (version,), 1, 60, "https://example.org", "2026-11-21", "acme", "paint", prices=prices)
    return made, version


BY_SIZE = model(
    ListPrice(Unit.OUTPUT, 10, *PAGE, when={"size": "small"}),
    ListPrice(Unit.OUTPUT, 30, *PAGE, when={"size": "large"}),
)


def caller(mode: str = LIVE, multiplier: int = ONE) -> Caller:
    return Caller("k", "a", "a", mode, group=Group(multiplier=multiplier))


@pytest.mark.anyio
@pytest.mark.parametrize(("input", "held"), [({}, 10), ({"size": "large"}, 30), ({"colour": "large"}, 10)])
async def test_list_prices_go_by_what_the_input_says_defaults_included(
    context: Context, input: dict[str, Any], held: int
) -> None:
    rule = rule_for(context, caller(), "acme/paint", BY_SIZE, input)
    assert most(rule, BY_SIZE[1], input, LONGEST_S) == held


@pytest.mark.anyio
async def test_a_live_key_is_refused_what_has_no_price_and_a_test_key_is_not(context: Context) -> None:
    with pytest.raises(Unpriced, match="size=vast"):
        rule_for(context, caller(), "acme/paint", BY_SIZE, {"size": "vast"})
    assert rule_for(context, caller(TEST), "acme/paint", BY_SIZE, {"size": "vast"}).lines == ()
    with pytest.raises(Unpriced):
        rule_for(context, caller(), "acme/paint", model(), {})
    assert rule_for(context, caller(TEST), "acme/paint", model(), {}).lines == ()


@pytest.mark.anyio
async def test_the_operator_s_rule_goes_first_for_the_alias_then_for_the_model(context: Context) -> None:
    prices = context.of(Prices)
    await prices.add("acme/paint", [{"unit": "run", "micros": 7}])
    assert rule_for(context, caller(), "acme/paint", BY_SIZE, {}, "brush").most({}) == 7
    await prices.add("brush", [{"unit": "run", "micros": 5, "when": {"size": "small"}}])
    assert rule_for(context, caller(), "acme/paint", BY_SIZE, {}, "brush").most({}) == 5
    assert rule_for(context, caller(), "acme/paint", BY_SIZE, {}).most({}) == 7


@pytest.mark.anyio
async def test_what_is_frozen_has_the_multiplier_the_channels_and_only_the_lines_that_fit(context: Context) -> None:
    lines = [{"unit": "output", "micros": 9, "when": {"size": "large"}}, {"unit": "output", "micros": 4}]
    await context.of(Prices).add("acme/paint", lines, channel="dear")
    rule = rule_for(context, caller(multiplier=1_500_000), "acme/paint", BY_SIZE, {"size": "large"})
    assert rule.lines == (Line(Unit.OUTPUT, 30, when={"size": "large"}),)
    assert rule.on("dear").lines == (Line(Unit.OUTPUT, 9, when={"size": "large"}),)
    assert (rule.multiplier, rule.on("dear").multiplier) == (1_500_000, 1_500_000)
    assert most(rule, BY_SIZE[1], {"size": "large"}, LONGEST_S) == 45
    assert frozen(rule) == rule.text
