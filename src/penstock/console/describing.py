"""The admin API as OpenAPI operations, from the acts' own signatures."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from penstock.console.acts import Acting
from penstock.console.acts._base import Parameter
from penstock.dialects._base import JSON

Json = dict[str, Any]
HOME = "/v1/admin"
TAG = {
    "name": "Admin",
    "description": "All that operators can do, for live keys with the scope `admin`. What changes nothing is asked"
    " by GET too. Whatever changes something is in the audit log.",
}
REFUSES = (400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504)
COMPONENTS = "#/components/schemas/"
SCHEMAS: Json = {
    "admin.Done": {
        "type": "object",
        "required": ["result"],
        "properties": {"result": {"description": "What the act says, as its command prints it with `--json`"}},
    }
}


def path(act: str) -> str:
    return f"{HOME}/{act.replace('.', '/')}"


def paths(acts: Iterable[Acting]) -> Json:
    """Of those that can be done from afar."""
    return {path(act.name): _methods(act) for act in acts if not act.local}


def components(acts: Iterable[Acting]) -> Json:
    """The schemas that arguments refer to."""
    types = [parameter.type for act in acts for parameter in act.parameters.values()]
    return SCHEMAS | msgspec.json.schema_components(types, ref_template=f"{COMPONENTS}admin.{{name}}")[1]


def schema(parameter: Parameter) -> Json:
    [told], _ = msgspec.json.schema_components([parameter.type], ref_template=f"{COMPONENTS}admin.{{name}}")
    silent = parameter.required or parameter.default in (None, msgspec.UNSET)
    return told if silent else told | {"default": parameter.default}


def _methods(act: Acting) -> Json:
    given = list(act.parameters.values())
    post = _operation(act, "post", (*REFUSES, 413))
    if given:
        properties = {parameter.name: schema(parameter) for parameter in given}
        needed = [parameter.name for parameter in given if parameter.required]
        whole = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
        post["requestBody"] = {"required": bool(needed), "content": {JSON: {"schema": whole}}}
    if not act.by_query:
        return {"post": post}
    get = _operation(act, "get", REFUSES)
    if given:
        get["parameters"] = [
            {"name": parameter.name, "in": "query", "required": parameter.required, "schema": schema(parameter)}
            for parameter in given
        ]
    return {"get": get, "post": post}


def _operation(act: Acting, method: str, refuses: Iterable[int]) -> Json:
    return {
        "operationId": f"admin_{method}_{act.name.replace('.', '_')}",
        "tags": [TAG["name"]],
        "summary": act.summary,
        "security": [{"key": []}],
        "responses": {"200": _reply(200, "admin.Done")}
        | {str(status): _reply(status, "gateway.Error") for status in sorted(refuses)},
    }


def _reply(status: int, kind: str) -> Json:
    content = {JSON: {"schema": {"$ref": COMPONENTS + kind}}}
    return {"description": HTTPStatus(status).phrase, "content": content}
