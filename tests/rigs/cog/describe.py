"""Prints the OpenAPI document of a predictor beside this file: `python describe.py picture`.

`cog build` puts this document into an image as `.cog/openapi_schema.json`; a Cog server of the new generation checks
inputs and knows its output's shape only from there. The types are read by the cog package itself; what it leaves to its
build tool (constraints, order, choices) is added here.
"""

import json
import sys
from typing import Any

from cog import Path, _adt, _inspector

KEYWORDS = {"ge": "minimum", "le": "maximum", "min_length": "minLength", "max_length": "maxLength", "regex": "pattern"}


def document(module: str) -> dict[str, Any]:
    predictor = _inspector.create_predictor(module, "Predictor")
    choices = {name: field for name, field in predictor.inputs.items() if field.choices}
    schemas = {
        "Input": {
            "type": "object",
            "title": "Input",
            "required": [name for name, field in predictor.inputs.items() if is_required(field)],
            "properties": {name: property_of(field) for name, field in predictor.inputs.items()},
        },
        "Output": predictor.output.json_type(),
        **{name: {"title": name, "enum": field.choices, **field.type.json_type()} for name, field in choices.items()},
        "PredictionRequest": {
            "type": "object",
            "title": "PredictionRequest",
            "properties": {"input": {"$ref": "#/components/schemas/Input"}},
        },
        "PredictionResponse": {
            "type": "object",
            "title": "PredictionResponse",
            "properties": {"output": {"$ref": "#/components/schemas/Output"}},
        },
    }
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {"/predictions": {"post": {"x-cog-streaming": streams(module)}}},
        "components": {"schemas": schemas},
    }


def streams(module: str) -> bool:
    """The decorator leaves no trace, so the build tool too reads the source. Unsaid, the server answers 406."""
    return "@streaming" in Path(__file__).with_name(f"{module}.py").read_text()


def is_required(field: _adt.InputField) -> bool:
    optional = field.type.repetition in (_adt.Repetition.OPTIONAL, _adt.Repetition.OPTIONAL_REPEATED)
    return field.default is None and not optional


def property_of(field: _adt.InputField) -> dict[str, Any]:
    limits = {word: whole(getattr(field, name)) for name, word in KEYWORDS.items() if getattr(field, name) is not None}
    kind = {"allOf": [{"$ref": f"#/components/schemas/{field.name}"}]} if field.choices else field.type.json_type()
    about = {"title": field.name.replace("_", " ").title(), "x-order": field.order}
    if field.description:
        about["description"] = field.description
    if field.default is not None and not isinstance(field.default, Path):
        about["default"] = field.default
    return about | kind | limits


def whole(limit: float | str) -> float | str:
    """The package reads every bound as a float; the build tool writes 1, not 1.0."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


if __name__ == "__main__":
    json.dump(document(sys.argv[1]), sys.stdout)
