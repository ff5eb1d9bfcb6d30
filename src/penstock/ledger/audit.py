"""Prove the books: balances are the sums of their entries, ended work sums to minus its charge, nothing is held for
work that does not exist."""

from __future__ import annotations

from penstock.context import Context
from penstock.ledger.allowances import Allowances
from penstock.store import accounts, calls, spending


async def check(ctx: Context) -> list[str]:
    """What is wrong, in words; empty if the books balance. Meant for a moment without writes, or a fresh snapshot."""
    sums = {(account, mode): total for account, mode, total in await accounts.sums(ctx.store)}
    wrong = [
        f"balance of {account}/{mode} is {amount}, its entries sum to {sums.get((account, mode), 0)}"
        for account, mode, amount in await accounts.amounts(ctx.store)
        if amount != sums.get((account, mode), 0)
    ]
    wrong += [f"balance of {account}/{mode} is {amount}" for account, mode, amount in _below_zero(sums)]
    for task, state, hold, charge, holds, closes, net in await accounts.wrong_tasks(ctx.store):
        wrong.append(
            f"task {task} is {state} with hold {hold} and charge {charge}, but has {holds or 0} hold entries, "
            f"{closes or 0} closing ones, and they sum to {net or 0}"
        )
    wrong += [
        f"{-amount} is held for {work}, which does not exist" for work, amount in await accounts.orphans(ctx.store)
    ]
    return wrong + await _wrong_allowances(ctx) + await _wrong_spending(ctx)


async def _wrong_allowances(ctx: Context) -> list[str]:
    """What was drawn for calls is what the entries say, and what closed epochs drew was charged to the micro."""
    drawn = {(account, mode): (total, settled) for account, mode, total, settled in await calls.drawn_sums(ctx.store)}
    booked = {(account, mode): -total for account, mode, total in await calls.booked_sums(ctx.store)}
    charged = {(account, mode): total for account, mode, total in await calls.charge_sums(ctx.store)}
    open_epochs = await calls.unclosed(ctx.store)
    wrong = [
        f"allowance {epoch} of {account}/{mode} drew {total} and settled {settled}"
        for epoch, account, mode, total, settled in await calls.wrong_allowances(ctx.store)
    ]
    for who in drawn.keys() | booked.keys() | charged.keys():
        account, mode = who
        total, spent = drawn.get(who, (0, 0))[0], charged.get(who, 0)
        if total != booked.get(who, 0):
            wrong.append(f"allowances of {account}/{mode} are {total}, their entries say {booked.get(who, 0)}")
        if spent > total or (not open_epochs and spent != total):
            wrong.append(f"calls of {account}/{mode} were charged {spent}, {total} was drawn for them")
    return wrong


async def _wrong_spending(ctx: Context) -> list[str]:
    """What was summed up by key and day is what calls and tasks were charged, less what was refunded."""
    async with ctx.of(Allowances).charges.summing:
        charged = {(account, mode): total for account, mode, total in await calls.charge_sums(ctx.store, summed=True)}
        summed = {(account, mode): rest for account, mode, *rest in await spending.sums(ctx.store)}
    wrong = []
    for who in charged.keys() | summed.keys():
        spent, for_tasks, refunded = summed.get(who, (0, 0, 0))
        if spent != (due := charged.get(who, 0) + for_tasks - refunded):
            wrong.append(f"spending of {who[0]}/{who[1]} sums to {spent}, it was charged {due}")
    return wrong


def _below_zero(sums: dict[tuple[str, str], int]) -> list[tuple[str, str, int]]:
    return [(account, mode, total) for (account, mode), total in sums.items() if total < 0]
