"""The catalogue of this process: what files say, and what running servers said of themselves."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.catalog.models import Model
from penstock.catalog.shelves import Catalog
from penstock.context import Context


class _Loaded:
    def __init__(self, ctx: Context) -> None:
        self.files = self.catalog = Catalog.load(ctx.settings.catalog)


def catalog(ctx: Context) -> Catalog:
    return ctx.of(_Loaded).catalog


def put(ctx: Context, models: Iterable[Model]) -> None:
    """Show these beside those of the files, in place of the ones that were put before. Files win."""
    loaded = ctx.of(_Loaded)
    loaded.catalog = loaded.files.with_models(models)
