"""What operators can do: one table of acts, called by the command line here, through the socket, and by the console."""

from __future__ import annotations

from typing import Any

from penstock.console.acts import accounts, calls, channels, house, keys, prices, tasks
from penstock.console.acts._base import ACTS, Acting, micros
from penstock.context import Context
from penstock.errors import CallerError

__all__ = [
    "ACTS",
    "Acting",
    "accounts",
    "calls",
    "channels",
    "do",
    "house",
    "keys",
    "micros",
    "prices",
    "tasks",
]


async def do(ctx: Context, name: str, given: dict[str, Any]) -> Any:
    """Do one act. Raises CallerError for one that there is not."""
    if name not in ACTS:
        raise CallerError(f"this gateway can't do {name!r}; is the command newer than the server?")
    return await ACTS[name].function(ctx, **given)
