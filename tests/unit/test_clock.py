from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.clock import SECOND, after, parse, rfc3339, seconds

AT = 1_772_615_411_503_218_700


def test_written() -> None:
    assert rfc3339(AT) == "2026-03-04T09:10:11.5032187Z"
    assert rfc3339(AT, 3) == "2026-03-04T09:10:11.503Z"
    assert rfc3339(AT, 0) == rfc3339(AT // SECOND * SECOND) == "2026-03-04T09:10:11Z"


@pytest.mark.parametrize(
    "text",
    ["2026-03-04T09:10:11.5032187Z", "2026-03-04 09:10:11.503218700", "2026-03-04T11:10:11.5032187+02:00",
     "2026-03-04t09:10:11.5032187z", " 2026-03-04T09:10:11.50321870099Z "],
)  # fmt: skip
def test_read(text: str) -> None:
    assert parse(text.replace("t", "T")) == AT


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-03-04T09:10:11.5x", "."])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"])
def test_any_year_fits_the_store(text: str) -> None:
    assert -(2**63) <= parse(text) < 2**63


@given(st.integers(-(2**62), 2**62))
def test_what_is_written_is_read_back(at: int) -> None:
    assert parse(rfc3339(at)) == at


def test_spans() -> None:
    assert after(1.5, AT) - AT == 1_500_000_000
    assert seconds(1_500_000_000) == 1.5
