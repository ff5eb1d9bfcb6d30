"""What operators can do: one table of acts, called by the command line here, through the socket, and by the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.console.acts import (
    accounts,
    aliases,
    audit,
    calls,
    channels,
    codes,
    declared,
    groups,
    house,
    keys,
    prices,
    tasks,
)
from penstock.console.acts._base import ACTS, Acting, checked
from penstock.console.audit import recorded, told
from penstock.context import Context
from penstock.errors import Forbidden, NotFound

__all__ = [
    "ACTS",
    "Acting",
    "accounts",
    "aliases",
    "audit",
    "calls",
    "channels",
    "codes",
    "declared",
    "do",
    "groups",
    "house",
    "keys",
    "prices",
    "tasks",
]


async def do(
    ctx: Context, name: str, given: Mapping[str, Any], actor: str, *, afar: bool = False, strict: bool = True
) -> Any:
    """Do one act. `actor`: who does it, for the audit log. `afar`: over the network. Raises CallerError where there is
    no such act, or it is given what it does not take."""
    acting = ACTS.get(name)
    if acting is None:
        raise NotFound(f"this gateway can't do {name[:100]!r}; is the command newer than the server?")
    if acting.local and afar:
        raise Forbidden(f"{name} is done only where the gateway runs: penstock {name.replace('.', ' ')}")
    arguments = checked(acting, given, strict=strict)
    if acting.reads:
        return await acting.function(ctx, **arguments)
    return await recorded(ctx, actor, name, told(given, acting.names), lambda: acting.function(ctx, **arguments))
