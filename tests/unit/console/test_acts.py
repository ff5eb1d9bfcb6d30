"""What acts take: names and types are checked before anything is done, and no value is quoted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from penstock.console.acts import ACTS
from penstock.console.acts._base import LARGEST, Acting, _parameters, checked
from penstock.context import Context
from penstock.errors import CallerError

CANARY = "canary-8f2c51aa90"


async def plain(
    ctx: Context,
    name: str,
    count: Annotated[int, msgspec.Meta(ge=0)] = 5,
    mode: Literal["live", "test"] = "live",
    many: list[str] | None = None,
) -> None: ...


ACT = Acting("a.b", plain, False, False, frozenset(), dict(_parameters(plain)))


def test_arguments_are_as_the_signature_says() -> None:
    assert checked(ACT, {"name": "n", "count": 3, "many": ("a",)}) == {"name": "n", "count": 3, "many": ["a"]}
    assert checked(ACT, {"name": "7", "count": "3"}, strict=False) == {"name": "7", "count": 3}
    assert checked(ACT, {"name": "n"}) == {"name": "n"}, "what is left out is the act's own business"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "lacks name"),
        ({"name": "n", "nmae": CANARY}, "no argument nmae; there are name, count, mode, many"),
        ({"name": 5}, "name: Expected `str`"),
        ({"name": "n", "count": CANARY}, "count: Expected `int`"),
        ({"name": "n", "count": True}, "count: Expected `int`"),
        ({"name": "n", "count": LARGEST}, "count: the number is too large"),
        ({"name": "n\0"}, "name: has a NUL"),
        ({"name": "n", "mode": CANARY}, "mode: must be one of live, test"),
        ({"name": "n", "many": [[[1]]]}, "many: Expected"),
        ({"name": "n", "count": -1}, "count: Expected `int` >= 0"),
    ],
)
def test_what_makes_no_sense_is_named_and_not_quoted(given: dict[str, Any], words: str) -> None:
    with pytest.raises(CallerError) as refused:
        checked(ACT, given)
    assert words in str(refused.value)
    assert CANARY not in str(refused.value)


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(CallerError, match="too deep"):
        checked(ACT, {"name": deep})


@pytest.mark.parametrize("act", ACTS.values(), ids=lambda act: act.name)
def test_every_act_says_what_it_takes(act: Acting) -> None:
    msgspec.json.schema_components([parameter.type for parameter in act.parameters.values()])
    assert act.names <= set(act.parameters)
    assert len(act.summary) > 5, "a docstring"
