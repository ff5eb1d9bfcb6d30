"""Which deployments can take a piece of work, best first."""

from __future__ import annotations

import random
from collections.abc import Collection

from penstock.canonical.plan import Deployment, Plan
from penstock.canonical.who import TEST
from penstock.context import Context
from penstock.routing.channels import SANDBOX, Channels
from penstock.routing.health import Health


def plan(ctx: Context, model: str, mode: str, refused_by: Collection[str] = ()) -> Plan:
    """By priority, then by chance in proportion to weight; those that cool down last. Empty: nobody serves this.

    `refused_by` names channels that have turned this very task down. Test keys get the sandbox, and only them.
    """
    if mode == TEST:
        return [Deployment(SANDBOX, model)]
    health = ctx.of(Health)
    serving = [(c, upstream) for c, upstream in ctx.of(Channels).serving(model) if c.id not in refused_by]
    chance = {channel.id: random.random() ** (1 / max(channel.weight, 1e-6)) for channel, _ in serving}  # noqa: S311
    serving.sort(key=lambda pair: (health.cooling_s(pair[0]) > 0, -pair[0].priority, -chance[pair[0].id]))
    return [Deployment(channel, upstream) for channel, upstream in serving]
