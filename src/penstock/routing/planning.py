"""Which deployments can take a piece of work, best first.

The order: what an alias stands for, one model after the other; within a model by priority; among equals as the caller's
group says (`POLICIES`). What rests comes after all that does not.

Among those that a policy holds to be alike, each gets its share by weight: by chance, or, where the work should stay
where its like went before (prompt caches), by weighted rendezvous hashing, which needs no memory: a channel that comes
or goes takes or leaves its own share alone, and all nodes agree.
"""

from __future__ import annotations

import fnmatch
import math
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from penstock.canonical.plan import Channel, Deployment, Plan
from penstock.canonical.who import TEST, Group
from penstock.context import Context
from penstock.formats._base import Operation
from penstock.providers._base import CallEndpoint, Provider
from penstock.routing.aliases import Aliases
from penstock.routing.channels import SANDBOX, Channels, upstream_name
from penstock.routing.health import Health
from penstock.routing.providers import Providers

EXPLORES = 0.05
"""The part of calls that look for no fastest channel, so that one which was slow once is measured again."""
CACHED_FROM, CACHED_BY = 4096, 2048
"""Bytes of a body from which on vendors keep its beginning (about 1,000 tokens), and how many tell whose it is."""
PRETENDED = "sandbox/"
"""Models that only test keys have, also where an alias names them."""
EVERYBODY = Group()


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to answer a call."""

    deployment: Deployment
    provider: Provider
    endpoint: CallEndpoint


CallPlan = list[Choice]
Policy = Callable[[Health, Deployment], float]
"""What makes one deployment better than another of the same priority: the less the better."""


def _alike(health: Health, deployment: Deployment) -> float:
    return 0.0


def _latency(health: Health, deployment: Deployment) -> float:
    """Who was never asked goes first."""
    return health.first_s(deployment) or 0.0


def _cost(health: Health, deployment: Deployment) -> float:
    """The channel's option `cost`: what part of the list price it takes."""
    cost = deployment.channel.options.get("cost", 1)
    return float(cost) if isinstance(cost, int | float) else 1.0


POLICIES: dict[str, Policy] = {"weight": _alike, "latency": _latency, "cost": _cost}


def plan(ctx: Context, model: str, mode: str, refused_by: Collection[str] = (), group: Group = EVERYBODY) -> Plan:
    """Which deployments can take a task, best first. Empty: nobody serves this.

    `refused_by`: the ids of channels, and the keys of deployments, that have turned this very task down. Test keys get
    the sandbox, and only them.
    """
    if mode == TEST:
        return [Deployment(SANDBOX, target, target) for target in ctx.of(Aliases).targets(model)]
    found = _serving(ctx, model, group.channels, calls=False)
    if refused_by:
        found = [each for each in found if not {each.channel.id, each.key} & set(refused_by)]
    return [found[place] for place in _order(ctx, found, group)]


def plan_call(
    ctx: Context,
    model: str,
    mode: str,
    format: str,
    operation: Operation,
    *,
    group: Group = EVERYBODY,
    sticky: bytes = b"",
) -> CallPlan:
    """Which deployments can answer a call, best first. Empty: nobody serves this. `sticky`: calls with the same go to
    the same channel as long as it is well."""
    plan = ctx.of(_Choices).of(model, mode, format, operation, group.channels)
    if len(plan) < 2:
        return plan
    return [plan[place] for place in _order(ctx, [choice.deployment for choice in plan], group, sticky)]


def sticky(account: str, model: str, body: bytes) -> bytes:
    """What keeps calls together whose beginning a vendor may have kept; empty where there is too little to keep."""
    if len(body) < CACHED_FROM:
        return b""
    return b"\0".join((account.encode(), model.encode(), body[:CACHED_BY]))


def sent_to(ctx: Context, model: str, asked: str | None, channel: Channel, upstream_model: str) -> Deployment:
    """Where a task of this model is. `asked`: the alias, of whose models the one that has this name there took it."""
    named = (target for target in ctx.of(Aliases).targets(asked or model))
    found = (target for target in named if upstream_name(channel, target) == upstream_model)
    return Deployment(channel, upstream_model, next(found, model))


class _Choices:
    """Those who can, remembered as long as channels and aliases stay as they are."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._channels, self._aliases = ctx.of(Channels), ctx.of(Aliases)
        self._found = lru_cache(1000)(self._find)
        self._release = (-1, -1)

    def of(
        self, model: str, mode: str, format: str, operation: Operation, channels: tuple[str, ...] | None
    ) -> CallPlan:
        release = (self._channels.release, self._aliases.release)
        if release != self._release:
            self._found.cache_clear()
            self._release = release
        return self._found(model, mode, format, operation, channels)

    def _find(
        self, model: str, mode: str, format: str, operation: Operation, channels: tuple[str, ...] | None
    ) -> CallPlan:
        if mode == TEST:
            deployments = [Deployment(SANDBOX, target, target) for target in self._aliases.targets(model)]
        else:
            deployments = _serving(self._ctx, model, channels, calls=True)
        found = [self._choice(each, format, operation) for each in deployments]
        return [choice for choice in found if choice is not None]

    def _choice(self, deployment: Deployment, format: str, operation: Operation) -> Choice | None:
        """A channel's option `format` says that it speaks this chat format alone."""
        provider = self._ctx.of(Providers)[deployment.channel.provider]
        only: str | None = deployment.channel.options.get("format") if operation is Operation.CHAT else None
        endpoint = provider.call(operation, only or format)
        if endpoint is None or (only and endpoint.format.name != only):
            return None
        return Choice(deployment, provider, endpoint)


def serving(ctx: Context, model: str, group: Group = EVERYBODY, *, calls: bool = False) -> Plan:
    """Every deployment that takes tasks for this model, or answers calls to it, for callers of this group; by target,
    then as channels come."""
    return _serving(ctx, model, group.channels, calls=calls)


def _serving(ctx: Context, model: str, channels: tuple[str, ...] | None, *, calls: bool) -> Plan:
    return [
        Deployment(channel, upstream, target)
        for target in ctx.of(Aliases).targets(model)
        if not target.startswith(PRETENDED)
        for channel, upstream in ctx.of(Channels).serving(target, calls=calls)
        if channels is None or any(fnmatch.fnmatchcase(channel.name, pattern) for pattern in channels)
    ]


def _order(ctx: Context, found: Plan, group: Group, sticky: bytes = b"") -> list[int]:
    """The places of these in the order in which they should be tried. They come by target."""
    if len(found) < 2:
        return list(range(len(found)))
    health, policy = ctx.of(Health), POLICIES.get(group.policy, _alike)
    if policy is _latency and random.random() < EXPLORES:  # noqa: S311  no secret
        policy = _alike
    targets: dict[str, int] = {}
    digest = blake2b(sticky, digest_size=16).digest() if sticky else b""

    def rank(place: int) -> tuple[bool, int, int, float, float]:
        each = found[place]
        target = targets.setdefault(each.model, len(targets))
        share = _share(each.channel, digest)
        return not health.ready(each), target, -each.channel.priority, policy(health, each), share

    return sorted(range(len(found)), key=rank)


def _share(channel: Channel, digest: bytes) -> float:
    """Whoever has the least is first, as often as its weight is of all weights: an exponential variable of that rate,
    drawn by chance or from what the work is."""
    if digest:
        drawn = int.from_bytes(blake2b(channel.id.encode(), key=digest, digest_size=7).digest()) + 1
        chance = drawn / (2**56 + 1)
    else:
        chance = 1.0 - random.random()  # noqa: S311  no secret
    return -math.log(chance) / max(channel.weight, 1e-6)
