from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.canonical.usage import Unit
from penstock.errors import CallerError
from penstock.ledger.lines import check, parsed, written
from penstock.ledger.prices import read_lines
from penstock.ledger.rules import Line

WORDS = st.from_regex(r"[A-Za-z0-9_:-]([A-Za-z0-9_ :-]*[A-Za-z0-9_:-])?", fullmatch=True)
LINES = st.builds(
    Line,
    st.sampled_from(list(Unit)),
    st.integers(0, 10**15),
    st.integers(1, 2**53 - 1),
    st.integers(0, 2**53 - 1),
    st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), WORDS, max_size=3),
)


@given(LINES)
def test_what_is_written_is_read_back(line: Line) -> None:
    assert read_lines([parsed(written(line))]) == (line,)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("output=0.04 when size=1x1,quality=hd", Line(Unit.OUTPUT, 40_000, when={"size": "1x1", "quality": "hd"})),
        ("video_second=0.10 when resolution=1080p", Line(Unit.VIDEO_SECOND, 100_000, when={"resolution": "1080p"})),
        ("input_token=2.5/1000000 above 200000", Line(Unit.INPUT_TOKEN, 2_500_000, 10**6, 200_000)),
        (
            "second = 2.5 / 1_000  above 2_00 when a = b c , d=e",
            Line(Unit.SECOND, 2_500_000, 1000, 200, {"a": "b c", "d": "e"}),
        ),
        ("input_token=0.00000015", Line(Unit.INPUT_TOKEN, 15, 100)),
        ("minute=0.6", Line(Unit.SECOND, 600_000, 60)),
        ("audio_minute=0.006", Line(Unit.AUDIO_SECOND, 6000, 60)),
        ("request=$1", Line(Unit.RUN, 1_000_000)),
        ("image=0", Line(Unit.OUTPUT, 0)),
    ],
)
def test_lines(text: str, line: Line) -> None:
    assert read_lines([parsed(text)]) == (line,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("output 0.04", "write UNIT=USD"),
        ("outputs=0.04", "do you mean output?"),
        ("banana=1", "there is no unit 'banana'"),
        ("output=four", "write a decimal"),
        ("output=NaN", "not a price"),
        ("output=-1", "can't be negative"),
        ("output=1e10", "a billion"),
        ("output=1e-99", "2.5/1000000"),
        ("output=1/0", "'0' is not a whole number"),
        ("output=1/1__0", "not a whole number"),
        ("output=1/x", "write UNIT=USD"),
        ("output=1 above", "write UNIT=USD"),
        ("output=1 above 99999999999999999999", "not a whole number"),
        ("output=1 when size", "after `when`"),
        ("output=1 when size=,a=b", "after `when`"),
        ("output=1 if size=1", "write UNIT=USD"),
        ("", "write UNIT=USD"),
    ],
)
def test_nonsense_is_told_what_to_write_instead(text: str, words: str) -> None:
    with pytest.raises(CallerError) as caught:
        parsed(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("run=1", "request=2"), "for the same: run=2"),
        (("output=1 when a=b,c=d", "output=2 when c=d,a=b"), "for the same"),
        (("input_token=1 above 5",), "input_token=USD"),
        (("output=1", "output=2 above 5 when size=l"), "output=USD when size=l"),
    ],
)
def test_lines_that_do_not_go_together(lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(CallerError, match=words):
        check(read_lines([parsed(line) for line in lines]))
