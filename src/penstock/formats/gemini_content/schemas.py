"""JSON Schema ⇄ Google's own schemas, a subset of OpenAPI 3.0 with types in upper case.

Source: the Schema type of google-genai 3.4.0, and conversions by other gateways; read 2026-11-21.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from penstock.formats.gemini_content.spelling import camel_name

Schema = dict[str, Any]

SAID = {
    "title", "description", "default", "minItems", "maxItems", "minProperties", "maxProperties", "required",
    "propertyOrdering", "pattern", "minLength", "maxLength", "minimum", "maximum", "example",
}  # fmt: skip
"""Written as they are."""
HARMLESS = {"$schema", "$id", "$comment", "$defs", "definitions", "examples", "deprecated", "readOnly", "writeOnly",
            "nullable", "strict"}  # fmt: skip
"""Left out without a word."""
RICH = {"prefixItems", "patternProperties", "$dynamicRef", "$anchor", "if", "then", "else", "not", "dependentSchemas"}
"""What only a JSON schema says."""
SHAPES: dict[str, Any] = {
    "type": (str, list), "enum": list, "properties": dict, "required": list,
    "anyOf": list, "oneOf": list, "allOf": list,
}  # fmt: skip
FORMATS = {"enum", "date-time", "int32", "int64", "float", "double"}
WHOLE = {"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"}
DEEPEST = 64


class Cleaned(NamedTuple):
    """`schema` None: the subset can't say this one. `lost` are the keywords that it does without."""

    schema: Schema | None
    lost: tuple[str, ...] = ()


class _TooRich(Exception):
    pass


def cleaned(schema: Schema) -> Cleaned:
    """A JSON schema in Google's subset."""
    lost: dict[str, None] = {}
    try:
        made = _cleaned(schema, schema, (), lost)
    except _TooRich:
        return Cleaned(None)
    return Cleaned(made, tuple(lost))


def _cleaned(schema: Any, root: Schema, inside: tuple[str, ...], lost: dict[str, None], depth: int = 0) -> Schema:
    """`inside` are the references that led here; one that leads back to itself can't be written out."""
    if schema is True or schema == {}:
        return {}
    if not isinstance(schema, dict) or depth > DEEPEST:
        raise _TooRich
    if isinstance(found := schema.get("$ref"), str):
        if found in inside:
            raise _TooRich
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return _cleaned({**_target(found, root), **rest}, root, (*inside, found), lost, depth)
    schema = _plain(_sound(schema))
    if RICH & schema.keys() or isinstance(schema.get("items"), list):
        raise _TooRich
    made: Schema = {}

    def inner(value: Any) -> Schema:
        return _cleaned(value, root, inside, lost, depth + 1)

    for name, value in schema.items():
        if name in SAID:
            made[name] = value
        elif name == "type":
            made |= _typed(value)
        elif name == "format":
            made |= {"format": value} if isinstance(value, str) and value in FORMATS else {}
        elif name == "enum":
            made |= _enumerated(value)
        elif name == "items":
            made["items"] = inner(value)
        elif name == "anyOf":
            made |= _any_of([inner(option) for option in value])
        elif name == "properties":
            made["properties"] = {key: inner(value) for key, value in value.items()}
        elif name == "additionalProperties":
            if isinstance(value, dict) and value:
                raise _TooRich
        elif name not in HARMLESS:
            lost[name] = None
    if schema.get("nullable"):
        made["nullable"] = True
    if made.get("type") == "ARRAY":
        made.setdefault("items", {"type": "STRING"})
    if "enum" in made:
        made["type"] = "STRING"
    return made


def _sound(schema: Schema) -> Schema:
    """Without nulls. One with a keyword of a wrong shape is left to the vendor to judge."""
    made = {name: value for name, value in schema.items() if value is not None}
    if any(not isinstance(made[name], kind) for name, kind in SHAPES.items() if name in made):
        raise _TooRich
    if not all(isinstance(name, str) for name in made.get("required", ())):
        raise _TooRich
    return made


def _target(reference: str, root: Schema) -> Schema:
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:] if reference.startswith("#") else ["?"]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise _TooRich
    return found


def _plain(schema: Schema) -> Schema:
    """With `const`, `oneOf`, and `allOf` said in other words."""
    made = dict(schema)
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if "oneOf" in made and "anyOf" not in made:
        made["anyOf"] = made.pop("oneOf")
    for part in made.pop("allOf", ()):
        if not isinstance(part, dict) or "$ref" in part:
            if len(schema["allOf"]) > 1:
                raise _TooRich
            made |= {"$ref": part["$ref"]} if isinstance(part, dict) else {}
            continue
        part = _sound(part)
        joined = {**made.get("properties", {}), **part.get("properties", {})}
        required = list(dict.fromkeys([*made.get("required", ()), *part.get("required", ())]))
        made |= part
        made |= {"properties": joined} if joined else {}
        made |= {"required": required} if required else {}
    return made


def _typed(kinds: Any) -> Schema:
    names = [kinds] if isinstance(kinds, str) else [kind for kind in kinds if isinstance(kind, str)]
    named = [name.upper() for name in names if name.lower() != "null"]
    nullable = {"nullable": True} if len(named) < len(names) else {}
    if len(named) < 2:
        return ({"type": named[0]} if named else {}) | nullable
    return {"anyOf": [{"type": name} for name in named]} | nullable


def _enumerated(values: list[Any]) -> Schema:
    words = [value if isinstance(value, str) else _word(value) for value in values if value is not None]
    return {"enum": words, "format": "enum"} | ({"nullable": True} if None in values else {})


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _any_of(options: list[Schema]) -> Schema:
    """An option that says only null makes all of it nullable; one that stands alone needs no choice."""
    real = [option for option in options if option != {"nullable": True}]
    nullable = {"nullable": True} if len(real) < len(options) else {}
    return (real[0] if len(real) == 1 else {"anyOf": real}) | nullable


def json_schema(schema: Any) -> Any:
    """One of Google's schemas as a JSON schema."""
    if not isinstance(schema, dict):
        return schema
    made: Schema = {}
    for spelt, value in schema.items():
        name = camel_name(spelt)
        if name == "type" and isinstance(value, str):
            made["type"] = value.lower()
        elif name in ("properties", "defs", "$defs") and isinstance(value, dict):
            made["properties" if name == "properties" else "$defs"] = {k: json_schema(v) for k, v in value.items()}
        elif name in ("items", "additionalProperties"):
            made[name] = json_schema(value)
        elif name == "anyOf" and isinstance(value, list):
            made["anyOf"] = [json_schema(option) for option in value]
        elif name == "ref":
            made["$ref"] = value
        elif name == "example":
            made["examples"] = [value]
        elif name in WHOLE and isinstance(value, str) and value.isdigit():
            made[name] = int(value)
        elif name not in ("nullable", "propertyOrdering") and (name, value) != ("format", "enum"):
            made[name] = value
    if made.get("type") == "type_unspecified":
        del made["type"]
    if schema.get("nullable"):
        if "type" in made:
            made["type"] = [made["type"], "null"]
            if isinstance(made.get("enum"), list):
                made["enum"] = [*made["enum"], None]
        elif isinstance(made.get("anyOf"), list):
            made["anyOf"] = [*made["anyOf"], {"type": "null"}]
    return made
