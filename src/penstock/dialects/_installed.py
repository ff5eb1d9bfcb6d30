"""The dialects that are installed, by name."""

from __future__ import annotations

from functools import cache

from penstock import plugins
from penstock.dialects._base import Dialect


@cache
def dialects() -> dict[str, Dialect]:
    return plugins.find("dialects", Dialect)
