"""A call that a task makes: the task holds and pays for it by its own rows, and counts as the key's unfinished work."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec

from penstock.calls import attempts, relay
from penstock.calls.pricing import most, planned
from penstock.calls.work import Work, begin
from penstock.canonical.commands import Call
from penstock.canonical.usage import Micros
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import UnknownModel
from penstock.ledger import Charge, Rule
from penstock.routing.planning import Choice


def quoted(ctx: Context, caller: Caller, call: Call) -> tuple[Rule, Micros]:
    """The price of a call, and the most that it can cost. Raises UnknownModel, Unpriced."""
    work = begin(ctx, caller, call)
    if planned(ctx, caller, work) is None or work.rule is None:
        raise UnknownModel()
    return work.rule, most(ctx, work)


class Carried:
    """One call under way. `work.hold` stays empty, so the relay charges nothing; `charge` is for the task to settle."""

    def __init__(self, ctx: Context, caller: Caller, call: Call, id: str, at: int) -> None:
        self.work: Work = begin(ctx, caller, call)
        self.work.asked = msgspec.structs.replace(self.work.asked, id=id, at=at)
        self._plan = planned(ctx, caller, self.work) or []

    async def pieces(self) -> AsyncIterator[bytes]:
        """The answer's stream; before its first piece other deployments are tried."""
        first, rest = await attempts.first_to_answer(self.work, self._plan, _begun)
        try:
            yield first
            async for piece in rest:
                yield piece
        finally:
            await rest.aclose()  # type: ignore[attr-defined]

    def charge(self, rule: Rule, hold: Micros, *, whole: bool) -> Charge | None:
        """What was produced comes to; None where no vendor said yes."""
        if not self.work.accepted:
            return None
        usage, estimated = self.work.meter.usage(self.work.size, whole=whole)
        total = rule.of_tokens(usage)
        detail = {"rule": rule.version, "source": rule.source, "units": usage, "estimated": estimated, "total": total}
        return Charge(min(total, hold), max(0, total - hold), detail)

    async def note(self, outcome: str) -> None:
        """Into the request log, unless its end was noted already."""
        await self.work.settle(outcome, whole=False)


async def _begun(work: Work, choice: Choice) -> tuple[bytes, AsyncIterator[bytes]]:
    rest = relay.pieces(work, choice)
    first = await anext(rest)
    work.first = time.perf_counter()
    return first, rest
