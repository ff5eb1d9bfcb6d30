"""Amounts, as people and other programs write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock.errors import CallerError
from penstock.money import micros, number


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1_000_000),
        ("-0.000001", -1),
        ("+12.50", 12_500_000),
        (".5", 500_000),
        ("0.1000000000", 100_000),
        ("1000000000", 10**15),
    ],
)
def test_dollars_are_whole_micro_dollars(text: str, amount: int) -> None:
    assert micros(text) == amount


NONE = [
    "",
    "five",
    "1e2",
    "1e999999",
    "1e-999999",
    "NaN",
    "Infinity",
    "0.0000001",
    "1000000000.000001",
    "1_0",
    "1/2",
    "$1",
]
NONE += ["9" * 10_000, "0." + "1" * 10_000, ".", "1.", "٣"]


@pytest.mark.parametrize("text", [*NONE, None, 5, 0.5])
def test_all_else_is_refused_by_its_field(text: object) -> None:
    with pytest.raises(CallerError, match=r"^quota_usd: "):
        micros(text, "quota_usd")


ODD = ["1e20", "1e999999", "1e-999999", "NaN", "-inf", "x", None]


@pytest.mark.parametrize(("text", "found"), [("1e-7", Decimal("1e-7")), (3, Decimal(3)), ("0e99999", Decimal(0))])
def test_others_write_exponents_too(text: object, found: Decimal) -> None:
    assert number(text) == found


@pytest.mark.parametrize("text", ODD)
def test_what_can_t_be_reckoned_with_is_none(text: object) -> None:
    assert number(text) is None
