"""The page about the admin API shows every act as it is."""

from __future__ import annotations

from tests.laws import acts


def test_the_page_shows_all_acts() -> None:
    assert acts.shown() == acts.generated(), "python -m tests.laws.acts"
