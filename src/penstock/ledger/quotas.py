"""What each key has spent: in all, this month, and today, by UTC, what it holds included.

In memory, where the event loop alone counts, so between check and addition nobody else can act; at start summed up from
what is on disk (`spending`, and the holds of unfinished tasks). A hold counts on the day on which its work began.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.canonical.usage import Micros
from penstock.canonical.who import Caller
from penstock.clock import SECOND, Nanos, now, parse, rfc3339
from penstock.context import Context
from penstock.errors import QuotaReached
from penstock.store import spending

DAY: Nanos = 86_400 * SECOND
BOUNDLESS: Micros = 2**62


def day_of(at: Nanos) -> str:
    """`2026-03-04`, by UTC."""
    return rfc3339(at)[:10]


@dataclass(slots=True, eq=False)
class Spent:
    """By one key. `today` and `this_month` are the last ones in which it did anything."""

    total: Micros = 0
    month: Micros = 0
    day: Micros = 0
    this_month: str = ""
    today: str = ""


class Quotas:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._spent: dict[str, Spent] = {}
        self._roots: dict[str, str] = {}
        self._today = ""
        self._until: Nanos = 0
        self.at: Nanos = 0
        """When it was last looked at what day it is."""

    async def open(self) -> None:
        """Sum up what is on disk. To be called once, before the first work, by the process that serves."""
        self._spent = {}
        today = self.today()
        self._roots = dict(await spending.roots(self._ctx.store))
        for key, total, month, day in await spending.by_key(self._ctx.store, f"{today[:7]}-01", today):
            spent = self._of(key)
            spent.total, spent.month, spent.day = spent.total + total, spent.month + month, spent.day + day
        for key, hold, created_at in await spending.held(self._ctx.store):
            self._count(self._of(key), day_of(created_at), hold)

    def today(self) -> str:
        at = self.at = now()
        if not self._until - DAY <= at < self._until:
            self._today = day_of(at)
            self._until = parse(f"{self._today}T00:00:00Z") + DAY
        return self._today

    def join(self, key: str, old: str) -> None:
        """A key was made in place of an old one: they share their quotas."""
        self._roots[key] = self._roots.get(old, old)

    def spent(self, key: str) -> Spent:
        """What this key has spent and holds."""
        return self._of(key)

    def take(self, caller: Caller, amount: Micros, day: str = "") -> str:
        """Count a hold; the day to settle it under. Raises QuotaReached, and then nothing is counted."""
        if caller.root:  # rotated, maybe by another process
            self._roots.setdefault(caller.key, caller.root)
        spent = self._of(caller.key)
        if caller.quota is not None:
            self._check(caller, spent, amount)
        day = day or self._today
        self._count(spent, day, amount)
        return day

    def room(self, caller: Caller) -> Micros:
        """How much more this key may spend now."""
        if caller.quota is None:
            return BOUNDLESS
        return min(most - used for _, most, used in _bounds(caller, self._of(caller.key)))

    def settle(self, key: str, day: str, held: Micros, charged: Micros) -> None:
        """What was held on that day came to this; nothing, where it was released."""
        if held != charged:
            spent = self._spent.get(self._roots.get(key, key)) or self._of(key)
            self._count(spent, day, charged - held)

    def _of(self, key: str) -> Spent:
        key = self._roots.get(key, key)
        spent = self._spent.get(key)
        if spent is None:
            spent = self._spent[key] = Spent()
        today = self.today()
        if spent.today != today:
            spent.day, spent.today = 0, today
            if spent.this_month != today[:7]:
                spent.month, spent.this_month = 0, today[:7]
        return spent

    def _count(self, spent: Spent, day: str, amount: Micros) -> None:
        spent.total += amount
        if day == spent.today:
            spent.day += amount
            spent.month += amount
        elif day[:7] == spent.this_month:
            spent.month += amount

    def _check(self, caller: Caller, spent: Spent, amount: Micros) -> None:
        for period, most, used in _bounds(caller, spent):
            if used + amount > most:
                raise QuotaReached(period, self.anew(period), most - used, amount)

    def anew(self, period: str) -> Nanos | None:
        """When this period's count begins anew; None for the total."""
        self.today()
        if period == "day":
            return self._until
        if period == "month":
            year, month = int(self._today[:4]), int(self._today[5:7])
            return parse(f"{year + month // 12}-{month % 12 + 1:02d}-01T00:00:00Z")
        return None


def _bounds(caller: Caller, spent: Spent) -> list[tuple[str, Micros, Micros]]:
    """(period, the most, what is used of it) for each bound that the key has; one that never ends if it has none."""
    quota = caller.quota
    if quota is None:
        return [("total", BOUNDLESS, 0)]
    every = (("total", quota.total, spent.total), ("month", quota.month, spent.month), ("day", quota.day, spent.day))
    found = [(period, most, used) for period, most, used in every if most is not None]
    return found or [("total", BOUNDLESS, 0)]
