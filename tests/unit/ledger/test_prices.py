from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.canonical.usage import Unit
from penstock.canonical.who import ONE
from penstock.clock import Nanos, parse
from penstock.context import Context
from penstock.errors import CallerError, Unpriced
from penstock.ids import new_id
from penstock.ledger import Prices, Rule
from penstock.ledger.rules import Line
from penstock.store import accounts

RUN, TOKEN = Unit.RUN, Unit.INPUT_TOKEN


def test_it_is_rounded_once_at_the_end() -> None:
    thirds = Rule((Line(RUN, 1, 3), Line(Unit.OUTPUT, 1, 3), Line(Unit.SECOND, 1, 3)))
    assert thirds.charge({RUN: 1, Unit.OUTPUT: 1, Unit.SECOND: 1}, 10).micros == 1
    assert Rule((Line(RUN, 1, 2),)).charge({RUN: 1}, 10).micros == 1


def test_per() -> None:
    assert Rule((Line(TOKEN, 3_000_000, 1_000_000),)).charge({TOKEN: 1234}, 10_000).micros == 3702


def test_what_is_above_the_hold_is_uncovered() -> None:
    charge = Rule((Line(RUN, 70),)).charge({RUN: 2}, 100)
    assert (charge.micros, charge.uncovered, charge.detail["total"]) == (100, 40, 140)


def test_what_was_not_reported_costs_nothing_and_a_zero_is_zero() -> None:
    rule = Rule((Line(RUN, 70), Line(Unit.SECOND, 5)))
    assert rule.charge({}, 100).micros == 0
    assert rule.charge({RUN: 0, Unit.OUTPUT: 9}, 100).micros == 0
    assert rule.most({Unit.SECOND: 4}) == 90


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -5.0, 1e300])
def test_a_vendor_s_nonsense_breaks_nothing(amount: float) -> None:
    charge = Rule((Line(Unit.SECOND, 1_000_000),)).charge({Unit.SECOND: amount}, 100)
    assert 0 <= charge.micros <= 100
    assert 0 <= charge.uncovered < 2**63


LINES = st.builds(Line, st.sampled_from(list(Unit)), st.integers(0, 10**8), st.integers(1, 10**6))
USAGE = st.dictionaries(st.sampled_from(list(Unit)), st.floats(0, 1e6))


@given(st.lists(LINES, max_size=4), USAGE, st.integers(0, 10**9))
def test_the_detail_adds_up(lines: list[Line], usage: dict[Unit, float], hold: int) -> None:
    charge = Rule(tuple(lines), "v1", "operator").charge(usage, hold)
    total = sum(
        (Decimal(str(line["amount"])) * line["micros"] / line["per"] for line in charge.detail["lines"]), Decimal(0)
    )
    assert abs(total - charge.detail["total"]) <= Decimal("0.5")
    assert charge.micros + charge.uncovered == charge.detail["total"]
    assert 0 <= charge.micros <= hold
    assert (charge.detail["rule"], charge.detail["source"]) == ("v1", "operator")


@pytest.mark.anyio
async def test_the_newest_rule_counts_and_is_read_at_start(context: Context) -> None:
    prices, listed = context.of(Prices), Rule((Line(RUN, 1),))
    with pytest.raises(Unpriced):
        prices.rule("m", None)
    assert prices.rule("m", listed) is listed
    await prices.add("m", [{"unit": "run", "micros": 5}])
    newest = await prices.add("m", [{"unit": "run", "micros": 7, "per": 2}])
    again = Prices(context)
    await again.load()
    assert again.every() == prices.every()
    assert again.now() == {"m": {"": newest.rule}}
    assert again.rule("m", listed).lines == (Line(RUN, 7, 2),)
    assert newest.id


@pytest.mark.anyio
@pytest.mark.parametrize("line", [{"unit": "run", "micros": -1}, {"unit": "run", "micros": 1, "per": 0}, {"unit": "x"}])
async def test_nonsense_is_no_price(context: Context, line: dict[str, object]) -> None:
    with pytest.raises(CallerError):
        await context.of(Prices).add("m", [line])
    assert context.of(Prices).every() == []


# ── over time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

DECEMBER = parse("2026-12-01")


