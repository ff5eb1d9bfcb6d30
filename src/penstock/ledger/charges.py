"""Charges on their way to the disk, many in one transaction; and what they sum up to by key, day, and model.

    charge    one row of `charges`, before the client sees the end of the answer
    sums      what was charged since the last time, added to `spending` within half a second; the epoch says up to which
              charge (`summed`), so that whoever reads adds what follows, and the next start what a killed process left

Ids are given in the order in which charges are written. A write that failed may have happened all the same: what comes
after it is summed up by the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.canonical.usage import Micros, Unit, tokens
from penstock.context import Context
from penstock.ledger.purses import Purse
from penstock.ledger.quotas import day_of
from penstock.ledger.rules import Rule
from penstock.log import logger
from penstock.store import Step, calls, spending
from penstock.store.connection import Row

SUM_S = 0.5
Who = tuple[str, str, str, str, str]
"""Account, mode, day, key, model."""
Sums = dict[Who, list[int]]
"""Runs, tokens in, tokens out, micros."""

_units = msgspec.json.Decoder(dict[Unit, int]).decode


@dataclass(slots=True, eq=False)
class Settled:
    """A charge: its row, what it adds to the sums of its day, and who waits for it."""

    row: tuple[Any, ...]
    purse: Purse
    amount: Micros
    day: str
    input_tokens: int
    output_tokens: int
    on_disk: asyncio.Future[None]


class Charges:
    """Those of one epoch. The event loop alone touches them."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._epoch = 0
        self._waiting: list[Settled] = []
        self._writing: asyncio.Future[None] | None = None
        self._new_rules: dict[str, str] = {}
        self._known_rules: set[str] = set()
        self._sums: Sums = {}
        self._through = 0
        self.doubtful = False
        """A write failed, and may have happened all the same: what follows is not summed up here."""
        self.summing = asyncio.Lock()
        """Held while sums change, and by whoever compares them with what they sum up."""
        self._due: asyncio.TimerHandle | None = None
        self._adding: set[asyncio.Task[None]] = set()
        self.alongside: Callable[[], tuple[Step, ...]] = tuple
        """Steps of others that want to go along with the next charges, which saves a transaction."""

    def open(self, epoch: int) -> None:
        self._epoch = epoch

    async def close(self) -> None:
        """Write what waits, and sum it up."""
        while self._writing:
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)  # for what is to be done next
        if self._due is not None:
            self._due.cancel()
        await self._sum_up()

    def put(self, settled: Settled, rule: Rule) -> None:
        """Have it written; `settled.on_disk` tells when that is done."""
        if rule.id not in self._known_rules:
            self._new_rules[rule.id] = rule.text
        self._waiting.append(settled)
        if self._writing is None:
            self._writing = settled.on_disk
            asyncio.get_running_loop().call_soon(self._write)  # with what else is settled in this turn of the loop

    async def spent(self, account: str, mode: str, first_day: str, last_day: str) -> list[Row]:
        """(day, key, model, runs, tokens in, tokens out, micros), from the first day to the last."""
        async with self.summing:
            rows = await spending.of_account(self._ctx.store, account, mode, first_day, last_day)
            for (whose, in_mode, day, *which), sums in sorted((await unsummed(self._ctx)).items()):
                if (whose, in_mode) == (account, mode) and first_day <= day <= last_day:
                    rows.append((day, *which, *sums))
        return rows

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self) -> None:
        """What has gathered, as one transaction; what comes meanwhile goes with the next one."""
        batch, self._waiting = self._waiting, []
        try:
            self._writing = writing = self._begin(batch)
        except Exception as error:  # noqa: BLE001  told to those who wait, and the others go on
            for each in batch:
                self._failed(each, error)
            self._next()
        else:
            writing.add_done_callback(lambda writing: self._wrote(batch, writing))

    def _begin(self, batch: list[Settled]) -> asyncio.Future[None]:
        rules = dict(self._new_rules)
        known = (calls.rule(*rule) for rule in rules.items())
        charges = calls.charge_all([each.row for each in batch])
        done = Step(None, {}, after=lambda: self._on_disk(batch, rules))
        return self._ctx.store.begin(*known, charges, *self.alongside(), done)

    def _on_disk(self, batch: list[Settled], rules: dict[str, str]) -> None:
        if rules:
            self._known_rules |= rules.keys()
            self._new_rules = {id: text for id, text in self._new_rules.items() if id not in rules}
        for each in batch:
            purse = each.purse
            if not purse.doubtful:
                purse.settled += each.amount
                purse.through = max(purse.through, each.row[0])
            if not each.on_disk.done():
                each.on_disk.set_result(None)
        if not self.doubtful:
            self._sum(batch)

    def _wrote(self, batch: list[Settled], writing: asyncio.Future[None]) -> None:
        error = asyncio.CancelledError() if writing.cancelled() else writing.exception()
        if error is not None and len(batch) > 1:  # one that the database refuses must not stop the others
            self._writing = asyncio.ensure_future(self._one_by_one(batch))
            self._writing.add_done_callback(lambda writing: self._next())
            return
        if error is not None:
            self._failed(batch[0], error)
        self._next()

    def _next(self) -> None:
        self._writing = None
        if self._waiting:
            self._write()

    async def _one_by_one(self, batch: list[Settled]) -> None:
        for each in batch:
            try:
                await self._begin([each])
            except Exception as error:  # noqa: BLE001  told to the one that waits
                self._failed(each, error)

    def _failed(self, settled: Settled, error: BaseException) -> None:
        settled.purse.doubtful = self.doubtful = True
        if not settled.on_disk.done():
            settled.on_disk.set_exception(error)

    # ── summing up ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _sum(self, batch: list[Settled]) -> None:
        for each in batch:
            _, account, mode, key, model = each.row[:5]
            counts = 1, each.input_tokens, each.output_tokens, each.amount
            _add(self._sums, (account, mode, each.day, key, model), counts)
        self._through = batch[-1].row[0]
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(SUM_S, self._sum_soon)

    def _sum_soon(self) -> None:
        self._due = None
        task = asyncio.create_task(self._sum_up())
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    async def _sum_up(self) -> None:
        async with self.summing:
            sums, self._sums = self._sums, {}
            if not sums:
                return
            self._ctx.faults.reach("call.summing")
            try:
                await self._ctx.store.write(*added(sums), calls.summed(self._epoch, self._through))
            except Exception as error:  # noqa: BLE001  the next start does it
                self.doubtful = True
                self._sums.clear()
                logger("ledger").error("charges were not summed up", why=str(error))
            self._ctx.faults.reach("call.summed")


def added(sums: Sums) -> list[Step]:
    return [
        spending.add(*who, runs=runs, input_tokens=put_in, output_tokens=got_out, amount=amount)
        for who, (runs, put_in, got_out, amount) in sorted(sums.items())
    ]


async def unsummed(ctx: Context, epoch: int | None = None) -> Sums:
    """What was charged, in this epoch or in all that are open, and is not summed up yet."""
    return _summed(await spending.unsummed(ctx.store, epoch))


def _summed(rows: Iterable[Row]) -> Sums:
    sums: Sums = {}
    for account, mode, key, model, units, amount, at in rows:
        _add(sums, (account, mode, day_of(at), key, model), (1, *tokens(_units(units)), amount))
    return sums


def _add(sums: Sums, who: Who, counts: tuple[int, int, int, int]) -> None:
    sum_ = sums.get(who)
    if sum_ is None:
        sums[who] = list(counts)
        return
    for at, count in enumerate(counts):
        sum_[at] += count
