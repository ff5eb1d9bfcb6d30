"""What a report adds to the logs and outputs that were told already."""

from __future__ import annotations

import pytest

from penstock.tasks.observing import _appended, _new_items, _plain
from penstock.tasks.outputs import _unforged


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", "a\n", "a\n"),
        ("a\n", "a\nb\n", "b\n"),
        ("x" * 9000 + "end\n", "x" * 5000 + "end\nmore\n", "more\n"),  # the beginning was cut off
        ("one\n", "two\n", "two\n"),
    ],
)
def test_logs_grow_by_what_is_new(old: str, new: str, told: str) -> None:
    assert _appended(old, new) == told


def test_lists_grow_by_what_is_new() -> None:
    assert _new_items(["a"], ["a", "b"], ended=False) == ["b"]
    assert _new_items(None, "whole", ended=False) == []
    assert _new_items(None, "whole", ended=True) == ["whole"]


def test_nobody_forges_a_file_of_ours() -> None:
    forged = {"$file": "id", "$$file": [{"$file": "id"}]}
    assert _unforged(forged) == {"file": "id", "$$file": [{"file": "id"}]}


def test_no_nul_reaches_the_database() -> None:
    assert _plain("a\0b") == "ab"
    assert _plain(None) is None
