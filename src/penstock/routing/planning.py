"""Which deployments can take a piece of work, best first."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

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
    if mode == TEST:
        deployments = [Deployment(SANDBOX, model)]
    else:
        deployments = [
            Deployment(channel, upstream) for channel, upstream in ctx.of(Channels).serving(model, calls=True)
        ]
    plan = [choice for each in deployments if (choice := _choice(ctx, each, format, operation)) is not None]
    if len(plan) < 2:
        return plan
    order = {id(each): place for place, each in enumerate(_in_order(ctx, [choice.deployment for choice in plan]))}
    return sorted(plan, key=lambda choice: order[id(choice.deployment)])


def _choice(ctx: Context, deployment: Deployment, format: str, operation: Operation) -> Choice | None:
    provider = ctx.of(Providers)[deployment.channel.provider]
    only: str | None = deployment.channel.options.get("format")
    endpoint = provider.call(operation, only or format)
    if endpoint is None or (only and operation is Operation.CHAT and endpoint.format.name != only):
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
