"""The OpenAPI document of what this gateway serves: one operation for every route that is bound.

What routes can't tell (bodies, parameters, words about them) stands beside each dialect as data: `openapi.json` in its
folder, or `<name>.openapi.json` beside its file. A dialect without such a file is described by its routes alone. The
admin API is described by its acts.

Source: OpenAPI Specification 3.1.1. Quirk: it has no `query` method, so a QUERY route stands under `x-query`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from penstock import __version__
from penstock.console import describing
from penstock.console.acts import ACTS
from penstock.dialects._base import JSON, Dialect, Route

Json = dict[str, Any]
OWN = Path(__file__).parent / "pages.openapi.json"
METHODS = {"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}
ALWAYS = (500, 503)
WITH_KEY = (401, 429)
WITH_BODY = (400, 413, 422)
REFUSED = {402: "The account can't pay for it", 409: "Another request was first", 413: "The body is too large"}


class Data(msgspec.Struct):
    """What stands beside a dialect. In its schemas a `$ref` is the bare name of another one of them."""

    title: str
    prefix: str = ""
    description: str = ""
    error: dict[str, Any] = {}
    parameters: dict[str, Json] = {}
    path: dict[str, Json] = {}
    operations: dict[str, Json] = {}
    schemas: dict[str, Json] = {}


def document(dialects: Iterable[Dialect], url: str) -> Json:
    """The whole document, for a gateway at this URL."""
    described: list[tuple[str, Data, Mapping[str, Route]]]
    described = [("gateway", msgspec.json.decode(OWN.read_bytes(), type=Data), {})]
    described += [(dialect.name, data(dialect), bound(dialect)) for dialect in dialects]
    described.sort(key=lambda entry: (entry[0] == "vendors", entry[0] == "gateway", entry[0]))
    paths: Json = {}
    schemas: Json = {}
    for name, facts, routes in described:
        for key, operation in _operations(name, facts, routes):
            method, _, path = key.partition(" ")
            paths.setdefault((facts.prefix + path).replace("*}", "}"), {})[_member(method)] = operation
        schemas |= {f"{name}.{short}": _referring(schema, name) for short, schema in facts.schemas.items()}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "penstock",
            "version": __version__,
            "summary": "One base URL and one key for every model",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "tags": [
            *({"name": facts.title, "description": facts.description} for _, facts, _ in described),
            describing.TAG,
        ],
        "paths": paths | describing.paths(ACTS.values()),
        "components": {
            "schemas": dict(sorted((schemas | describing.components(ACTS.values())).items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key of this gateway"}},
        },
    }


def data(dialect: Dialect) -> Data:
    """What stands beside a dialect; the bare minimum where nothing does."""
    file = Path(str(sys.modules[type(dialect).__module__].__file__))
    beside = file.with_name("openapi.json") if file.stem == "__init__" else file.with_suffix(".openapi.json")
    if beside.is_file():
        return msgspec.json.decode(beside.read_bytes(), type=Data)
    return Data(dialect.name.capitalize(), dialect.prefixes[0])


def bound(dialect: Dialect) -> dict[str, Route]:
    """The dialect's routes by method and path, its prefix left out."""
    return {f"{route.method} {route.path}": route for route in dialect.routes()}


# ── one operation ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _operations(name: str, facts: Data, routes: Mapping[str, Route]) -> Iterator[tuple[str, Json]]:
    """In the order of the data, then what it does not mention."""
    if not routes:
        routes = {key: _page(key, told) for key, told in facts.operations.items()}
    order = [key for key in facts.operations if key in routes]
    order += [key for key in routes if key not in facts.operations]
    for key in order:
        yield key, _operation(name, facts, routes[key], facts.operations.get(key, {}))


def _page(key: str, told: Json) -> Route:
    method, _, path = key.partition(" ")
    return Route(method, path, None, None, needs_key=False, summary=told["summary"])  # type: ignore[arg-type]


def _member(method: str) -> str:
    return method.lower() if method in METHODS else f"x-{method.lower()}"


def _operation(name: str, facts: Data, route: Route, told: Json) -> Json:
    made: Json = {
        "operationId": _id(name, route),
        "tags": [facts.title],
        "summary": route.summary,
        "security": [{"key": []}] if route.needs_key else [],
    }
    parameters = [_variable(found, facts) for found in re.findall(r"{(\w+)\*?}", route.path)]
    parameters += [{"required": False} | facts.parameters[parameter] for parameter in told.get("parameters", ())]
    if parameters:
        made["parameters"] = parameters
    if "body" in told:
        made["requestBody"] = {"required": True, "content": _contents(name, told)}
    made["responses"] = _responses(name, facts, route, told)
    return made


def _id(name: str, route: Route) -> str:
    words = re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")
    return f"{name}_{words}"


def _variable(variable: str, facts: Data) -> Json:
    found = facts.path.get(variable, {"schema": {"type": "string", "minLength": 1}})
    return {"name": variable, "in": "path", "required": True, **found}


def _contents(name: str, told: Json) -> Json:
    example = {"example": told["example"]} if "example" in told else {}
    return {media: {"schema": _schema(name, schema), **example} for media, schema in told["body"].items()}


def _responses(name: str, facts: Data, route: Route, told: Json) -> Json:
    made = {status: _reply(name, status, reply) for status, reply in told.get("replies", {}).items()}
    if not facts.operations:
        made["default"] = {"description": "As the API says"}
    if facts.error and route.method != "HEAD":
        content = {media: {"schema": _schema(name, facts.error["schema"])} for media in facts.error["media"]}
    else:
        content = {}
    for status in _refusals(name, route, told):
        words = REFUSED.get(status, HTTPStatus(status).phrase)
        made.setdefault(str(status), {"description": words} | ({"content": content} if content else {}))
    return made


def _refusals(name: str, route: Route, told: Json) -> list[int]:
    found = {*told.get("refuses", ()), *(ALWAYS if name != "gateway" else (500,))}
    found |= set(WITH_KEY) if route.needs_key else set()
    found |= set(WITH_BODY) if "body" in told else {413} if route.method not in ("GET", "HEAD") else set()
    found |= {404} if "{" in route.path else set()
    return sorted(found)


def _reply(name: str, status: str, reply: Any) -> Json:
    words = HTTPStatus(int(status)).phrase
    if reply is None:
        return {"description": words}
    if isinstance(reply, dict) and "media" in reply:
        return {"description": reply["description"], "content": {reply["media"]: {}}}
    if isinstance(reply, dict) and "schema" in reply:
        return {"description": words, "content": {JSON: {"schema": reply["schema"]}}}
    return {"description": words, "content": {JSON: {"schema": _schema(name, reply)}}}


# ── schemas ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _schema(name: str, said: Any) -> Json:
    """A schema's name, a page or a list of what a schema names, or the schema itself."""
    if isinstance(said, str):
        return {"$ref": f"#/components/schemas/{name}.{said}"}
    if "page" in said:
        link = {"type": ["string", "null"], "description": "Where to go on"}
        results = {"type": "array", "items": _schema(name, said["page"])}
        properties = {"previous": link, "next": link, "results": results}
        return {"type": "object", "required": ["previous", "next", "results"], "properties": properties}
    if "list" in said:
        return {"type": "array", "items": _schema(name, said["list"])}
    return dict(said)


def _referring(schema: Any, name: str) -> Any:
    if isinstance(schema, dict):
        return {
            key: f"#/components/schemas/{name}.{part}" if key == "$ref" else _referring(part, name)
            for key, part in schema.items()
        }
    return [_referring(part, name) for part in schema] if isinstance(schema, list) else schema
