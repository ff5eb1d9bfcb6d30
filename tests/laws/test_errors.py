"""Every error has a word and a readable body in every dialect, and says what to do next; the docs show all that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from penstock import errors
from penstock.clock import SECOND
from penstock.dialects._base import Dialect
from penstock.dialects._installed import dialects
from penstock.errors import PenstockError
from tests.laws import words
from tests.laws.words import make


def kinds(root: type[PenstockError] = PenstockError) -> Iterator[type[PenstockError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def strings(value: Any) -> Iterator[str]:
    """Every string within a JSON value."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(part)


KINDS = sorted(set(kinds()), key=lambda kind: kind.__name__)
SPEAKING = [dialect for dialect in dialects().values() if type(dialect).error is not Dialect.error]

NEVER_BLINDLY = {errors.Conflict, errors.FateUnknown}
"""Their status is one that clients repeat, but look first: errors.py says why."""


def test_the_dialects_are_found() -> None:
    assert {"penstock", "replicate"} <= {dialect.name for dialect in SPEAKING}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("dialect", SPEAKING, ids=lambda dialect: dialect.name)
def test_every_error_has_a_word_in_every_dialect(dialect: Dialect, kind: type[PenstockError]) -> None:
    exc = make(kind)
    assert dialect.word(exc)
    reply = dialect.error(exc)
    assert 400 <= reply.status < 600
    assert reply.content_type in ("application/json", "application/problem+json")
    assert any(str(exc) in said for said in strings(json.loads(reply.encoded())))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_is(kind: type[PenstockError]) -> None:
    exc = make(kind)
    assert 400 <= exc.status < 600
    assert exc.code == exc.code.lower()


@pytest.mark.parametrize("kind", words.KINDS, ids=lambda kind: kind.__name__)
def test_every_error_says_what_to_do(kind: type[PenstockError]) -> None:
    assert "advice" in vars(kind), "its own, not its parent's"
    assert kind.advice.endswith(".")
    assert kind.advice not in [other.advice for other in words.KINDS if other is not kind]


def test_each_code_is_one_errors() -> None:
    codes = [kind.code for kind in words.KINDS if kind is not PenstockError]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("kind", words.KINDS, ids=lambda kind: kind.__name__)
def test_what_may_be_sent_again(kind: type[PenstockError]) -> None:
    repeats = kind.status in (408, 409, 429) or kind.status >= 500
    assert kind.retry is (repeats and kind not in NEVER_BLINDLY)


def test_the_table_of_errors_is_in_the_docs() -> None:
    assert words.shown() == words.generated(), "run: python -m tests.laws.words"


def test_a_quota_says_when_it_begins_anew() -> None:
    assert str(errors.QuotaReached()) == "This key's quota is used up."
    said = "This key's quota for this day is used up. It begins anew at 2025-11-22T00:00:00Z."
    assert str(errors.QuotaReached("day", 1_763_769_600 * SECOND)) == said


def test_a_new_error_takes_its_nearest_ancestors_word() -> None:
    class Novel(errors.UpstreamBusy):
        """Something new."""

    for dialect in SPEAKING:
        assert dialect.error(Novel()).status == dialect.error(errors.UpstreamBusy()).status
        assert dialect.word(Novel()) == dialect.word(errors.UpstreamBusy())
