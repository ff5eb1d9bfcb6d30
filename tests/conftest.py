"""Fixtures that any test may ask for: live servers, over HTTP and HTTPS, and a receiver of webhooks."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.live import Certificate, Live
from tests.webhook_receiver import WebhookReceiver


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for the whole session; tests that need it empty make an account of their own."""
    with Live(tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.fixture(scope="session")
def live_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live-tls")
    with Live(folder, certificate=Certificate.issue(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def receiver() -> Iterator[WebhookReceiver]:
    """Shared by the session, so post to a path of your own and look there."""
    with WebhookReceiver() as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of a server's log below the failure of a test that used it."""
    report = yield
    used = getattr(item, "funcargs", {}).values()
    if report.failed:
        report.sections += [(f"log of {server.url}", server.log_tail()) for server in used if isinstance(server, Live)]
    return report
