"""A disk that takes its time (`PENSTOCK_PLUGINS=tests.rigs.slow_disk`): a commit begins 50 ms after it was asked for.

A process that is killed meanwhile leaves nothing of it behind, as a machine does that loses its power before a sync. On
a quick disk, under a kernel that lives on, an answer that comes before its charge would nearly never be caught.
"""

from __future__ import annotations

import time
from typing import Any

from penstock.store import sqlite

SYNC_S = 0.05
_commit = sqlite._commit


def slowly(*args: Any) -> Any:
    time.sleep(SYNC_S)
    return _commit(*args)


sqlite._commit = slowly
