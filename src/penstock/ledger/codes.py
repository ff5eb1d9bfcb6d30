"""Codes that put money into the live books of the account that redeems them, once.

A code is shown when it is made, and kept as a keyed hash. How many wrong ones a key may try is counted in memory.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from typing import Any

import msgspec

from penstock.canonical.usage import Micros
from penstock.canonical.who import LIVE, Caller
from penstock.clock import Nanos
from penstock.context import Context
from penstock.errors import CallerError, Forbidden, LimitReached, NotFound
from penstock.ids import ALPHABET, new_id
from penstock.store import accounts, codes
from penstock.wire.signing import derive, hash_key

PREFIX, GROUPS, LETTERS = "pc-", 5, 5
AT_ONCE = 1000
TRIES, TRIES_IN_S = 10, 3600.0
WRONG = "There is no such code, or it was redeemed before, was revoked, or has expired."
READ_AS = str.maketrans({"o": "0", "i": "1", "l": "1", "-": "", " ": ""})
"""Letters that the alphabet leaves out, as people read them; and what only parts the groups."""


class Codes:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._pepper = derive(ctx.secret, "codes")
        self._wrong: dict[str, deque[float]] = {}

    async def create(
        self, count: int, amount: Micros, reason: str = "", expires_at: Nanos | None = None
    ) -> list[dict[str, Any]]:
        """New codes, each worth so much. They are in the result, and nowhere else."""
        if not 1 <= count <= AT_ONCE:
            raise CallerError(f"1 to {AT_ONCE} codes can be made at once")
        if amount <= 0:
            raise CallerError("a code must be worth more than nothing")
        made = [(new_id(), _new()) for _ in range(count)]
        await self._ctx.store.write(
            *(
                codes.insert(id, code[: len(PREFIX) + LETTERS], self._hash(code), amount, reason, expires_at)
                for id, code in made
            )
        )
        return [{"id": id, "code": code, "amount": amount} for id, code in made]

    async def redeem(self, caller: Caller, code: str) -> Micros:
        """Put a code's money into the caller's account: how much it was. Raises NotFound for one that is not, or no
        longer, worth anything, Forbidden for a test key, and LimitReached after too many wrong ones."""
        if caller.mode != LIVE:
            raise Forbidden("A test key can't redeem codes: they are worth real money. Use a live key.")
        tried = self._try(caller.key)
        found = await codes.find(self._ctx.store, self._hash(code))
        if found is None:
            raise NotFound(WRONG)
        id, amount, reason = found
        detail = msgspec.json.encode({"reason": reason} if reason else {}).decode()
        account, mode = caller.account, caller.mode
        await self._ctx.store.write(
            codes.redeem(id, account, NotFound(WRONG)),
            accounts.entry(account, mode, "topup", amount, work=f"code/{id}", detail=detail),
            accounts.add(account, mode, amount),
        )
        self._wrong[caller.key].remove(tried)
        return int(amount)

    def _try(self, key: str) -> float:
        """Count a try as wrong, until it turns out not to be: so many at once are not more than one by one."""
        at, wrong = time.monotonic(), self._wrong.setdefault(key, deque())
        while wrong and wrong[0] <= at - TRIES_IN_S:
            wrong.popleft()
        if len(wrong) >= TRIES:
            words = f"This key has tried {TRIES} wrong codes within an hour."
            raise LimitReached(words, retry_after_s=wrong[0] + TRIES_IN_S - at)
        wrong.append(at)
        return at

    def _hash(self, code: str) -> bytes:
        return hash_key(self._pepper, code.strip().lower().removeprefix(PREFIX).translate(READ_AS))


def _new() -> str:
    """125 random bits."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(LETTERS)) for _ in range(GROUPS))
    return PREFIX + "-".join(groups)
