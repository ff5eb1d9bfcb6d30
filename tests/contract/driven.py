"""Vendors' own clients, unmodified, driven through scenarios against live servers, each in one child process.

A driver (`drivers/`) holds a client's scenarios and tells how each went; every scenario is reported as a test of its
own. See `drivers/harness.py`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.contract.environments import node_client, python_client

DRIVERS = Path(__file__).parent / "drivers"
DRIVEN_WITHIN_S = 90.0
ENVIRONMENT = {"REPLICATE_POLL_INTERVAL": "0.05", "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}

PYTHON = r"^@scenario\nasync def (\w+)\("
NODE = r"^  async (\w+)\([^)]*\) \{$"


Modes = tuple[str, ...]
Lost = Mapping[str, Mapping[str, str]]
"""Why a scenario can't go well against a server."""
BOTH: Modes = ("sync", "async")


@dataclass(frozen=True)
class Client:
    """How a client's driver is started, what registers a scenario in its source, and in which modes it is driven
    against which servers."""

    driver: str
    command: Callable[[], list[str]]
    servers: Mapping[str, Modes]
    folder: Callable[[], Path] = Path
    scenario: str = PYTHON
    marks: tuple[pytest.MarkDecorator, ...] = ()

    def scenarios(self) -> list[str]:
        return re.findall(self.scenario, (DRIVERS / self.driver).read_text(), re.MULTILINE)


def python(driver: str, environment: str, servers: Mapping[str, Modes]) -> Client:
    """A client in Python, in the environment that `clients/<environment>.lock` describes."""
    return Client(driver, lambda: [str(python_client(environment))], servers)


def node(driver: str, servers: Iterable[str]) -> Client:
    """A client in JavaScript."""
    modes = dict.fromkeys(servers, ("async",))
    return Client(driver, lambda: ["node"], modes, lambda: node_client("js"), NODE, (pytest.mark.node,))


@dataclass(frozen=True)
class Drive:
    """What a run of a driver came to: a result by server, scenario, and mode, and, for those missing, how it ended."""

    results: Mapping[tuple[str, str, str], dict[str, Any]]
    ending: str

    def check(self, server: str, scenario: str, mode: str, log: Callable[[], str]) -> None:
        """Fail as this scenario did."""
        result = self.results.get((server, scenario, mode))
        if result is None:
            pytest.fail(f"{scenario} ({mode}) was not told of; the driver {self.ending}", pytrace=False)
        if result["error"]:
            print(log())
            pytest.fail(f"{scenario} ({mode}, {result['seconds']} s)\n{result['error']}", pytrace=False)


def cases(clients: Mapping[str, Client], lost: Lost = MappingProxyType({})) -> list[Any]:
    """Client, server, mode, and scenario of every test. What is `lost` must fail."""
    return [
        pytest.param(name, server, mode, scenario, id=f"{name}-{server}-{mode}-{scenario}", marks=marks)
        for name, client in clients.items()
        for server, modes in client.servers.items()
        for mode in modes
        for scenario in client.scenarios()
        for marks in [[*client.marks, *marked(lost.get(scenario, {}).get(server))]]
    ]


def marked(why: str | None) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(strict=True, reason=why)] if why else []


def drive(client: Client, told: Mapping[str, Mapping[str, Any]], ca_file: Path | None = None) -> Drive:
    """All scenarios of a client in one child process; `told` is what its driver shall know of each server. What it said
    before it hung or died counts."""
    command, folder = [*client.command(), str(DRIVERS / client.driver)], client.folder()
    trust = {"SSL_CERT_FILE": str(ca_file), "NODE_EXTRA_CA_CERTS": str(ca_file)} if ca_file else {}
    servers = {server: {**known, "modes": client.servers[server]} for server, known in told.items()}
    environ = os.environ | trust | ENVIRONMENT | {"CONTRACT": json.dumps(servers)}
    child = subprocess.Popen(
        command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said, errors = child.communicate(timeout=DRIVEN_WITHIN_S)
        ending = f"ended with {child.returncode}"
    except subprocess.TimeoutExpired:
        child.kill()
        said, errors = child.communicate()
        ending = f"was killed after {DRIVEN_WITHIN_S:g} s"
    results = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    by_case = {(one["server"], one["scenario"], one["mode"]): one for one in results}
    return Drive(by_case, f"{ending}\n{errors[-6000:]}")
