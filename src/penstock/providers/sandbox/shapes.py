"""JSON that satisfies a schema, made of a caller's words: what structured output and the arguments of tools are.

Made first and checked then: where no attempt passes the check, it says so instead of answering amiss.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as patterns  # type: ignore[attr-defined]
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

import jsonschema_rs

from penstock.errors import InvalidInput, Unsupported
from penstock.providers.sandbox.palettes import dice
from penstock.providers.sandbox.voice import Voice

ATTEMPTS = 6
DEEP = 5
"""From here on only what is required: how schemas that contain themselves come to an end."""
DEEPEST = 40
MANY = 400
MOST = 5000
"""Values in one answer, and from how many on only what is required."""
LONGEST = 10_000

FORMATS = {
    "date-time": "2026-01-02T09:30:00Z",
    "date": "2026-01-02",
    "time": "09:30:00Z",
    "duration": "P1DT2H",
    "email": "sample@example.com",
    "idn-email": "sample@example.com",
    "hostname": "sample.example.com",
    "idn-hostname": "sample.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "json-pointer": "/sample",
    "relative-json-pointer": "0",
    "regex": "^sample$",
    "uri-template": "https://example.com/{sample}",
}
IMPLIED = {
    "properties": "object",
    "additionalProperties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}
"""What a schema without a type must mean."""
ANY = ("string", "integer", "object", "array", "boolean")
SIMPLE = ("null", "boolean", "string", "integer", "number")


class NoValue(Exception):
    """Nothing fits, or it would be too large."""


def fitting(schema: dict[str, Any], voice: Voice, whose: str = "the answer") -> Any:
    """A value of this schema. Raises InvalidInput where it is no schema, Unsupported where no value was found."""
    try:
        checker = jsonschema_rs.Draft202012Validator(schema, validate_formats=True, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        words = str(error).partition("\n")[0][:300]
        raise InvalidInput(f"The schema of {whose} is no JSON schema: {words}") from None
    for turn in range(ATTEMPTS):
        try:
            value = Maker(schema, voice, turn).value(schema, 0)
            if checker.is_valid(value):
                return value
        except (NoValue, RecursionError, ValueError, TypeError, LookupError, ArithmeticError):
            continue  # a schema may say anything: the next attempt takes other branches
    raise Unsupported(f"The sandbox found no JSON that fits the schema of {whose}; a real model may.")


class Maker:
    """One attempt. `turn` moves every choice on by so many."""

    def __init__(self, root: dict[str, Any], voice: Voice, turn: int) -> None:
        self._root, self._voice, self._attempt, self._turn = root, voice, turn, turn
        self._made = 0

    def value(self, schema: Any, depth: int) -> Any:
        self._made += 1
        if depth > DEEPEST or self._made > MOST:
            raise NoValue
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._chosen(schema["enum"])
        match self._type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer":
                return self._number(schema, whole=True)
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return self._turn % 2 == 0
            case "null":
                return None
            case _:
                return self._string(schema)

    # ── which schema ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _resolved(self, schema: Any, depth: int) -> dict[str, Any]:
        """One flat schema: references followed, parts of `allOf` joined, a branch taken."""
        for _ in range(DEEPEST):
            if schema is False:
                raise NoValue
            if schema is True:
                return {}
            rest = {name: part for name, part in schema.items() if name not in ("$ref", "allOf", "anyOf", "oneOf")}
            parts = list(schema.get("allOf") or ())
            if "$ref" in schema:
                parts.append(self._pointed(schema["$ref"]))
            parts += [self._branch(schema[name], depth) for name in ("anyOf", "oneOf") if schema.get(name)]
            if not parts:
                return rest
            for part in parts:
                rest = joined(rest, part)
            schema = rest
        raise NoValue

    def _pointed(self, ref: str) -> Any:
        if not ref.startswith("#"):
            raise NoValue
        found: Any = self._root
        for step in unquote(ref[1:]).split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found

    def _branch(self, options: list[Any], depth: int) -> Any:
        """In the deep one of the simplest, else one that is not null."""
        if self._small(depth):
            least = min(map(weight, options))
            fit = [option for option in options if weight(option) == least]
        else:
            fit = [option for option in options if option != {"type": "null"}] or options
        return fit[self._turn % len(fit)]

    def _small(self, depth: int) -> bool:
        return depth >= DEEP or self._made > MANY

    def _type(self, schema: dict[str, Any]) -> str:
        named = schema.get("type") or next((kind for name, kind in IMPLIED.items() if name in schema), ANY)
        if isinstance(named, str):
            return named
        kinds = [kind for kind in named if kind != "null"] or ["null"]
        return kinds[self._attempt % len(kinds)]

    def _chosen(self, options: list[Any]) -> Any:
        """What the caller's text mentions, else the first."""
        said = self._voice.text.lower()
        known = [one for one in options if isinstance(one, str) and re.search(rf"\b{re.escape(one.lower())}\b", said)]
        ordered = known + [one for one in options if one not in known]
        return ordered[self._turn % len(ordered)]

    # ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        names = dict.fromkeys([name for name in properties if name in required or not self._small(depth)] + required)
        made = {}
        other = schema.get("additionalProperties", True)
        for name in names:
            try:
                made[name] = self.value(properties.get(name, other), depth + 1)
            except NoValue:
                if name in required:
                    raise
        while len(made) < schema.get("minProperties", 0):
            made[f"sample_{len(made) + 1}"] = self.value(other, depth + 1)
        return made

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        made = [self.value(part, depth + 1) for part in schema.get("prefixItems") or ()]
        usual = 0 if self._small(depth) else 2
        count = max(min(usual, schema.get("maxItems", usual)), schema.get("minItems", 0))
        turn = self._turn
        while len(made) < count:
            item = self.value(schema.get("items", True), depth + 1)
            self._turn += 1  # the next one chooses otherwise
            if not (schema.get("uniqueItems") and item in made):
                made.append(item)
            elif self._turn > turn + count + MANY:
                raise NoValue
        self._turn = turn
        return made

    def _number(self, schema: dict[str, Any], *, whole: bool) -> float | int:
        """A number of the caller's text where it fits, else the one nearest to 1."""
        step = schema.get("multipleOf") or (1 if whole else 0)
        least, most = bounds(schema, step or 0.001)
        own = self._voice.number()
        usual = 1 + self._turn + (0.5 if self._attempt and not whole else 0)
        value = own if own is not None and least <= own <= most else min(max(usual, least), most)
        if step:
            value = math.ceil(round(value / step, 9)) * step
            value = value if value <= most else math.floor(most / step) * step
        return int(value) if whole or value == int(value) else value

    def _string(self, schema: dict[str, Any]) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        if "pattern" in schema:
            return matching(schema["pattern"])
        word = self._voice.subject()
        if "format" in schema:
            return formatted(schema["format"], word)
        if least > LONGEST:
            raise NoValue
        while len(word) < least:
            word += f" {self._voice.subject()}"
        return word if most is None else word[:most]


