"""From a path to what answers it: dialects' routes, found without looking at more than the path's own segments."""

from __future__ import annotations

from typing import Any, NamedTuple

from penstock.dialects._base import Dialect, Incoming, Route

REST = "{*}"
"""In the tree: a variable that takes all that is left of a path."""


class Bound(NamedTuple):
    """A route of a dialect, with the names of its variables."""

    dialect: Dialect
    route: Route
    names: tuple[str, ...]


class Router:
    """Paths without variables in a dict, the others in a tree of segments. Dialects may share a path: see `chosen`."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, list[Bound]]] = {}
        self._tree: dict[str, Any] = {}

    def add(self, prefix: str, dialect: Dialect, route: Route) -> None:
        path = prefix + route.path
        if "{" not in path:
            self._exact.setdefault(path, {}).setdefault(route.method, []).append(Bound(dialect, route, ()))
            return
        node = self._tree
        names = []
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                rest = segment.endswith("*}")
                names.append(segment[1 : -2 if rest else -1])
                segment = REST if rest else "{}"
            node = node.setdefault(segment, {})
        node.setdefault("", {}).setdefault(route.method, []).append(Bound(dialect, route, tuple(names)))

    def find(self, path: str) -> tuple[dict[str, list[Bound]], list[str]] | None:
        """What answers this path, by method, and the values of its variables."""
        exact = self._exact.get(path) or (self._exact.get(path[:-1]) if path.endswith("/") else None)
        if exact is not None:
            return exact, []
        return _descend(self._tree, path.split("/")[1:], 0, [])


def _descend(
    node: dict[str, Any], segments: list[str], at: int, values: list[str]
) -> tuple[dict[str, Any], list[str]] | None:
    if at == len(segments):
        return (node[""], values) if "" in node else None
    segment = segments[at]
    if segment and segment in node and (found := _descend(node[segment], segments, at + 1, values)):
        return found
    if segment and "{}" in node and (found := _descend(node["{}"], segments, at + 1, [*values, segment])):
        return found
    if segment and REST in node:
        return node[REST][""], [*values, "/".join(segments[at:])]
    return None


def chosen(bounds: list[Bound], http: Incoming) -> Bound:
    """Whose request this is, where several dialects have a route at one path; the last one takes what is nobody's."""
    if len(bounds) == 1:
        return bounds[0]
    return next((bound for bound in bounds if bound.dialect.claims(http)), bounds[-1])
