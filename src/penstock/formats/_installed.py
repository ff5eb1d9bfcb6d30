"""The formats that are installed, by name."""

from __future__ import annotations

from functools import cache

from penstock import plugins
from penstock.formats._base import Format


@cache
def formats() -> dict[str, Format]:
    return plugins.find("formats", Format)
