"""Money given back for calls: each refund is one entry under `call/<number of the charge>`, never more than was charged
in all."""

from __future__ import annotations

import msgspec

from penstock.canonical.usage import Micros
from penstock.clock import Nanos
from penstock.context import Context
from penstock.errors import CallerError
from penstock.ledger.quotas import Quotas, day_of
from penstock.store import accounts, spending, statements


async def refund_call(
    ctx: Context, charge: int, account: str, mode: str, key: str, model: str, at: Nanos, amount: Micros, reason: str
) -> None:
    """Give back some of a charge, and count it off what the key spent on that day. Raises CallerError where it would be
    more than what is left of the charge; then nothing happens."""
    if amount <= 0:
        raise CallerError("a refund must be more than nothing")
    too_much = CallerError("that is more than what of this charge can still be refunded; see: penstock ledger explain")
    detail = msgspec.json.encode({"reason": reason}).decode()
    day = day_of(at)
    await ctx.store.write(
        accounts.add(account, mode, amount),  # first: see `statements.refund`
        statements.refund(charge, account, mode, amount, detail, too_much),
        spending.add(account, mode, day, key, model, amount=-amount),
    )
    ctx.of(Quotas).settle(key, day, amount, 0)
