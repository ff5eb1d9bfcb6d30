"""The upstreams of fault tests: one that takes tasks, one that answers calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rigs.chatting import Chatting
from tests.rigs.counting import Counting


@pytest.fixture(scope="session")
def upstream() -> Iterator[Counting]:
    with Counting() as running:
        yield running


@pytest.fixture(scope="module")
def chatting() -> Iterator[Chatting]:
    with Chatting() as running:
        yield running