class Clock:
    def __init__(self, at: Nanos) -> None:
        self.at = at

    def __call__(self) -> Nanos:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands still until it is set."""
    held = Clock(parse("2026-11-21T12:00:00Z"))
    monkeypatch.setattr("penstock.ledger.prices.now", held)
    return held


def costs(prices: Prices, channel: str = "", multiplier: int = ONE) -> int:
    return prices.rule("m", Rule((Line(RUN, 1),)), multiplier).on(channel).of_tokens({})


@pytest.mark.anyio
async def test_a_dated_price_holds_from_its_moment_on(context: Context, clock: Clock) -> None:
    prices = context.of(Prices)
    await prices.add("m", [{"unit": "run", "micros": 7}], starts_at=DECEMBER)
    assert (costs(prices), prices.now(), prices.knows("m")) == (1, {}, False)
    clock.at += 1
    await prices.add("m", [{"unit": "run", "micros": 5}])
    frozen = prices.rule("m", None)
    clock.at = DECEMBER - 1
    assert costs(prices) == 5
    clock.at = DECEMBER
    assert costs(prices) == 7
    assert frozen.of_tokens({}) == 5
    again = Prices(context)
    await again.load()
    assert costs(again) == 7
    assert [dated.starts_at for dated in again.every()] == [parse("2026-11-21T12:00:00Z") + 1, DECEMBER]


@pytest.mark.anyio
async def test_of_two_that_begin_at_once_the_later_one_counts(context: Context, clock: Clock) -> None:
    prices = context.of(Prices)
    await prices.add("m", [{"unit": "run", "micros": 7}], starts_at=DECEMBER)
    await prices.add("m", [{"unit": "run", "micros": 8}], starts_at=DECEMBER)
    clock.at = DECEMBER
    assert costs(prices) == 8


@pytest.mark.anyio
async def test_a_price_can_be_taken_away_now_and_from_a_date(context: Context, clock: Clock) -> None:
    prices = context.of(Prices)
    await prices.add("m", [{"unit": "run", "micros": 5}])
    await prices.add("m", None, starts_at=DECEMBER)
    assert costs(prices) == 5
    clock.at = DECEMBER
    assert costs(prices) == 1
    with pytest.raises(Unpriced):
        prices.rule("m", None)
    assert prices.now() == {}


@pytest.mark.anyio
async def test_a_channel_has_a_price_of_its_own_over_time(context: Context, clock: Clock) -> None:
    prices = context.of(Prices)
    await prices.add("m", [{"unit": "run", "micros": 9}], channel="dear")
    assert (costs(prices), costs(prices, "dear")) == (1, 9)
    with pytest.raises(Unpriced):
        prices.rule("m", None)
    await prices.add("m", [{"unit": "run", "micros": 5}])
    await prices.add("m", None, channel="dear", starts_at=DECEMBER)
    assert (costs(prices), costs(prices, "dear")) == (5, 9)
    assert prices.rule("m", None).most({}) == 9
    assert (costs(prices, multiplier=1_500_000), costs(prices, "dear", 1_500_000)) == (8, 14)
    clock.at = DECEMBER
    assert (costs(prices), costs(prices, "dear")) == (5, 5)
    assert prices.rule("m", None).most({}) == 5


@pytest.mark.anyio
async def test_a_multiplier_is_of_list_prices_too(context: Context) -> None:
    assert costs(context.of(Prices), multiplier=2_500_000) == 3


@pytest.mark.anyio
async def test_rows_of_the_last_release_still_hold_in_the_order_in_which_they_were_made(context: Context) -> None:
    lines = '[{{"unit":"run","micros":{}}}]'
    for number, at in ((1, 100), (2, 200)):
        row = {"id": new_id(), "rule": lines.format(number), "created_at": at, "starts_at": 0}
        await context.store.write(accounts._PRICE(model="m", source="operator", channel="", **row))
    prices = context.of(Prices)
    await prices.load()
    assert costs(prices) == 2
    assert [dated.starts_at for dated in prices.every()] == [100, 200]
    await prices.add("m", [{"unit": "run", "micros": 3}])
    assert costs(prices) == 3


@pytest.mark.anyio
async def test_of_many_prices_all_are_set_or_none(context: Context) -> None:
    prices = context.of(Prices)
    with pytest.raises(CallerError):
        await prices.add_all([("a", (Line(RUN, 1),), "x", "", 0), ("b", (Line(RUN, 1), Line(RUN, 2)), "x", "", 0)])
    assert prices.every() == []
    made = await prices.add_all([("a", (Line(RUN, 1),), "x", "", 0), ("b", (Line(RUN, 2),), "y", "", 0)])
    assert {(dated.model, dated.rule and dated.rule.source) for dated in made} == {("a", "x"), ("b", "y")}
