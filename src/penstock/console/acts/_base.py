"""The table of acts, what they take, and what acts of several nouns need."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from penstock import clock
from penstock.errors import CallerError

Act = Callable[..., Awaitable[Any]]
Mode = Literal["live", "test"]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
"""How many rows of a list."""
REQUIRED = inspect.Parameter.empty
DEEPEST = 50
LARGEST = 2**63
"""From here on no database keeps a whole number."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of an act. `default` is REQUIRED where there must be one."""

    name: str
    type: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Acting:
    name: str
    function: Act
    reads: bool
    """It only looks: nothing is other than before."""
    local: bool
    """Only for those beside the gateway: it is about files there, or shows what must not leave."""
    names: frozenset[str]
    """Arguments that sound like secrets (`key`, `code`), and are only what such a thing is called."""
    parameters: Mapping[str, Parameter]

    @property
    def by_query(self) -> bool:
        """Whether a URL can ask for it whole: what only looks, and is given nothing but words and numbers."""
        return self.reads and not any(get_origin(each.type) in (list, dict) for each in self.parameters.values())

    @property
    def summary(self) -> str:
        """Its first sentence."""
        words = " ".join((self.function.__doc__ or "").partition("\n\n")[0].split())
        return f"{words.partition('. ')[0].rstrip('.')}."


ACTS: dict[str, Acting] = {}


def act(name: str, *, reads: bool = False, local: bool = False, names: tuple[str, ...] = ()) -> Callable[[Act], Act]:
    def bind(function: Act) -> Act:
        ACTS[name] = Acting(name, function, reads, local, frozenset(names), dict(_parameters(function)))
        return function

    return bind


def _parameters(function: Act) -> Iterator[tuple[str, Parameter]]:
    """All but the context, which comes first."""
    for found in list(inspect.signature(function, eval_str=True).parameters.values())[1:]:
        yield found.name, Parameter(found.name, found.annotation, found.default)


def checked(acting: Acting, given: Mapping[str, Any], *, strict: bool = True) -> dict[str, Any]:
    """The arguments as the act takes them. `strict` False: they may be text, as in a query. Raises CallerError, which
    names what is unknown, missing, or makes no sense; it quotes no value, for that may be a secret."""
    known = acting.parameters
    if unknown := sorted(set(given) - set(known)):
        there_are = f"there are {', '.join(known)}" if known else "it takes none"
        raise CallerError(f"{acting.name} has no argument {', '.join(unknown)[:200]}; {there_are}")
    if missing := [name for name, parameter in known.items() if parameter.required and name not in given]:
        raise CallerError(f"{acting.name} lacks {', '.join(missing)}")
    return {name: _converted(known[name], value, strict) for name, value in given.items()}


def _converted(parameter: Parameter, value: Any, strict: bool) -> Any:
    _check_kept(parameter.name, value, 0)
    try:
        return msgspec.convert(value, parameter.type, strict=strict)
    except msgspec.ValidationError as error:
        choices = get_args(parameter.type) if get_origin(parameter.type) is Literal else ()
        words = f"must be one of {', '.join(choices)}" if choices else str(error).partition(" '")[0]
        raise CallerError(f"{parameter.name}: {words}") from None


def _check_kept(name: str, value: Any, depth: int) -> None:
    """Refuse what the store could not keep."""
    if depth > DEEPEST:
        raise CallerError(f"{name}: nested too deep")
    if isinstance(value, str) and "\0" in value:
        raise CallerError(f"{name}: has a NUL character")
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        raise CallerError(f"{name}: the number is too large")
    if isinstance(value, dict):
        for key, part in value.items():
            _check_kept(name, key, depth + 1)
            _check_kept(name, part, depth + 1)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_kept(name, part, depth + 1)


def warned(result: dict[str, Any], *words: str) -> dict[str, Any]:
    """With what is done all the same, but may not be meant; commands print it."""
    return result | ({"warnings": list(words)} if words else {})


def timed(row: dict[str, Any]) -> dict[str, Any]:
    return {k: clock.rfc3339(v, 3) if (k == "at" or k.endswith("_at")) and v else v for k, v in row.items()}
