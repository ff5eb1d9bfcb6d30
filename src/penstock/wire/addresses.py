"""Which addresses and ports are the public internet's web.

Sources: IANA special-purpose address registries; WHATWG Fetch, bad ports; RFC 6761 (localhost).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What `is_global` of some Python versions lets pass, and what leads to IPv4 in a wrapping we don't unwrap.
NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments; some clouds' metadata
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")

# Ports on which something other than HTTP listens: Fetch's list, and databases and brokers.
_OTHER_PORTS = (
    "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 "
    "123 135 137 139 143 161 179 389 427 445 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 "
    "873 989 990 993 995 1433 1521 1719 1720 1723 2049 2181 2375 2376 2379 2380 3306 3389 3659 4045 4190 5060 "
    "5061 5432 5672 5900 6000 6379 6566 6665 6666 6667 6668 6669 6679 6697 9042 9092 10080 11211 27017 "
)
OTHER_PORTS = frozenset(map(int, _OTHER_PORTS.split()))


def is_public(address: Address) -> bool:
    if any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and (address.version == 4 or address in UNICAST)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that a packet to this one really goes to, where there is one (::ffff:0:0/96, NAT64)."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address


def literal(host: str) -> Address | None:
    """The address that a host is or, for `localhost` and its subdomains (RFC 6761), stands for; None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        name = host.lower()
        return IPv4Address("127.0.0.1") if name == "localhost" or name.endswith(".localhost") else None
