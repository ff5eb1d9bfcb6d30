from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from penstock.access.admission import check_address, check_model, check_scope, may_use
from penstock.canonical.who import Caller, Group
from penstock.errors import AddressForbidden, ModelForbidden, ScopeMissing


@pytest.mark.parametrize(
    ("own", "group", "names", "allowed"),
    [
        (None, None, ("gpt-5",), True),
        (("gpt-*",), None, ("gpt-5",), True),
        (("gpt-*",), None, ("claude",), False),
        (None, ("openai/*",), ("openai/gpt-5",), True),
        (None, ("openai/*",), ("anthropic/claude",), False),
        (("gpt-*",), ("claude",), ("gpt-5",), False),
        (("cheap",), ("gpt-*",), ("cheap", "gpt-5"), True),
        (("*",), None, ("a/b",), True),
        (("GPT-5",), None, ("gpt-5",), False),
        ((), None, ("gpt-5",), False),
    ],
)
def test_models(
    own: tuple[str, ...] | None, group: tuple[str, ...] | None, names: tuple[str, ...], allowed: bool
) -> None:
    caller = Caller("k", "a", "acme", "live", models=own, group=Group(models=group))
    assert may_use(caller, *names) is allowed
    if not allowed:
        with pytest.raises(ModelForbidden, match=names[0]):
            check_model(caller, *names)


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ((), None, True),
        (("203.0.113.0/24",), "203.0.113.9", True),
        (("203.0.113.0/24",), "198.51.100.1", False),
        (("203.0.113.0/24",), None, False),
        (("203.0.113.0/24", "2001:db8::/32"), "2001:db8::1", True),
        (("203.0.113.0/24",), "2001:db8::1", False),
    ],
)
def test_addresses(networks: tuple[str, ...], address: str | None, allowed: bool) -> None:
    caller = Caller("k", "a", "acme", "live", networks=tuple(map(ip_network, networks)))
    at = ip_address(address) if address else None
    if allowed:
        check_address(caller, at)
        return
    with pytest.raises(AddressForbidden):
        check_address(caller, at)


@pytest.mark.parametrize(
    ("has", "wants", "enough"),
    [
        ("relay read", "relay", True),
        ("relay", "read", True),
        ("read", "read", True),
        ("read", "relay", False),
        ("admin", "read", False),
        ("admin", "admin", True),
        ("relay read", "admin", False),
    ],
)
def test_scopes(has: str, wants: str, enough: bool) -> None:
    caller = Caller("k", "a", "acme", "live", scopes=frozenset(has.split()))
    if enough:
        check_scope(caller, wants)
        return
    with pytest.raises(ScopeMissing, match=wants):
        check_scope(caller, wants)
