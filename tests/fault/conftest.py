"""The counting upstream, for all fault tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rigs.counting import Counting


@pytest.fixture(scope="session")
def upstream() -> Iterator[Counting]:
    with Counting() as running:
        yield running
