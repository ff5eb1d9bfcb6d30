from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from pydantic import ValidationError

from penstock.config import load


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "PORT", "HOST", "SECRET", "DATABASE_URL", "PUBLIC_URL", "EGRESS_ALLOW", "RPM"):
        monkeypatch.delenv(f"PENSTOCK_{name}", raising=False)


def test_the_command_line_beats_the_environment_and_that_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("penstock.toml").write_text('port = 1\nhost = "::1"\nrpm = 5\n[[channels]]\nname = "a"\nmodels = ["b/c"]\n')
    monkeypatch.setenv("PENSTOCK_PORT", "2")
    monkeypatch.setenv("PENSTOCK_RPM", "")
    settings = load(data=Path("d"), host=None)
    assert (settings.port, settings.host, settings.rpm, settings.data) == (2, "::1", 5, Path("d"))
    assert load(port=3).port == 3


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8700"),
        ({"host": "0.0.0.0", "port": 1}, "http://127.0.0.1:1"),
        ({"host": "::1"}, "http://[::1]:8700"),
        ({"public_url": "https://gw.example/"}, "https://gw.example"),
    ],
)
def test_the_public_url(given: dict[str, object], url: str) -> None:
    assert load(**given).public_url == url


def test_networks_and_origins_are_lists_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_EGRESS_ALLOW", "10.0.0.1/8, fd00::/8")
    allowed = load().egress_allow
    assert allowed == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert load(cors_origins="https://a, https://b").cors_origins == ("https://a", "https://b")
    assert load(egress_allow="").egress_allow == ()
    assert load().trusted_proxies == ()
    assert load(trusted_proxies="127.0.0.1 10.0.0.0/8").trusted_proxies == (
        *(ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8")),
    )


def test_it_is_frozen_and_shows_no_secret() -> None:
    settings = load(
        secret="canary-1", database_url="postgresql://u:canary-2@h/d", channels=({"credential": "canary-3"},)
    )
    assert "canary" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
