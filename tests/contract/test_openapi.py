"""The OpenAPI document is true of a live server: what it answers to made-up requests is what the document says."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from penstock.console.openapi import document
from penstock.dialects._installed import dialects
from tests.live import Live

CHECKS: list[Callable[..., Any]] = [
    schemathesis.checks.not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    ignored_auth,
]
WAITS_MOST_S = 10.0
DOCUMENT = document(dialects().values(), "http://127.0.0.1")
OPERATIONS = {
    one.label: one for one in (found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
}


def test_the_document_is_served(live: Live) -> None:
    with urllib.request.urlopen(f"{live.url}/openapi.json") as reply:
        served = json.load(reply)
    assert served == DOCUMENT | {"servers": [{"url": live.url}]}


def made_up() -> Iterator[Any]:
    """Each operation with requests that keep to the document, and where it takes anything, with others that don't."""
    for label, operation in OPERATIONS.items():
        told = DOCUMENT["paths"][operation.path][operation.method]
        yield pytest.param(label, GenerationMode.POSITIVE, id=f"{label} good")
        if "parameters" in told or "requestBody" in told:
            yield pytest.param(label, GenerationMode.NEGATIVE, id=f"{label} bad")


@pytest.fixture(scope="module")
def administered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server of their own for made-up acts: they may do anything there but lead outside."""
    with Live(tmp_path_factory.mktemp("administered")) as server:
        yield server


@pytest.mark.parametrize(("label", "mode"), list(made_up()))
def test_answers_are_as_described(label: str, mode: GenerationMode, live: Live) -> None:
    _keeps_its_word(label, mode, live.url, live.test_key)


@pytest.mark.parametrize(("label", "mode"), [each for each in made_up() if "/v1/admin/" in str(each.values[0])])
def test_acts_answer_as_described(label: str, mode: GenerationMode, administered: Live) -> None:
    _keeps_its_word(label, mode, administered.url, administered.admin_key)


def _keeps_its_word(label: str, mode: GenerationMode, url: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}

    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def answers(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, headers=headers, timeout=WAITS_MOST_S, checks=CHECKS)

    answers()


def test_what_is_there_is_as_described(live: Live) -> None:
    """Made-up names lead nowhere, so here are true ones."""
    made = _answer(live, "POST /replicate/v1/predictions", body=EXAMPLE)
    model = {"owner": "black-forest-labs", "name": "flux-schnell"}
    version = _answer(live, "GET /replicate/v1/models/{owner}/{name}", model)["latest_version"]["id"]
    deployed = {"name": "boats", "model": "black-forest-labs/flux-schnell", "version": version}
    deployed |= {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    owner = _answer(live, "POST /replicate/v1/deployments", body=deployed)["owner"]
    boats = {"owner": owner, "name": "boats"}
    for label, path in {
        "GET /replicate/v1/predictions/{id}": {"id": made["id"]},
        "POST /replicate/v1/predictions/{id}/cancel": {"id": made["id"]},
        "GET /v1/tasks/{id}": {"id": made["id"]},
        "GET /v1/tasks": {},
        "GET /replicate/v1/predictions": {},
        "GET /replicate/v1/models/{owner}/{name}/versions/{version}": model | {"version": version},
        "GET /replicate/v1/models/{owner}/{name}/versions": model,
        "GET /replicate/v1/models/{owner}/{name}/readme": model,
        "GET /replicate/v1/collections/{slug}": {"slug": "text-to-image"},
        "GET /replicate/v1/deployments/{owner}/{name}": boats,
        "GET /replicate/v1/deployments": {},
        "DELETE /replicate/v1/deployments/{owner}/{name}": boats,
    }.items():
        _answer(live, label, path)


EXAMPLE = {"version": "black-forest-labs/flux-schnell", "input": {"prompt": "a paper boat on a quiet lake"}}


def _answer(live: Live, label: str, path: dict[str, str] | None = None, body: Any = None) -> Any:
    """What an operation answers with success, and as described."""
    given = {} if body is None else {"body": body, "media_type": "application/json"}
    case = OPERATIONS[label].Case(path_parameters=path or {}, **given)
    headers = {"Authorization": f"Bearer {live.test_key}"}
    reply = case.call_and_validate(base_url=live.url, headers=headers, timeout=WAITS_MOST_S, checks=CHECKS)
    assert reply.status_code < 300, (label, reply.content)
    return reply.json() if "json" in reply.headers.get("content-type", [""])[0] else reply.content
