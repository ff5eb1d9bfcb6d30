"""The fault matrix that the tests play is the one that the docs show."""

from __future__ import annotations

from tests.fault import matrix


def test_the_matrix_is_in_the_docs() -> None:
    assert matrix.shown() == matrix.generated(), "run: python -m tests.fault.matrix"


def test_each_fault_is_there_once() -> None:
    assert len({fault.name for fault in matrix.MATRIX}) == len({fault.words for fault in matrix.MATRIX})
    assert len({fault.name for fault in matrix.MATRIX}) == len(matrix.MATRIX)
