"""What we know: models as data, and whether an input is what a model takes."""

from penstock.catalog.models import Kind, ListPrice, Model, Version
from penstock.catalog.shelves import BrokenCatalog, Catalog, Collection, Hardware
from penstock.catalog.validation import check, defaults

__all__ = [
    "BrokenCatalog",
    "Catalog",
    "Collection",
    "Hardware",
    "Kind",
    "ListPrice",
    "Model",
    "Version",
    "check",
    "defaults",
]
