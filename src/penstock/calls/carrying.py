"""A call that a task makes: the task holds and pays for it by its own rows, and counts as the key's unfinished work."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec

from penstock.calls import attempts, relay
from penstock.calls.pricing import planned
from penstock.calls.work import Work, begin
from penstock.canonical.commands import Call
from penstock.canonical.usage import Micros, Unit
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import PenstockError
from penstock.ledger import Charge, Rule
from penstock.routing import Health
from penstock.routing.planning import Choice


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
        except PenstockError as error:
            if self.work.deployment is not None:
                self.work.ctx.of(Health).failed(self.work.deployment, error)
            raise
        finally:
            await rest.aclose()  # type: ignore[attr-defined]

    def charge(self, rule: Rule, hold: Micros, *, whole: bool) -> Charge | None:
        """What was produced comes to; None where no vendor said yes."""
        if not self.work.accepted:
            return None
        usage, estimated = self.work.meter.usage(self.work.size, whole=whole)
        channel = self.work.deployment.channel.name if self.work.deployment else ""
        charge = rule.on(channel).charge({Unit.RUN: 1, **usage}, hold)
        return Charge(charge.micros, charge.uncovered, charge.detail | {"estimated": estimated})

    async def note(self, outcome: str) -> None:
        """Into the request log, unless its end was noted already."""
        await self.work.settle(outcome, whole=False)


async def _begun(work: Work, choice: Choice) -> tuple[bytes, AsyncIterator[bytes]]:
    rest = relay.pieces(work, choice)
    first = await anext(rest)
    work.first = time.perf_counter()
    return first, rest
