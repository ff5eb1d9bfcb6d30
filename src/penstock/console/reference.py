"""The API reference for people: the OpenAPI document, in order, with a curl line for every operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

Json = dict[str, Any]
SAMPLES = {"owner": "black-forest-labs", "name": "flux-schnell", "slug": "text-to-image"}


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter or member. `link` is the name of the schema that it holds."""

    name: str
    kind: str
    required: bool
    words: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    status: str
    words: str
    kind: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation, as it is shown."""

    id: str
    method: str
    path: str
    summary: str
    needs_key: bool
    curl: str
    parameters: tuple[Row, ...]
    body: tuple[Row, ...]
    media: str
    replies: tuple[Reply, ...]
    refusals: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    words: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """One schema, as it is shown."""

    id: str
    rows: tuple[Row, ...]


def reference(document: Json) -> dict[str, Any]:
    """What the template needs: `sections` and `shapes`."""
    base = document["servers"][0]["url"]
    entries = list(_entries(document, base))
    sections = [
        Section(_anchor(tag["name"]), tag["name"], tag["description"], tuple(e for t, e in entries if t == tag["name"]))
        for tag in document["tags"]
    ]
    shapes = [Shape(name, tuple(_rows(schema))) for name, schema in document["components"]["schemas"].items()]
    return {"sections": [section for section in sections if section.entries], "shapes": shapes}


def _entries(document: Json, base: str) -> Iterator[tuple[str, Entry]]:
    for path, members in document["paths"].items():
        for member, operation in members.items():
            method = member.removeprefix("x-").upper()
            media, body = _body(document, operation)
            replies = [_reply(status, reply) for status, reply in operation["responses"].items()]
            yield (
                operation["tags"][0],
                Entry(
                    id=operation["operationId"],
                    method=method,
                    path=path,
                    summary=operation["summary"],
                    needs_key=bool(operation["security"]),
                    curl=_curl(base, method, path, operation),
                    parameters=tuple(_parameters(operation)),
                    body=body,
                    media=media,
                    replies=tuple(reply for reply in replies if reply.status < "4"),
                    refusals=tuple(reply for reply in replies if reply.status >= "4"),
                ),
            )


def _parameters(operation: Json) -> Iterator[Row]:
    for found in operation.get("parameters", ()):
        kind = f"{_kind(found['schema'])}, in the {found['in']}"
        yield Row(found["name"], kind, found["required"], found.get("description", ""))


def _body(document: Json, operation: Json) -> tuple[str, tuple[Row, ...]]:
    """The media type, and the members where the body is an object."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        link = _link(schema)
        return media, tuple(_rows(document["components"]["schemas"][link] if link else schema))
    return "", ()


def _rows(schema: Json) -> Iterator[Row]:
    for name, member in schema.get("properties", {}).items():
        kind, link = _kind(member), _link(member)
        yield Row(name, kind, name in schema.get("required", ()), member.get("description", ""), link)


def _reply(status: str, reply: Json) -> Reply:
    for media, content in reply.get("content", {}).items():
        schema = content.get("schema", {})
        return Reply(status, reply["description"], _kind(schema) if schema else media, _link(schema))
    return Reply(status, reply["description"], "")


def _kind(schema: Json) -> str:
    """A schema in a word or a few: `string or null`, `list of File`, `one of a, b`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].rpartition(".")[2]
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if "results" in schema.get("properties", {}):
        return f"page of {_kind(schema['properties']['results']['items'])}"
    kinds = schema.get("type", "anything")
    word = kinds if isinstance(kinds, str) else " or ".join(kinds)
    return f"{word} ({schema['format']})" if "format" in schema else str(word)


def _link(schema: Json) -> str | None:
    """The name of the schema in it."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    inner = [*schema.get("anyOf", ()), schema.get("items"), schema.get("properties", {}).get("results")]
    return next((link for part in inner if isinstance(part, dict) and (link := _link(part))), None)


def _curl(base: str, method: str, path: str, operation: Json) -> str:
    for name, sample in SAMPLES.items():
        if path.count("{") > 1 or name == "slug":
            path = path.replace("{" + name + "}", sample)
    lines = [f"curl {base}{path}" if method == "GET" else f"curl -X {method} {base}{path}"]
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $PENSTOCK_API_KEY"')
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if media == "multipart/form-data":
            lines.append("-F content=@picture.png")
        else:
            lines.append(f'-H "Content-Type: {media}"')
            lines.append(f"-d '{_sample(content)}'")
    return " \\\n  ".join(lines)


def _sample(content: Json) -> str:
    return msgspec.json.encode(content["example"]).decode() if "example" in content else "…"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
