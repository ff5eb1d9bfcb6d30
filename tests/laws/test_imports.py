"""Imports go down, inside functions too; rooms of one floor are strangers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import penstock

ROOT = Path(penstock.__file__).parent
FLOORS = [
    {"__main__", "cli"},
    {"serving", "running"},
    {"server", "protocol"},
    {"exchange", "router"},
    {"console"},
    {"declared"},
    {"gateway"},
    {"desk"},
    {"tasks"},
    {"calls"},
    {"routing", "access", "ledger", "catalog"},
    {"context"},
    {"dialects", "providers", "store"},
    {"formats"},
    {"wire"},
    {"canonical"},
    {"errors", "config", "log", "clock", "ids", "money", "plugins", "faults", "metrics", ""},
]
"""From the top; the last are leaves, which any room may use. `""` is the package itself: its version."""
MAY = {("__main__", "cli")}
"""Neighbours of one floor who do know each other."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def imports() -> Iterator[tuple[str, int, str]]:
    """(file, line, imported module) of every import of our own."""
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((where, node.lineno, alias.name) for alias in node.names if _ours(alias.name))
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{where}:{node.lineno}: relative import"
                if node.module == "penstock":
                    yield from ((where, node.lineno, _named(alias.name)) for alias in node.names)
                elif node.module and _ours(node.module):
                    yield where, node.lineno, node.module


def _ours(module: str) -> bool:
    return module.split(".")[0] == "penstock"


def _named(name: str) -> str:
    found = (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()
    return f"penstock.{name}" if found else "penstock"


def own_room(where: str) -> str:
    head = where.partition("/")[0].removesuffix(".py")
    return "" if head == "__init__" else head


def test_every_room_has_its_floor() -> None:
    rooms = {own_room(path.relative_to(ROOT).as_posix()) for path in ROOT.rglob("*.py")}
    assert rooms - set(FLOOR) == set()


def test_imports_go_down() -> None:
    last = len(FLOORS) - 1
    wrong = [
        f"{where}:{line} imports {module}"
        for where, line, module in imports()
        if (mine := own_room(where)) != (theirs := room_of(module))
        and FLOOR[mine] >= FLOOR[theirs]
        and (mine, theirs) not in MAY
        and FLOOR[theirs] != last
    ]
    assert wrong == []


def test_no_rooms_need_each_other() -> None:
    needs: dict[str, set[str]] = {}
    for where, _, module in imports():
        needs.setdefault(own_room(where), set()).add(room_of(module))
    rings = [(a, b) for a in needs for b in needs[a] if a < b and a in needs.get(b, ())]
    assert rings == []
    done: set[str] = set()
    while ready := {
        room for room in needs if room not in done and needs[room] - {room} <= done | (FLOOR.keys() - needs.keys())
    }:
        done |= ready
    assert needs.keys() - done == set(), "these go round in a circle"