def joined(one: dict[str, Any], other: Any) -> dict[str, Any]:
    """Both schemas at once, as far as their rules can be put side by side."""
    if other is False:
        raise NoValue
    both = dict(one)
    for name, part in ({} if other is True else other).items():
        if name not in both:
            both[name] = part
        elif name == "properties":
            shared = {key: {"allOf": [both[name][key], part[key]]} for key in both[name].keys() & part.keys()}
            both[name] = {**both[name], **part, **shared}
        elif name in ("required", "allOf"):
            both[name] = [*both[name], *part]
        elif name in ("minimum", "exclusiveMinimum", "minLength", "minItems"):
            both[name] = max(both[name], part)
        elif name in ("maximum", "exclusiveMaximum", "maxLength", "maxItems"):
            both[name] = min(both[name], part)
        elif name == "enum":
            both[name] = [value for value in both[name] if value in part]
        elif name in ("anyOf", "oneOf"):
            both["allOf"] = [*both.get("allOf", ()), {name: part}]
        else:
            both[name] = part
    return both


def weight(option: Any) -> int:
    """How deep a branch may lead."""
    if not isinstance(option, dict) or option.get("type") in SIMPLE or "const" in option or "enum" in option:
        return 0
    return 1 if option.get("type") == "array" and not option.get("minItems") else 2


def bounds(schema: dict[str, Any], grain: float) -> tuple[float, float]:
    least = [schema[name] + extra for name, extra in (("minimum", 0), ("exclusiveMinimum", grain)) if name in schema]
    most = [schema[name] - extra for name, extra in (("maximum", 0), ("exclusiveMaximum", grain)) if name in schema]
    return max(least, default=-math.inf), min(most, default=math.inf)


def formatted(format: str, word: str) -> str:
    if format == "uuid":
        return str(UUID(int=dice("uuid", word).getrandbits(128), version=4))
    if format in ("uri", "iri", "url", "uri-reference", "iri-reference"):
        return f"https://example.com/{quote(word)}"
    return FORMATS.get(format, word)


# ── patterns ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def matching(pattern: str) -> str:
    """A short text that a regular expression matches, as far as Python reads it. Raises NoValue."""
    try:
        return written(patterns.parse(pattern))
    except (re.error, OverflowError, RecursionError):
        raise NoValue from None


def written(steps: Any) -> str:
    text = "".join(one(kind, value) for kind, value in steps)
    if len(text) > LONGEST:
        raise NoValue
    return text


def one(kind: Any, value: Any) -> str:
    """What one step of a pattern matches. Those that look around match nothing, which the check then judges."""
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.NOT_LITERAL:
        return "a" if chr(value) != "a" else "b"
    if kind is op.ANY:
        return "a"
    if kind is op.IN:
        return among(value)
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least, most, inner = value
        text, times = written(inner), max(int(least), min(1, int(most)))
        if len(text) * times > LONGEST:
            raise NoValue
        return text * times
    if kind is op.SUBPATTERN:
        return written(value[-1])
    if kind is op.BRANCH:
        return written(value[1][0])
    return ""


def among(options: list[Any]) -> str:
    """A character of a class."""
    excluded = options[0][0] is op.NEGATE
    for character in "aA1 -_.@/+#é" if excluded else ():
        if not any(holds(option, character) for option in options[1:]):
            return character
    kind, value = options[0]
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.RANGE:
        return chr(int(value[0]))
    return next((character for character in "1a -\n" if holds(options[0], character)), "")


CLASSES: dict[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_NOT_DIGIT: lambda character: not character.isdigit(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda character: not character.isspace(),
    op.CATEGORY_WORD: lambda character: character.isalnum() or character == "_",
    op.CATEGORY_NOT_WORD: lambda character: not (character.isalnum() or character == "_"),
}


def holds(option: Any, character: str) -> bool:
    kind, value = option
    if kind is op.LITERAL:
        return ord(character) == value  # type: ignore[no-any-return]
    if kind is op.RANGE:
        return value[0] <= ord(character) <= value[1]  # type: ignore[no-any-return]
    return kind is op.CATEGORY and CLASSES[value](character)
