"""Is this input what the model takes? Says no in the words of Replicate, whose own checker is Go's gojsonschema.

Source: the 422 bodies quoted in public bug reports, and gojsonschema's locale file for the rules nobody has quoted;
read 2026-11-20.
Quirk: a missing key is reported at its parent. Unknown keys pass unless the schema is closed, as at Replicate.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jsonschema_rs

from penstock.catalog.schemas import Schema, checkable
from penstock.errors import InvalidField, InvalidInput

Problem = jsonschema_rs.ValidationError
Validator = jsonschema_rs.Draft7Validator

MANY = 1000
"""Parts of an input above which only its first problem is told: to describe a million wrong items takes 17 s."""


class Checked(Protocol):
    """What a version of a model brings for this: its checker, and its schema's defaults."""

    @property
    def validator(self) -> Validator: ...

    @property
    def defaults(self) -> dict[str, Any]: ...


def check(version: Checked, input: Any) -> None:
    """Raise InvalidInput, which names every broken rule, unless `input` fits the version's schema."""
    validator = version.validator
    try:
        if validator.is_valid(input):
            return
        problems = _first(validator, input) if _is_large(input) else list(validator.iter_errors(input))
    except ValueError as endless:  # the checker's own recursion limit, 255 deep
        raise InvalidInput(fields=(InvalidField("input", "depth", "Nested too deeply"),)) from endless
    raise InvalidInput(fields=tuple(_fields(problems)))


def defaults(version: Checked, input: dict[str, Any]) -> dict[str, Any]:
    """`input` with the schema's defaults for the keys that it leaves out; neither is changed."""
    return {**copy.deepcopy(version.defaults), **input}


def compiled(schema: Schema) -> Validator:
    """A checker for one schema, about 0.3 ms to build. Raises ValueError when `schema` is not a schema.

    Never fetches what a `$ref` points to.
    """
    return Validator(checkable(schema), validate_formats=True, formats={"uri": _is_uri}, offline=True)


_URI = re.compile(r"(?:https?|data):.", re.IGNORECASE)


def _is_uri(text: str) -> bool:
    """A scheme that a model can fetch, and something after it, as lenient as Go's parser: spaces and umlauts are fine.

    Other schemes, and plain paths, would name files on the machine that runs the model.
    """
    return _URI.match(text) is not None


def _first(validator: Validator, input: Any) -> list[Problem]:
    try:
        validator.validate(input)
    except Problem as problem:
        return [problem]
    return []


def _is_large(input: Any) -> bool:
    parts, unseen = 0, [input]
    while unseen and parts <= MANY:
        part = unseen.pop()
        inner = list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
        parts += len(inner)
        unseen += inner
    return parts > MANY


# ── in Replicate's words ──────────────────────────────────────────────────────────────────────────────────────────────


def _fields(problems: list[Problem]) -> Iterator[InvalidField]:
    """Outermost first; of a value that has the wrong type, nothing else is said."""
    mistyped = {str(problem.instance_path) for problem in problems if problem.kind.name == "type"}
    for problem in sorted(problems, key=lambda problem: len(problem.instance_path)):
        if problem.kind.name == "type" or str(problem.instance_path) not in mistyped:
            yield from _field(problem)


def _field(problem: Problem) -> Iterator[InvalidField]:
    path = ".".join(["input", *map(str, problem.instance_path)])
    keyword = problem.kind.name
    if keyword == "additionalProperties":
        for extra in problem.kind.unexpected:  # type: ignore[attr-defined]
            yield InvalidField(path, "additional_property_not_allowed", f"Additional property {extra} is not allowed")
        return
    rule, words = RULES.get(keyword, (keyword, _plain(f"Does not match the schema ({keyword})")))
    yield InvalidField(path, rule, words(problem, path))


Words = Callable[[Any, str], str]


def _limit(template: str) -> Words:
    return lambda problem, path: template.format(_number(problem.kind.limit))


def _plain(text: str) -> Words:
    return lambda problem, path: text


def _wrong_type(problem: Any, path: str) -> str:
    expected = [word for word in problem.kind.types if word != "null"] or ["null"]
    wanted = expected[0] if len(expected) == 1 else f"[{','.join(expected)}]"
    return f"Invalid type. Expected: {wanted}, given: {_type_word(problem.instance)}"


def _not_listed(problem: Any, path: str) -> str:
    listed = ", ".join(_json(option) for option in problem.kind.options if option is not None)
    return f"{path} must be one of the following: {listed}"


def _twice(problem: Any, path: str) -> str:
    seen: dict[str, int] = {}
    for index, item in enumerate(problem.instance):
        if (first := seen.setdefault(json.dumps(item, sort_keys=True), index)) != index:
            return f"array items[{first},{index}] must be unique"
    return "array items must be unique"


RULES: dict[str, tuple[str, Words]] = {
    "required": ("required", lambda problem, path: f"{problem.kind.property} is required"),
    "type": ("invalid_type", _wrong_type),
    "enum": ("enum", _not_listed),
    "const": ("const", lambda problem, path: f"{path} does not match: {_json(problem.kind.expected_value)}"),
    "minimum": ("number_gte", _limit("Must be greater than or equal to {}")),
    "maximum": ("number_lte", _limit("Must be less than or equal to {}")),
    "exclusiveMinimum": ("number_gt", _limit("Must be greater than {}")),
    "exclusiveMaximum": ("number_lt", _limit("Must be less than {}")),
    "multipleOf": (
        "multiple_of",
        lambda problem, path: f"Must be a multiple of {_number(problem.kind.multiple_of)}",
    ),
    "minLength": ("string_gte", _limit("String length must be greater than or equal to {}")),
    "maxLength": ("string_lte", _limit("String length must be less than or equal to {}")),
    "pattern": ("pattern", lambda problem, path: f"Does not match pattern '{problem.kind.pattern}'"),
    "format": ("format", lambda problem, path: f"Does not match format '{problem.kind.format}'"),
    "minItems": ("array_min_items", _limit("Array must have at least {} items")),
    "maxItems": ("array_max_items", _limit("Array must have at most {} items")),
    "minProperties": ("array_min_properties", _limit("Must have at least {} properties")),
    "maxProperties": ("array_max_properties", _limit("Must have at most {} properties")),
    "uniqueItems": ("unique", _twice),
    "contains": ("contains", _plain("At least one of the items must match")),
    "anyOf": ("number_any_of", _plain("Must validate at least one schema (anyOf)")),
    "oneOf": ("number_one_of", _plain("Must validate one and only one schema (oneOf)")),
    "not": ("number_not", _plain("Must not validate the schema (not)")),
}
"""Keyword → gojsonschema's rule and its sentence. What breaks inside an `allOf` is reported by itself."""


def _number(number: Any) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _type_word(value: Any) -> str:
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return TYPE_WORDS.get(type(value), "number")


TYPE_WORDS = {
    str: "string",
    bool: "boolean",
    int: "integer",
    type(None): "null",
    list: "array",
    tuple: "array",
    dict: "object",
}
