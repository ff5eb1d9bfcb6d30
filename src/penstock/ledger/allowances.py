"""The books of calls: a node draws an allowance from a balance now and then, holds and releases against it in memory,
and appends one row for each call's charge, many calls in one transaction.

A hold awaits nothing while the allowance lasts, so between check and subtraction nobody else can act. What is written:

    draw      balance −g, entry `draw` −g, allowance +g            one transaction
    charge    one row, before the client sees the end of the answer: see `charges`
    return    the reverse of a draw, of what is not held           when long unused, at the end, or for a task's hold

An epoch is one life of this node; the ids of its charges are `epoch << 40 | counter`, and its row is on disk before its
first id. What a killed process drew and did not charge goes back when the next one starts (`recover`).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from penstock.canonical.usage import Micros, Unit, tokens
from penstock.canonical.who import Caller
from penstock.clock import Nanos
from penstock.context import Context
from penstock.errors import QuotaSpent, ShuttingDown
from penstock.ledger.charges import Charges, Settled, added, unsummed
from penstock.ledger.purses import Purse
from penstock.ledger.quotas import Quotas
from penstock.ledger.rules import Rule
from penstock.log import logger
from penstock.store import Step, accounts, calls

LEAST_GRANT = 1_000_000
"""Micros: so much is drawn at once, or a twentieth of the balance where that is less."""
UNUSED_S = 60.0
TRIES = 8

encode = msgspec.json.Encoder().encode


@dataclass(slots=True, eq=False)
class Hold:
    """Money set aside for one call of this key, which counts on this day."""

    purse: Purse
    amount: Micros
    key: str = ""
    day: str = ""
    at: Nanos = 0


class Allowances:
    """All purses of this process. The event loop alone touches them."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._purses: dict[tuple[str, str], Purse] = {}
        self._epoch = 0
        self._ids = itertools.count(0)
        self._quotas = ctx.of(Quotas)
        self.charges = Charges(ctx)
        self._fills: set[asyncio.Task[None]] = set()
        self._tick: asyncio.Task[None] | None = None

    # ── opening and closing ───────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Begin an epoch. To be called once, before the first call, by the one process that serves."""
        await recover(self._ctx)
        self._epoch = await calls.next_epoch(self._ctx.store)
        await self._ctx.store.write(calls.open_epoch(self._epoch))
        self.charges.open(self._epoch)
        self._ids = itertools.count((self._epoch << calls.EPOCH_BITS) + 1)
        self._tick = asyncio.create_task(self._give_back_unused())

    async def close(self) -> None:
        """Give everything back and end the epoch; where something is still held or in doubt, the next start does."""
        if self._tick is not None:
            self._tick.cancel()
            await asyncio.wait([self._tick])
        while self._fills:
            await asyncio.wait(self._fills)
        await self.charges.close()
        epoch, self._epoch = self._epoch, 0
        doubtful = self.charges.doubtful or any(purse.held or purse.doubtful for purse in self._purses.values())
        if epoch and not doubtful:
            moves = [step for purse in self._purses.values() for step in _emptied(purse, epoch)]
            await self._ctx.store.write(*moves, calls.close_epoch(epoch))

    def next_id(self) -> int:
        """The id of a call that was not charged."""
        return next(self._ids)

    # ── holding ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, caller: Caller, amount: Micros) -> Hold | None:
        """Hold at once, or None where the allowance must be filled first: then `hold`. Raises QuotaReached."""
        purse = self._purses.get((caller.account, caller.mode))
        if purse is None or purse.free < amount or purse.waiting:
            return None
        day = self._quotas.take(caller, amount)
        purse.free -= amount
        purse.held += amount
        if purse.free * 4 < purse.grant and not purse.filling:
            self._fill(purse)
        return Hold(purse, amount, caller.key, day, self._quotas.at)

    async def hold(self, caller: Caller, amount: Micros) -> Hold:
        """Set aside the most that a call can cost. Raises QuotaSpent, of the account or of the key."""
        taken = self.take(caller, amount)
        if taken is not None:
            return taken
        if not self._epoch:
            raise ShuttingDown()
        day, at = self._quotas.take(caller, amount), self._quotas.at
        purse = self._purses.setdefault((caller.account, caller.mode), Purse(caller.account, caller.mode))
        place = asyncio.get_running_loop().create_future()
        purse.waiting.append((amount, place))
        purse.dry_until = 0.0
        self._fill(purse)
        try:
            await place
        except BaseException:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release(Hold(purse, amount, caller.key, day))
            else:
                self._quotas.settle(caller.key, day, amount, 0)
            raise
        return Hold(purse, amount, caller.key, day, at)

    def release(self, hold: Hold) -> None:
        """Give it all back: nothing came of the call."""
        hold.purse.held -= hold.amount
        hold.purse.free += hold.amount
        self._quotas.settle(hold.key, hold.day, hold.amount, 0)
        hold.amount = 0

    def free(self, account: str, mode: str) -> Micros:
        """What of an account's money lies in its purse and is not held: part of what it can spend."""
        purse = self._purses.get((account, mode))
        return purse.free if purse else 0

    def held(self, account: str, mode: str) -> Micros:
        """What an account's calls hold."""
        purse = self._purses.get((account, mode))
        return purse.held if purse else 0

    async def give_back(self, account: str, mode: str) -> bool:
        """Return what is free to the balance, for those who hold by their own rows. Whether there was anything."""
        purse = self._purses.get((account, mode))
        while purse is not None and purse.filling:
            await asyncio.wait(list(self._fills))
        return purse is not None and await self._return(purse)

    async def write_holding(self, caller: Caller, *steps: Step) -> None:
        """Write steps of which one takes from the balance; where that is too little, what lies in the purse comes back
        first. Raises QuotaSpent."""
        try:
            await self._ctx.store.write(*steps)
        except QuotaSpent:
            if not await self.give_back(caller.account, caller.mode):
                raise
            await self._ctx.store.write(*steps)

    # ── settling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def settle(
        self,
        hold: Hold,
        caller: Caller,
        model: str,
        rule: Rule,
        usage: Mapping[Unit, int],
        *,
        estimated: bool,
        most: Micros = 0,
    ) -> tuple[int, Micros, asyncio.Future[None]]:
        """Charge what the usage comes to: the charge's id, how much it is, and what is done once that is on disk.

        Where the hold was a guess, `most` is what is certain: what lies between is taken from what is free in the
        purse, and within the key's quota. The rest is noted as uncovered.

        Ids are given in the order in which charges are written, so that `through` parts what is summed from the rest.
        """
        id = next(self._ids)
        sum_ = rule.of_tokens(usage)
        purse = hold.purse
        amount = min(sum_, hold.amount)
        if sum_ > amount and most > hold.amount and not purse.waiting:  # what is free is others' already
            amount += min(sum_ - amount, most - hold.amount, purse.free, max(0, self._quotas.room(caller)))
        self._quotas.settle(hold.key, hold.day, hold.amount, amount)
        purse.held -= hold.amount
        purse.free += hold.amount - amount
        hold.amount = 0
        purse.used_at = time.monotonic()
        units = encode(usage).decode()
        who = (id, purse.account, purse.mode, caller.key, model)
        row = (*who, rule.id, units, amount, sum_ - amount, estimated, hold.at)
        on_disk: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.charges.put(Settled(row, purse, amount, hold.day, *tokens(usage), on_disk), rule)
        return id, amount, on_disk

    # ── drawing and giving back ───────────────────────────────────────────────────────────────────────────────────────

    def _fill(self, purse: Purse) -> None:
        if purse.filling or (purse.dry_until and time.monotonic() < purse.dry_until):
            return
        purse.filling = True
        task = asyncio.create_task(self._draw(purse))
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)

    async def _draw(self, purse: Purse) -> None:
        """Draw for all who wait, and a little ahead. Who can't be served is refused; nobody waits for others' money."""
        try:
            tries = 0
            while True:
                asked = len(purse.waiting)
                need = max(0, sum(amount for amount, _ in purse.waiting) - purse.free)
                if not await self._drew(purse, need):
                    tries += 1
                    if tries < TRIES:
                        continue
                self._serve(purse, asked)
                if not purse.waiting:
                    return
        except Exception as error:  # noqa: BLE001  told to those who wait
            for _, place in purse.waiting:
                if not place.done():
                    place.set_exception(error)
            purse.waiting.clear()
        finally:
            purse.filling = False

    async def _drew(self, purse: Purse, need: Micros) -> bool:
        """Whether the balance was as we read it: then the grant, if there was one, is in the purse."""
        balance = await accounts.balance(self._ctx.store, purse.account, purse.mode)
        grant = min(balance, max(need, min(LEAST_GRANT, balance // 20)))
        if grant <= 0:
            purse.dry_until = time.monotonic() + 0.5
            return True
        self._ctx.faults.reach("call.drawing")
        try:
            await self._ctx.store.write(*_moved(purse, self._epoch, "draw", grant))
        except QuotaSpent:
            return False
        except BaseException:
            purse.doubtful = True
            raise
        self._ctx.faults.reach("call.drawn")
        purse.free += grant
        purse.grant = max(grant, min(purse.grant, LEAST_GRANT))
        return True

    def _serve(self, purse: Purse, asked: int) -> None:
        """Give places to the first `asked` of those who wait, in their order, as far as the money goes."""
        served, purse.waiting = purse.waiting[:asked], purse.waiting[asked:]
        for amount, place in served:
            if place.done():
                continue
            if amount <= purse.free:
                purse.free -= amount
                purse.held += amount
                place.set_result(None)
            else:
                place.set_exception(QuotaSpent())

    async def _return(self, purse: Purse) -> bool:
        amount, purse.free = purse.free, 0
        if not amount:
            return False
        self._ctx.faults.reach("call.returning")
        try:
            await self._ctx.store.write(*_moved(purse, self._epoch, "return", -amount))
        except BaseException:  # it may have happened all the same: the next start knows
            purse.doubtful = True
            raise
        self._ctx.faults.reach("call.returned")
        return True

    async def _give_back_unused(self) -> None:
        while True:
            await asyncio.sleep(UNUSED_S / 2)
            before = time.monotonic() - UNUSED_S
            for purse in [p for p in self._purses.values() if p.free and not p.held and p.used_at < before]:
                try:
                    await self._return(purse)
                except Exception:  # noqa: BLE001  the others' turn comes all the same
                    logger("ledger").exception("an allowance was not given back")


def _moved(purse: Purse, epoch: int, kind: str, amount: Micros) -> tuple[Step, ...]:
    """Move `amount` from the balance to the allowance, or back where it is negative."""
    account, mode = purse.account, purse.mode
    add = accounts.add(account, mode, -amount)
    balance = accounts.take(account, mode, amount, QuotaSpent()) if amount > 0 else add
    entry = accounts.entry(account, mode, kind, -amount, work=f"allowance/{epoch}")
    return balance, entry, *calls.draw(epoch, account, mode, amount, purse.settled, purse.through)


def _emptied(purse: Purse, epoch: int) -> tuple[Step, ...]:
    """The last of an epoch: what is free goes back, and the allowance says what became of the rest."""
    amount, purse.free = purse.free, 0
    if amount:
        return _moved(purse, epoch, "return", -amount)
    return calls.draw(epoch, purse.account, purse.mode, 0, purse.settled, purse.through)


async def recover(ctx: Context) -> None:
    """Give back what processes that were killed had drawn and not charged, and sum up what they had charged."""
    for epoch in await calls.unclosed(ctx.store):
        charged = {row[:2]: row[2:] for row in await calls.charged_since(ctx.store, epoch)}
        steps: list[Step] = []
        for _, account, mode, drawn, settled, through in await calls.allowances_of(ctx.store, epoch):
            more, last = charged.get((account, mode), (0, through))
            settled, left = settled + more, drawn - settled - more
            if left:
                steps.append(accounts.entry(account, mode, "return", left, work=f"allowance/{epoch}"))
                steps.append(accounts.add(account, mode, left))
            steps += calls.draw(epoch, account, mode, -left, settled, last)
        steps += added(await unsummed(ctx, epoch))
        await ctx.store.write(*steps, calls.close_epoch(epoch))
