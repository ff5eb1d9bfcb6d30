"""Input and output schemas in their three forms, all of them plain functions on JSON.

- *Ours*, as in the model files: JSON schema with `nullable`, enums written where they are used.
- *A vendor's*: the OpenAPI 3.0 document that Replicate and Cog publish and that their SDKs read: enums as `allOf` with
  a `$ref`. `rendered` writes it, `inlined` reads it.
- *For checking*: Draft 7, which has no `nullable`: `checkable`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

REF = "#/components/schemas/"


def version_id(path: str, input: Schema, output: Schema) -> str:
    """An id for a version whose vendor hides its own: SHA-256, in hex, of the canonical JSON of path and schemas."""
    text = json.dumps({"model": path, "input": input, "output": output}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# ── a vendor's document ───────────────────────────────────────────────────────────────────────────────────────────────


def rendered(input: Schema, output: Schema) -> Schema:
    """The whole document, as a Cog model of 0.16 would publish it."""
    named: dict[str, Schema] = {}
    properties = {
        name: _property(name, order, schema, named) for order, (name, schema) in enumerate(_properties(input).items())
    }
    schemas = {
        "Input": {"type": "object", "title": "Input", **input, "properties": properties},
        "Output": {"title": "Output", **output},
        **named,
        **ENVELOPES,
    }
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": PATHS,
        "components": {"schemas": schemas},
    }


def inlined(document: Schema, name: str) -> Schema:
    """The component `name` with every `$ref` replaced by what it names; `{}` when the document has no such component.

    An `allOf` of one, which is how enums are written, becomes part of the property. A schema that contains itself is
    cut at the second occurrence: there everything passes.
    """
    components = document.get("components", {}).get("schemas", {})
    found: Schema = _inlined(components.get(name, {}), components, frozenset({name}))
    return found


def _property(name: str, order: int, schema: Schema, named: dict[str, Schema]) -> Schema:
    shown = {"x-order": order, **schema}
    if "enum" not in schema:
        return {"title": name.replace("_", " ").title(), **shown}
    component = f"{name}_choice" if name in RESERVED else name
    named[component] = {
        "enum": schema["enum"],
        **({"type": schema["type"]} if "type" in schema else {}),
        "title": name,
        "description": "An enumeration.",
    }
    rest = {key: value for key, value in shown.items() if key not in ("enum", "type", "title")}
    return {"allOf": [{"$ref": REF + component}], **rest}


def _inlined(schema: Any, components: Mapping[str, Any], inside: frozenset[str]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, components, inside) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(reference := schema.get("$ref"), str):
        name = reference.removeprefix(REF)
        return {} if name in inside else _inlined(components.get(name, {}), components, inside | {name})
    flat = {key: _inlined(part, components, inside) for key, part in schema.items()}
    match flat.get("allOf"):
        case [dict(only)]:
            del flat["allOf"]
            return {**only, **flat}
    return flat


def _properties(schema: Schema) -> dict[str, Schema]:
    found: dict[str, Schema] = schema.get("properties", {})
    return found


# ── for checking ──────────────────────────────────────────────────────────────────────────────────────────────────────

_MAPS = ("properties", "patternProperties", "definitions")
_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLES = ("items", "additionalProperties", "additionalItems", "not", "contains", "propertyNames")


def checkable(schema: Any) -> Any:
    """A schema of ours (or OpenAPI 3.0 without references) as Draft 7."""
    if not isinstance(schema, dict):
        return [checkable(part) for part in schema] if isinstance(schema, list) else schema
    draft = {key: _checkable_part(key, part) for key, part in schema.items() if key != "nullable"}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(flag := draft.get(exclusive), bool):
            del draft[exclusive]
            if flag and bound in draft:
                draft[exclusive] = draft.pop(bound)
    return _or_null(draft) if schema.get("nullable") is True else draft


def _checkable_part(key: str, part: Any) -> Any:
    if key in _MAPS and isinstance(part, dict):
        return {name: checkable(inner) for name, inner in part.items()}
    return checkable(part) if key in _LISTS or key in _SINGLES else part


def _or_null(draft: Schema) -> Schema:
    if not isinstance(draft.get("type"), str):
        return {"anyOf": [{"type": "null"}, draft]} if set(draft) & {"enum", "type", *_LISTS} else draft
    widened = {**draft, "type": [draft["type"], "null"]}
    if "enum" in draft:
        widened["enum"] = [*draft["enum"], None]
    return widened


# ── what every document says alike ────────────────────────────────────────────────────────────────────────────────────

PATHS: Schema = {
    "/predictions": {
        "post": {
            "summary": "Predict",
            "description": "Run a single prediction on the model",
            "operationId": "predict_predictions_post",
            "requestBody": {"content": {"application/json": {"schema": {"$ref": REF + "PredictionRequest"}}}},
            "responses": {
                "200": {
                    "description": "Successful Response",
                    "content": {"application/json": {"schema": {"$ref": REF + "PredictionResponse"}}},
                },
                "422": {
                    "description": "Validation Error",
                    "content": {"application/json": {"schema": {"$ref": REF + "HTTPValidationError"}}},
                },
            },
        }
    }
}

_TIME: Schema = {"type": "string", "format": "date-time"}

ENVELOPES: Schema = {
    "Status": {
        "enum": ["starting", "processing", "succeeded", "canceled", "failed"],
        "type": "string",
        "title": "Status",
        "description": "An enumeration.",
    },
    "WebhookEvent": {
        "enum": ["start", "output", "logs", "completed"],
        "type": "string",
        "title": "WebhookEvent",
        "description": "An enumeration.",
    },
    "PredictionRequest": {
        "type": "object",
        "title": "PredictionRequest",
        "properties": {
            "id": {"type": "string", "title": "Id"},
            "input": {"$ref": REF + "Input"},
            "webhook": {"type": "string", "title": "Webhook", "format": "uri"},
            "webhook_events_filter": {"type": "array", "items": {"$ref": REF + "WebhookEvent"}},
        },
    },
    "PredictionResponse": {
        "type": "object",
        "title": "PredictionResponse",
        "properties": {
            "id": {"type": "string", "title": "Id"},
            "version": {"type": "string", "title": "Version"},
            "status": {"$ref": REF + "Status"},
            "input": {"$ref": REF + "Input"},
            "output": {"$ref": REF + "Output"},
            "logs": {"type": "string", "title": "Logs", "default": ""},
            "error": {"type": "string", "title": "Error"},
            "metrics": {"type": "object", "title": "Metrics"},
            "created_at": {"title": "Created At", **_TIME},
            "started_at": {"title": "Started At", **_TIME},
            "completed_at": {"title": "Completed At", **_TIME},
        },
    },
    "ValidationError": {
        "type": "object",
        "title": "ValidationError",
        "required": ["loc", "msg", "type"],
        "properties": {
            "loc": {
                "type": "array",
                "title": "Location",
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "msg": {"type": "string", "title": "Message"},
            "type": {"type": "string", "title": "Error Type"},
        },
    },
    "HTTPValidationError": {
        "type": "object",
        "title": "HTTPValidationError",
        "properties": {"detail": {"type": "array", "title": "Detail", "items": {"$ref": REF + "ValidationError"}}},
    },
}

RESERVED = frozenset({"Input", "Output", *ENVELOPES})
