from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.canonical.usage import Unit
from penstock.context import Context
from penstock.errors import CallerError, Unpriced
from penstock.ledger import Prices, Rule
from penstock.ledger.rules import Line

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
