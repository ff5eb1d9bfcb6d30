from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from penstock.wire.forwarded import client_address

PROXIES = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.66, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.66, 198.51.100.1, 10.0.0.2",), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.66", "198.51.100.1", "10.0.0.2"), "198.51.100.1"),
        ("10.0.0.1", ("10.9.9.9, 10.0.0.2",), "10.9.9.9"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("10.0.0.1", ("[2001:db8::1]:4711",), "2001:db8::1"),
        ("10.0.0.1", ("2001:db8::1",), "2001:db8::1"),
        ("fd00::1", ("198.51.100.1",), "198.51.100.1"),
        ("::ffff:10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("unknown",), None),
        ("10.0.0.1", ("198.51.100.1, unknown",), None),
        ("10.0.0.1", ("198.51.100.1,",), None),
        ("10.0.0.1", ("198.51.100.1 OR 1=1",), None),
        (None, ("198.51.100.1",), None),
    ],
)
def test_where_a_request_comes_from(peer: str | None, forwarded: tuple[str, ...], found: str | None) -> None:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value.encode()) for value in forwarded)]
    scope: dict[str, Any] = {"client": (peer, 5) if peer else None, "headers": headers}
    address = client_address(scope, [ip_network(proxy) for proxy in PROXIES])
    assert (str(address) if address else None) == found


def test_without_trusted_proxies_the_header_says_nothing() -> None:
    scope = {"client": ("127.0.0.1", 5), "headers": [(b"x-forwarded-for", b"198.51.100.1")]}
    assert str(client_address(scope, ())) == "127.0.0.1"
