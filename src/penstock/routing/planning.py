"""Which deployments can take a piece of work, best first."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from penstock.canonical.plan import Channel, Deployment, Plan
from penstock.canonical.who import TEST
from penstock.context import Context
from penstock.formats._base import Operation
from penstock.providers._base import CallEndpoint, Provider
from penstock.routing.channels import SANDBOX, Channels
from penstock.routing.health import Health
from penstock.routing.providers import Providers


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to answer a call."""

    deployment: Deployment
    provider: Provider
    endpoint: CallEndpoint


CallPlan = list[Choice]


def plan(ctx: Context, model: str, mode: str, refused_by: Collection[str] = ()) -> Plan:
    """By priority, then by chance in proportion to weight; those that cool down last. Empty: nobody serves this.

    `refused_by` names channels that have turned this very task down. Test keys get the sandbox, and only them.
    """
    if mode == TEST:
        return [Deployment(SANDBOX, model)]
    serving = [(c, upstream) for c, upstream in ctx.of(Channels).serving(model) if c.id not in refused_by]
    return _in_order(ctx, [Deployment(channel, upstream) for channel, upstream in serving])


def plan_call(ctx: Context, model: str, mode: str, format: str, operation: Operation) -> CallPlan:
    """Which deployments can answer a call, best first. Empty: nobody serves this."""
    plan = ctx.of(_Choices).of(model, mode, format, operation)
    if len(plan) < 2:
        return plan
    order = {id(each): place for place, each in enumerate(_in_order(ctx, [choice.deployment for choice in plan]))}
    return sorted(plan, key=lambda choice: order[id(choice.deployment)])


class _Choices:
    """Those who can, remembered as long as the channels stay as they are."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._found = lru_cache(1000)(self._find)
        self._release = -1

    def of(self, model: str, mode: str, format: str, operation: Operation) -> CallPlan:
        release = self._ctx.of(Channels).release
        if release != self._release:
            self._found.cache_clear()
            self._release = release
        return self._found(model, mode, format, operation)

    def _find(self, model: str, mode: str, format: str, operation: Operation) -> CallPlan:
        if mode == TEST:
            deployments = [Deployment(SANDBOX, model)]
        else:
            serving = self._ctx.of(Channels).serving(model, calls=True)
            deployments = [Deployment(channel, upstream) for channel, upstream in serving]
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


def _in_order(ctx: Context, deployments: list[Deployment]) -> list[Deployment]:
    if len(deployments) < 2:
        return deployments
    health = ctx.of(Health)

    def rank(deployment: Deployment) -> tuple[bool, int, float]:
        channel: Channel = deployment.channel
        chance = random.random() ** (1 / max(channel.weight, 1e-6))  # noqa: S311
        return health.cooling_s(channel) > 0, -channel.priority, -chance

    return sorted(deployments, key=rank)
