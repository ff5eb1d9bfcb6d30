"""Every error has a word in every dialect, and its body can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from penstock import errors
from penstock.dialects._base import Dialect
from penstock.dialects._installed import dialects
from penstock.errors import PenstockError


def kinds(root: type[PenstockError] = PenstockError) -> Iterator[type[PenstockError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def make(kind: type[PenstockError]) -> PenstockError:
    return errors.RangeNotSatisfiable(10) if kind is errors.RangeNotSatisfiable else kind()


def strings(value: Any) -> Iterator[str]:
    """Every string within a JSON value."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(part)


KINDS = sorted(set(kinds()), key=lambda kind: kind.__name__)
SPEAKING = [dialect for dialect in dialects().values() if type(dialect).error is not Dialect.error]


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


def test_a_new_error_takes_its_nearest_ancestors_word() -> None:
    class Novel(errors.UpstreamBusy):
        """Something new."""

    for dialect in SPEAKING:
        assert dialect.error(Novel()).status == dialect.error(errors.UpstreamBusy()).status
        assert dialect.word(Novel()) == dialect.word(errors.UpstreamBusy())
