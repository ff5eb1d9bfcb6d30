"""What a key may be used for: which models, from where, and for what."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

from penstock.canonical.who import READ, RELAY, Caller, Network
from penstock.errors import AddressForbidden, ModelForbidden, ScopeMissing
from penstock.wire.addresses import Address

ENOUGH = {READ: frozenset((READ, RELAY))}
"""For each scope, those that will do; of all others it takes the scope itself."""


def may_use(caller: Caller, *names: str) -> bool:
    """Whether the key's list and its group's each have one of the names that a model goes by."""
    own, shared = caller.models, caller.group.models
    return (own is None or _match(own, names)) and (shared is None or _match(shared, names))


@lru_cache(4096)
def _match(patterns: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def check_model(caller: Caller, *names: str) -> None:
    """Raises ModelForbidden. To be asked before the model is looked up; the first name is what the client said."""
    if not may_use(caller, *names):
        raise ModelForbidden(f"This key may not use the model {names[0][:200]!r}.")


def check_allowed(caller: Caller, model: str, targets: tuple[str, ...]) -> None:
    """Raises ModelForbidden unless the key may use this name, or all that it stands for."""
    try:
        check_model(caller, model)
    except ModelForbidden:
        if targets == (model,):
            raise
        for target in targets:
            check_model(caller, target)


def check_address(caller: Caller, address: Address | None) -> None:
    """Raises AddressForbidden where the key has networks, and its client is in none of them or nobody knows where."""
    if caller.networks and not (address and _is_within(address, caller.networks)):
        raise AddressForbidden()


@lru_cache(4096)
def _is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def may(caller: Caller, scope: str) -> bool:
    """Whether the key has the scope, or one that includes it."""
    return scope in caller.scopes or not caller.scopes.isdisjoint(ENOUGH.get(scope, ()))


def check_scope(caller: Caller, scope: str) -> None:
    """Raises ScopeMissing."""
    if not may(caller, scope):
        raise ScopeMissing(f"This key lacks the scope {scope!r}, which this takes.")
