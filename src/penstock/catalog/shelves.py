"""The catalogue: every model file of the package and of the operator's folder, read once, found by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from msgspec import Struct, structs

from penstock.catalog.models import Model, Version
from penstock.errors import GatewayError

OWN = Path(__file__).parent
NAME = re.compile(r"[A-Za-z0-9_.-]+")
T = TypeVar("T")


class BrokenCatalog(GatewayError):
    """A catalogue file can't be used."""

    code = "broken_catalog"


class Hardware(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    sku: str


class Collection(Struct, frozen=True, forbid_unknown_fields=True):
    """Models for one purpose: `models` are the paths of those that name the collection's slug, in order of path."""

    slug: str
    name: str
    description: str
    full_description: str | None = None
    models: tuple[str, ...] = ()


class Catalog:
    """What we know. Never changes after it is loaded; an operator who edits files restarts."""

    def __init__(
        self, models: Iterable[Model], collections: Iterable[Collection], hardware: Iterable[Hardware]
    ) -> None:
        """Raises BrokenCatalog when two models claim one version id or one dialect's name."""
        self._models = {model.path: model for model in sorted(models, key=lambda model: model.path)}
        self._versions: dict[str, tuple[Model, Version]] = {}
        self._named: dict[tuple[str, str], Model] = {}
        for model in self._models.values():
            for version in model.versions:
                _claim(self._versions, version.id, (model, version), model, "version")
            for name in model.names.items():
                _claim(self._named, name, model, model, "name")
        self._collections = tuple(self._filled(collection) for collection in collections)
        self._hardware = tuple(hardware)

    @classmethod
    def load(cls, extra: Path | None = None) -> Self:
        """The package's models, and those in `extra`, laid out alike (`<owner>/<name>.json`), which override and add.

        Raises BrokenCatalog, which names the file and what is wrong with it. The operator's schemas are tried at once;
        the package's were tried when it was tested.
        """
        models = {model.path: model for model in _models(OWN / "models")}
        if extra is not None:
            if not extra.is_dir():
                raise BrokenCatalog(f"{extra}: no such folder")
            models |= {model.path: _tried(model, extra) for model in _models(extra)}
        collections = _read(OWN / "collections.json", list[Collection])
        return cls(models.values(), collections, _read(OWN / "hardware.json", list[Hardware]))

    def with_models(self, models: Iterable[Model]) -> Catalog:
        """A catalogue that has these too; of two with one path, ours."""
        merged = {model.path: model for model in models} | self._models
        return Catalog(merged.values(), self._collections, self._hardware)

    def find(self, path: str) -> Model | None:
        return self._models.get(path)

    def version(self, id: str) -> tuple[Model, Version] | None:
        return self._versions.get(id)

    def named(self, dialect: str, name: str) -> Model | None:
        """The model that `dialect` calls `name`; every dialect may also say `owner/name`."""
        return self._named.get((dialect, name)) or self._models.get(name)

    def models(self) -> tuple[Model, ...]:
        """All of them, in order of path."""
        return tuple(self._models.values())

    def search(self, text: str) -> list[Model]:
        """Models in whose path, description, or collections every word of `text` occurs; those named so come first."""
        words = text.lower().split()
        found = [model for model in self._models.values() if all(word in _searched(model) for word in words)]
        return sorted(found, key=lambda model: not all(word in model.path.lower() for word in words))

    def collections(self) -> tuple[Collection, ...]:
        return self._collections

    def hardware(self) -> tuple[Hardware, ...]:
        return self._hardware

    def _filled(self, collection: Collection) -> Collection:
        slug = collection.slug
        return structs.replace(
            collection, models=tuple(model.path for model in self._models.values() if slug in model.collections)
        )


def _searched(model: Model) -> str:
    return f"{model.path} {model.description} {' '.join(model.collections)}".lower()


def _claim(index: dict[Any, T], key: Any, value: T, model: Model, what: str) -> None:
    if key in index:
        raise BrokenCatalog(f"{model.path}: another model has the {what} {key}")
    index[key] = value


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _models(folder: Path) -> Iterator[Model]:
    for file in folder.glob("*/*.json"):
        if not (NAME.fullmatch(file.parent.name) and NAME.fullmatch(file.stem)):
            raise BrokenCatalog(f"{file}: owner and name may have letters, digits, and _ . - only")
        yield _completed(_read(file, Model), file)


def _completed(model: Model, file: Path) -> Model:
    owner, name = file.parent.name, file.stem
    if any(version.document is None and "properties" not in version.input for version in model.versions):
        raise BrokenCatalog(f"{file}: a version needs `input` with `properties`, or an `openapi_schema`")
    if model.usual_s > model.longest_s:
        raise BrokenCatalog(f"{file}: usual_s is more than longest_s")
    versions = tuple(version.completed(f"{owner}/{name}") for version in model.versions)
    return structs.replace(model, owner=owner, name=name, versions=versions)


def _tried(model: Model, folder: Path) -> Model:
    for version in model.versions:
        try:
            _ = version.validator
        except ValueError as broken:
            raise BrokenCatalog(f"{folder / model.path}.json: not a schema: {str(broken).splitlines()[0]}") from broken
    return model


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as broken:  # a ValidationError is a DecodeError
        raise BrokenCatalog(f"{file}: {broken}") from broken
