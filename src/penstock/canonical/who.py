"""Who asks, what they may, and what they share with others."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from penstock.canonical.usage import Micros
from penstock.clock import Nanos

LIVE, TEST = "live", "test"
RELAY, READ, ADMIN = "relay", "read", "admin"
SCOPES = (RELAY, READ, ADMIN)
"""What a key is for: to have work done; to look at tasks and accounts; to run the gateway."""
ONE = 1_000_000
"""A multiplier of 1: multipliers are millionths."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Group:
    """Callers who share models, channels, and prices.

    `models` and `channels` are patterns of names, None where all are meant. `multiplier`: what prices are multiplied
    by, in millionths. `policy`: how channels of one priority are chosen from (`routing.planning.POLICIES`). The limits
    are those of each key that has none of its own.
    """

    name: str = "default"
    models: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    multiplier: int = ONE
    policy: str = "weight"
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a key may spend: in all, in a month, and in a day, by UTC; None where unlimited."""

    total: Micros | None = None
    month: Micros | None = None
    day: Micros | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a valid key. Limits are None where there are none: `rpm` requests and `tpm` tokens a minute,
    `concurrency` unfinished pieces of work. `root` is the first of the keys that this one was rotated from, if any:
    they share quotas. `networks`: where its clients may be; everywhere, if there are none."""

    key: str
    account: str
    account_name: str
    mode: str
    name: str = ""
    rpm: int | None = None
    concurrency: int | None = None
    tpm: int | None = None
    group: Group = Group()
    models: tuple[str, ...] | None = None
    networks: tuple[Network, ...] = ()
    scopes: frozenset[str] = frozenset((RELAY, READ))
    expires_at: Nanos | None = None
    quota: Quota | None = None
    root: str = ""
