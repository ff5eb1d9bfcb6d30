"""Who asks, and what has been set aside for them."""

from __future__ import annotations

from dataclasses import dataclass

LIVE, TEST = "live", "test"


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a valid key. `rpm` and `concurrency` are None where unlimited."""

    key: str
    account: str
    account_name: str
    mode: str
    name: str = ""
    rpm: int | None = None
    concurrency: int | None = None
