"""A purse: what one account's calls may spend without asking its balance again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from penstock.canonical.usage import Micros


@dataclass(slots=True, eq=False)
class Purse:
    """One account's allowance. `settled` and `through` tell what is known to be on disk.

    They stay where they are once a write has failed (`doubtful`), for it may have happened all the same: the next start
    sums up what follows them.
    """

    account: str
    mode: str
    free: Micros = 0
    held: Micros = 0
    grant: Micros = 0
    settled: Micros = 0
    through: int = 0
    waiting: list[tuple[Micros, asyncio.Future[None]]] = field(default_factory=list)
    filling: bool = False
    used_at: float = 0.0
    dry_until: float = 0.0
    doubtful: bool = False
