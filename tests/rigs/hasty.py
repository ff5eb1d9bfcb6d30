"""Books that are wrong on purpose (`PENSTOCK_PLUGINS=tests.rigs.hasty`): they call a charge durable before it is."""

from __future__ import annotations

from penstock.ledger import Allowances
from penstock.ledger.allowances import Settled

_write = Allowances._write


async def hastily(self: Allowances, batch: list[Settled]) -> None:
    for each in batch:
        if not each.on_disk.done():
            each.on_disk.set_result(None)
    await _write(self, batch)


Allowances._write = hastily  # type: ignore[method-assign]
