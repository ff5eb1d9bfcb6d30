"""The OpenAPI document is true of a live server: what it answers to made-up requests is what the document says."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
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
OPERATIONS = {one.label: one for one in (found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())}


def test_the_document_is_served(live: Live) -> None:
    with urllib.request.urlopen(f"{live.url}/openapi.json") as reply:
        served = json.load(reply)
    assert served == DOCUMENT | {"servers": [{"url": live.url}]}


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_described(label: str, live: Live) -> None:
    headers = {"Authorization": f"Bearer {live.test_key}"}

    @settings(
        max_examples=5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy())
    def answers(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=live.url, headers=headers, timeout=WAITS_MOST_S, checks=CHECKS)

    answers()
