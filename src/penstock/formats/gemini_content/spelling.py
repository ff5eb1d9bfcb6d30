"""How Google's JSON is spelt: requests mix camelCase and snake_case in one body, and write numbers as strings."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from penstock.errors import InvalidField, InvalidInput

T = TypeVar("T")

OPAQUE = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels"}
"""What is inside of these is the caller's own, or a schema, whose properties have names of the caller's."""


def camel(value: Any) -> Any:
    """The same JSON with all names in camelCase."""
    if isinstance(value, dict):
        named = [(camel_name(name), inner) for name, inner in value.items()]
        return {name: inner if name in OPAQUE else camel(inner) for name, inner in named}
    return [camel(item) for item in value] if isinstance(value, list) else value


def camel_name(name: str) -> str:
    if "_" not in name[1:]:
        return name
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def taken(value: Any, kind: type[T], path: str, left_out: dict[str, None]) -> T:
    """A part of a request as a struct; members that it has no place for are told. Raises InvalidInput."""
    try:
        made = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        words, _, where = str(error).partition(" - at `$")
        broken = f"{path}{where.rstrip('`')}".lstrip(".")
        raise InvalidInput(f"{broken}: {words}" if broken else words, (InvalidField(broken, "type", words),)) from None
    spot = f"{path}." if path else ""
    known = _members(kind)  # type: ignore[arg-type]
    unknown = [name for name, inner in value.items() if name not in known and inner not in (None, [], {})]
    left_out |= {f"{spot}{name}": None for name in unknown}
    return made


@cache
def _members(kind: type[Any]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def whole(value: Any, path: str) -> int | None:
    """A whole number, which may come as a float or as a string of digits. Raises InvalidInput."""
    if value is None:
        return None
    try:
        number = float(value)
        if isinstance(value, bool) or not number.is_integer():
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"{path}: Expected `int`", (InvalidField(path, "type", "Expected `int`"),)) from None
    return int(number)


def without_empty(**members: Any) -> dict[str, Any]:
    """A JSON object of what is neither None nor empty; zero and False stay."""
    return {name: value for name, value in members.items() if value is not None and value not in ("", [], {}, ())}
