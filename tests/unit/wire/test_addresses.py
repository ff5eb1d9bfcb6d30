from __future__ import annotations

from ipaddress import ip_address

import pytest

from penstock.wire.addresses import is_public, literal, unwrapped


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("64:ff9b::a00:1", "10.0.0.1"),
        ("2606:4700::1", "2606:4700::1"),
        ("1.1.1.1", "1.1.1.1"),
    ],
)
def test_an_address_within_an_address_is_what_counts(text: str, real: str) -> None:
    assert unwrapped(ip_address(text)) == ip_address(real)


@pytest.mark.parametrize("text", ["1.1.1.1", "193.0.0.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "192.0.0.9", "239.1.1.1", "::8.8.8.8", "2002:808:808::1", "3fff::1", "4000::1", "5f00::1"]
)
def test_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("[::1]", "::1"),
        ("8.8.8.8", "8.8.8.8"),
        ("localhost", "127.0.0.1"),
        ("a.LocalHost", "127.0.0.1"),
        ("x.test", None),
    ],
)
def test_a_host_may_be_an_address(host: str, address: str | None) -> None:
    assert literal(host) == (ip_address(address) if address else None)
