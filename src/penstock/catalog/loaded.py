"""The catalogue of this process."""

from __future__ import annotations

from penstock.catalog.shelves import Catalog
from penstock.context import Context


class _Loaded:
    def __init__(self, ctx: Context) -> None:
        self.catalog = Catalog.load(ctx.settings.catalog)


def catalog(ctx: Context) -> Catalog:
    return ctx.of(_Loaded).catalog
