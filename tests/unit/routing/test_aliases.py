from __future__ import annotations

import pytest

from penstock.context import Context
from penstock.errors import CallerError, NotFound
from penstock.routing import Aliases
from penstock.routing.aliases import flattened

pytestmark = pytest.mark.anyio


async def test_set_kept_and_removed(context: Context) -> None:
    aliases = context.of(Aliases)
    assert aliases.targets("gpt-4o") == ("gpt-4o",)
    assert await aliases.put("fast", ["a", "b", "a"]) == ("a", "b")
    assert await aliases.put("fast", ["b"]) == ("b",)
    again = Aliases(context)
    await again.load()
    assert (again.targets("fast"), again.every()) == (("b",), {"fast": ("b",)})
    await aliases.remove("fast")
    assert aliases.targets("fast") == ("fast",)
    with pytest.raises(NotFound):
        await aliases.remove("fast")


@pytest.mark.parametrize(
    ("aliases", "models"),
    [
        ({"x": ("a", "b")}, ("a", "b")),
        ({"x": ("y", "a"), "y": ("b", "a")}, ("b", "a")),
        ({"x": ("x", "a")}, ("x", "a")),  # a model with others to fall back on
        ({"x": ("a", "y"), "y": ("y", "z"), "z": ("c",)}, ("a", "y", "c")),
        ({"x": ("x", "y"), "y": ("y", "x")}, ("x", "y")),  # each the other's
        ({"x": ("x", "a", "y"), "y": ("y", "z"), "z": ("z", "x", "b")}, ("x", "a", "y", "z", "b")),
        ({"x": ("y",), "y": ("y", "x")}, ("y",)),
        ({"x": ("y", "z"), "y": ("y", "z", "x"), "z": ("b",)}, ("y", "b")),
    ],
)
async def test_aliases_of_aliases(aliases: dict[str, tuple[str, ...]], models: tuple[str, ...]) -> None:
    assert flattened(aliases)["x"] == models


@pytest.mark.parametrize("closing", [["a", "x"], ["x"]])
async def test_no_circles(context: Context, closing: list[str]) -> None:
    aliases = context.of(Aliases)
    await aliases.put("x", ["y"])
    with pytest.raises(CallerError, match=r"circle: (x → y → x|y → x → y)"):
        await aliases.put("y", closing)
    assert aliases.targets("x") == ("y",)


async def test_each_falls_back_on_the_other() -> None:
    assert flattened({"a": ("a", "x", "b"), "b": ("b", "a")}) == {"a": ("a", "x", "b"), "b": ("b", "a", "x")}


async def test_a_lattice_takes_no_time() -> None:
    lattice = {f"{side}{n}": (f"l{n + 1}", f"r{n + 1}") for n in range(49) for side in "lr"}
    assert flattened(lattice)["l0"] == ("l49", "r49")


async def test_a_chain_without_end_is_refused() -> None:
    with pytest.raises(CallerError, match="stands for more than 100 aliases"):
        flattened({f"a{n}": (f"a{n + 1}",) for n in range(5000)})


@pytest.mark.parametrize(
    ("name", "targets"), [("", ["a"]), ("x", []), ("x", [""]), ("x", [f"m{n}" for n in range(99)])]
)
async def test_nonsense_is_no_alias(context: Context, name: str, targets: list[str]) -> None:
    with pytest.raises(CallerError):
        await context.of(Aliases).put(name, targets)
    assert context.of(Aliases).every() == {}
