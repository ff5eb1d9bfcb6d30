"""The OpenAPI document is true of a live server: what it answers to made-up requests is what the document says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

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


@pytest.fixture(scope="session")
def api(live: Live) -> Any:
    return schemathesis.openapi.from_url(f"{live.url}/openapi.json")


described = schemathesis.pytest.from_fixture("api")


@described.parametrize()
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: schemathesis.Case, live: Live) -> None:
    headers = {"Authorization": f"Bearer {live.test_key}"}
    case.call_and_validate(headers=headers, timeout=WAITS_MOST_S, checks=CHECKS)
