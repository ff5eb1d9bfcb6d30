"""Books that are wrong on purpose (`PENSTOCK_PLUGINS=tests.rigs.hasty`): they call a charge durable before it is."""

from __future__ import annotations

from typing import Any

from penstock.ledger import Allowances

_write = Allowances._write


async def hastily(self: Allowances, rows: list[Any], waiters: list[Any]) -> None:
    for _, _, on_disk in waiters:
        if not on_disk.done():
            on_disk.set_result(None)
    await _write(self, rows, waiters)


Allowances._write = hastily  # type: ignore[method-assign]
