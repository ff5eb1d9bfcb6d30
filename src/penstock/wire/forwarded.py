"""Where a request comes from, also through proxies.

Source: MDN on X-Forwarded-For, read 2026-11-21. Quirk: it may come in several headers, which are one list in order, and
some proxies write ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from penstock.wire.addresses import Address, Network, unwrapped


def client_address(scope: Mapping[str, Any], trusted: Sequence[Network]) -> Address | None:
    """Of an ASGI request; None where nobody knows.

    The peer; or behind proxies that are trusted, the last one in `X-Forwarded-For` that is none of them: what is before
    it, anybody may have written.
    """
    peer = (scope.get("client") or ("",))[0]
    if not trusted:
        return _address(peer)
    hops = [peer]
    for name, value in reversed(scope["headers"]):
        if name == b"x-forwarded-for":
            hops += reversed(value.decode("latin-1").split(","))
    address = None
    for hop in hops:
        address = _address(hop)
        if address is None or not any(address in network for network in trusted):
            break
    return address


@lru_cache(1000)
def _address(hop: str) -> Address | None:
    """`1.2.3.4`, `1.2.3.4:567`, `::1`, or `[::1]:567`; an IPv4 address in IPv6's clothes is an IPv4 one."""
    host = hop.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return unwrapped(ip_address(host))
    except ValueError:
        return None
