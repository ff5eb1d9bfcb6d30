"""Closed JSON objects: what a body may hold, and what is wrong with it, in the words of Go's gojsonschema.

Values are decoded one by one, so that the caller's own bytes of each stay at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.errors import CallerError, InvalidField, InvalidInput

KINDS: dict[str, Any] = {"string": str, "boolean": bool, "integer": int, "object": dict, "array": list}


@dataclass(frozen=True, slots=True)
class Rule:
    """What one field holds. `word` is JSON Schema's type, `items` the strings that may be in an array. A null is taken
    as a field that is not there, unless the field is required."""

    word: str
    required: bool = False
    least: int | None = None
    most: int | None = None
    items: tuple[str, ...] = ()
    is_url: bool = False


class Read(msgspec.Struct, frozen=True):
    """What a body held: the values, and their bytes."""

    values: dict[str, Any]
    raws: dict[str, msgspec.Raw]

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)


def read(body: bytes, rules: Mapping[str, Rule]) -> Read:
    """Raises CallerError where the body is not JSON, InvalidInput with everything that breaks a rule."""
    raws = _members(body)
    values = {name: _decoded(raw) for name, raw in raws.items() if name in rules}
    problems = list(_problems(raws, values, rules))
    if problems:
        raise InvalidInput(fields=tuple(problems))
    return Read({name: value for name, value in values.items() if value is not None}, raws)


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        raise InvalidInput(fields=(_mistyped("", "object", _decoded(body)),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(f"The request body is not valid JSON: {error}") from None


def _decoded(raw: msgspec.Raw | bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(f"The request body is not valid JSON: {error}") from None


def _problems(names: Mapping[str, Any], values: Mapping[str, Any], rules: Mapping[str, Rule]) -> Iterator[InvalidField]:
    for name, rule in rules.items():
        if name not in names:
            if rule.required:
                yield InvalidField("", "required", f"{name} is required")
        elif values[name] is not None or rule.required:
            yield from _broken(name, values[name], rule)
    for name in names:
        if name not in rules:
            yield InvalidField("", "additional_property_not_allowed", f"Additional property {name} is not allowed")


def _broken(path: str, value: Any, rule: Rule) -> Iterator[InvalidField]:
    if type(value) is not KINDS[rule.word]:
        yield _mistyped(path, rule.word, value)
        return
    if rule.least is not None and value < rule.least:
        yield InvalidField(path, "number_gte", f"Must be greater than or equal to {rule.least}")
    if rule.most is not None and value > rule.most:
        yield InvalidField(path, "number_lte", f"Must be less than or equal to {rule.most}")
    if rule.is_url and not value.startswith(("http://", "https://")):
        yield InvalidField(path, "format", "Does not match format 'uri'")
    for index, item in enumerate(value if rule.items else ()):
        if item not in rule.items:
            listed = ", ".join(f'"{one}"' for one in rule.items)
            yield InvalidField(f"{path}.{index}", "enum", f"{path}.{index} must be one of the following: {listed}")


def _mistyped(path: str, expected: str, value: Any) -> InvalidField:
    return InvalidField(path, "invalid_type", f"Invalid type. Expected: {expected}, given: {_type_word(value)}")


def _type_word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return next(word for word, kind in KINDS.items() if type(value) is kind)
