"""The books: every change of a balance is one appended entry, written in the same transaction.

A piece of work is held once and closed once (settled or released), so that it sums to minus its charge.
"""

from __future__ import annotations

import msgspec

from penstock.canonical.task import Task
from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Micros, total
from penstock.canonical.who import Caller
from penstock.errors import CallerError, QuotaSpent
from penstock.ledger.quotas import day_of
from penstock.ledger.rules import Charge
from penstock.store import Step, accounts, spending


def hold(caller: Caller, work: str, amount: Micros) -> tuple[Step, ...]:
    """Set aside the most that the work can cost; raises QuotaSpent, and then the whole write is nothing."""
    return (
        accounts.take(caller.account, caller.mode, amount, QuotaSpent()),
        accounts.entry(caller.account, caller.mode, "hold", -amount, work=work),
    )


def settle(task: Task, charge: Charge) -> tuple[Step, ...]:
    """Give the hold back but for the charge, which is spent on the day on which the task was made."""
    back = task.hold - charge.micros
    units = charge.detail.get("units", {})
    tokens = {"input_tokens": total(units, INPUT_UNITS), "output_tokens": total(units, OUTPUT_UNITS)}
    detail = msgspec.json.encode(charge.detail).decode()
    entry = accounts.entry(
        task.account, task.mode, "settle", back, work=task.id, detail=detail, uncovered=charge.uncovered
    )
    return entry, *_add(task, back), _spent(task, charge.micros, runs=1, **tokens)


def release(task: Task) -> tuple[Step, ...]:
    """Give the whole hold back."""
    return accounts.entry(task.account, task.mode, "release", task.hold, work=task.id), *_add(task, task.hold)


def refund(task: Task, amount: Micros, refunded: Micros, reason: str) -> tuple[Step, ...]:
    """Give back some of what an ended task was charged; `refunded` is what already went back, never more in all."""
    if amount <= 0 or refunded + amount > (task.charge or 0):
        raise CallerError(f"at most {(task.charge or 0) - refunded} micro-dollars of this task can still be refunded")
    detail = msgspec.json.encode({"reason": reason}).decode()
    entry = accounts.entry(task.account, task.mode, "refund", amount, work=task.id, detail=detail)
    return entry, *_add(task, amount), _spent(task, -amount)


def topup(account: str, mode: str, amount: Micros, reason: str = "") -> tuple[Step, ...]:
    if amount <= 0:
        raise CallerError("a top-up must be more than nothing")
    return _by_hand(account, mode, "topup", amount, reason)


def adjust(account: str, mode: str, amount: Micros, reason: str) -> tuple[Step, ...]:
    """Correct a balance by hand, up or down. Raises QuotaSpent where it would fall below zero."""
    return _by_hand(account, mode, "adjust", amount, reason)


def _by_hand(account: str, mode: str, kind: str, amount: Micros, reason: str) -> tuple[Step, ...]:
    detail = msgspec.json.encode({"reason": reason} if reason else {}).decode()
    too_little = QuotaSpent("The account has less than that.")
    down = amount < 0
    moved = accounts.take(account, mode, -amount, too_little) if down else accounts.add(account, mode, amount)
    return accounts.entry(account, mode, kind, amount, detail=detail), moved


def _add(task: Task, amount: Micros) -> tuple[Step, ...]:
    return (accounts.add(task.account, task.mode, amount),) if amount else ()


def _spent(task: Task, amount: Micros, **sums: int) -> Step:
    return spending.add(task.account, task.mode, day_of(task.created_at), task.key, task.model, amount=amount, **sums)
