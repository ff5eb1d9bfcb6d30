"""The document holds what is bound, no more and no less, and refers to nothing that it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.console.openapi import bound, data, document
from penstock.console.reference import reference
from penstock.dialects._base import Dialect, Outgoing, route
from penstock.dialects._installed import dialects

DIALECTS = dialects()
DOCUMENT = document(DIALECTS.values(), "http://gateway.test")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, members in DOCUMENT["paths"].items():
        for method, operation in members.items():
            yield path, method, operation


@pytest.mark.parametrize("name", DIALECTS)
def test_the_data_beside_a_dialect_speaks_of_all_its_routes_and_of_no_others(name: str) -> None:
    assert set(data(DIALECTS[name]).operations) == set(bound(DIALECTS[name]))


@pytest.mark.parametrize("name", DIALECTS)
def test_the_described_prefix_is_one_of_the_dialect(name: str) -> None:
    assert data(DIALECTS[name]).prefix in DIALECTS[name].prefixes


def test_every_route_is_in_the_document() -> None:
    for dialect in DIALECTS.values():
        prefix = data(dialect).prefix
        for found in dialect.routes():
            members = DOCUMENT["paths"][(prefix + found.path).replace("*}", "}")]
            assert found.method.lower() in members or f"x-{found.method.lower()}" in members


def test_every_reference_leads_somewhere() -> None:
    wanted = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", repr(DOCUMENT)))
    assert wanted <= set(DOCUMENT["components"]["schemas"])


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_path_parameters_are_those_in_the_path() -> None:
    for path, method, operation in operations():
        told = {found["name"] for found in operation.get("parameters", ()) if found["in"] == "path"}
        assert told == set(re.findall(r"{(\w+)\*?}", path)), (path, method)


def test_every_operation_has_words_and_a_reply() -> None:
    for path, method, operation in operations():
        assert operation["summary"], (path, method)
        assert operation["responses"], (path, method)


def test_every_member_of_a_schema_has_words() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for member, inner in schema.get("properties", {}).items():
            assert "description" in inner or "$ref" in inner, (name, member)


def test_a_dialect_without_data_is_described_by_its_routes() -> None:
    class Bare(Dialect):
        name = "bare"
        prefixes = ("/bare",)

        def written(self, result: None) -> Outgoing:
            return Outgoing(200)

        @route("GET", "/things/{id}", written)
        def get(self, http: Any) -> Any:
            """Get a thing."""

    made = document([Bare()], "http://gateway.test")["paths"]["/bare/things/{id}"]["get"]
    assert made["summary"] == "Get a thing."
    assert made["security"] == [{"key": []}]
    assert set(made["responses"]) == {"default", "401", "404", "429", "500", "503"}


def test_the_reference_shows_every_operation_once() -> None:
    shown = [entry.id for section in reference(DOCUMENT)["sections"] for entry in section.entries]
    assert sorted(shown) == sorted(operation["operationId"] for _, _, operation in operations())


def test_the_reference_has_a_curl_line_that_says_all() -> None:
    entries = {e.id: e for section in reference(DOCUMENT)["sections"] for e in section.entries}
    assert entries["replicate_post_predictions"].curl == (
        "curl -X POST http://gateway.test/replicate/v1/predictions \\\n"
        '  -H "Authorization: Bearer $PENSTOCK_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        '  -d \'{"version":"black-forest-labs/flux-schnell","input":{"prompt":"a paper boat on a quiet lake"}}\''
    )
