"""Finds dialects and providers: by their file's name here, by entry point (`penstock.dialects`, `penstock.providers`)
when they live elsewhere, or by the name of a module that the settings give (`plugins`)."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any


def find(room: str, base: type[Any], also: Iterable[str] = ()) -> dict[str, Any]:
    """Every subclass of `base` with a `name` that `penstock.<room>`'s files, the entry points, or the modules `also`
    define, instantiated."""
    package = importlib.import_module(f"penstock.{room}")
    files = [name for _, name, _ in pkgutil.iter_modules(package.__path__) if not name.startswith("_")]
    modules = [importlib.import_module(f"penstock.{room}.{name}") for name in files]
    modules += [importlib.import_module(entry.value) for entry in entry_points(group=f"penstock.{room}")]
    modules += [importlib.import_module(name) for name in also]
    kinds = [kind for module in modules for kind in vars(module).values() if _belongs(kind, base, module.__name__)]
    return {kind.name: kind() for kind in kinds}


def _belongs(kind: Any, base: type[Any], module: str) -> bool:
    return isinstance(kind, type) and issubclass(kind, base) and kind is not base and kind.__module__ == module
