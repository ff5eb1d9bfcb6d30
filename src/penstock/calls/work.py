"""One call on its way: what is known of it so far, and how it is closed, once."""

from __future__ import annotations

import asyncio
import time

import msgspec

from penstock.access import Limits
from penstock.calls.journal import Journal
from penstock.calls.meter import Meter
from penstock.calls.sizes import Size, measure
from penstock.canonical.commands import Call
from penstock.canonical.plan import Deployment
from penstock.canonical.usage import Micros, Unit, tokens
from penstock.canonical.who import Caller
from penstock.clock import now
from penstock.context import Context
from penstock.formats._base import Asked, Format, Operation
from penstock.formats._installed import formats
from penstock.ids import new_id
from penstock.ledger import Allowances, Hold, Rule
from penstock.routing import Health

ANSWERING = frozenset({Operation.CHAT})
ALWAYS = frozenset({Unit.INPUT_TOKEN, Unit.OUTPUT_TOKEN})
"""Units that are noted even where they are zero; of the others a zero says nothing."""


class Work:
    """`began` is `time.perf_counter()`; `accepted`: an upstream has said yes, so it may bill us."""

    __slots__ = (
        *("accepted", "asked", "attempts", "began", "call", "caller", "closed", "ctx", "deployment"),
        *("draining", "dropped", "first", "format", "heard", "heard_bytes", "hold", "meter", "most"),
        *("operation", "place", "reserved", "rule", "size"),
    )

    def __init__(self, ctx: Context, caller: Caller, call: Call, format: Format) -> None:
        self.ctx = ctx
        self.caller = caller
        self.call = call
        self.format = format
        self.operation = format.operation
        self.began = time.perf_counter()
        self.size: Size = measure(call.body)
        self.asked = Asked(call.model, call.request or new_id(), now() // 1_000_000_000, call.stream, call.options)
        self.meter = self._new_meter()
        self.rule: Rule | None = None
        self.hold: Hold | None = None
        self.most: Micros = 0
        self.reserved = 0
        self.deployment: Deployment | None = None
        self.dropped: tuple[str, ...] = ()
        self.attempts = 0
        self.first = 0.0
        self.accepted = False
        self.closed = False
        self.place = ""
        self.draining: asyncio.Task[bool] | None = None
        self.heard: list[bytes] = []
        self.heard_bytes = 0

    def _new_meter(self) -> Meter:
        return Meter(answers=self.operation in ANSWERING)

    def forget(self) -> None:
        """An attempt came to nothing: what was seen of it does not count."""
        self.accepted = False
        self.free_place()
        self.meter = self._new_meter()

    def take_place(self) -> None:
        """One of those that the deployment's channel has, where they are bounded."""
        channel = self.deployment.channel if self.deployment else None
        if channel is not None and channel.concurrency is not None:
            self.ctx.of(Health).take(channel)
            self.place = channel.id

    def free_place(self) -> None:
        if self.place:
            self.ctx.of(Health).free(self.place)
            self.place = ""

    def release(self, outcome: str) -> None:
        """Nothing came of it that anybody could bill."""
        if not self.closed:
            self.closed = True
            self.free_place()
            if self.hold is not None:
                self.ctx.of(Allowances).release(self.hold)
            self._used(0)
            self._note(self.ctx.of(Allowances).next_id(), outcome, {}, 0, estimated=False)

    async def settle(self, outcome: str = "ok", *, whole: bool) -> None:
        """Charge what came of it, durably. Does something once, as `release` does."""
        if self.closed:
            return
        if self.hold is None or self.rule is None:
            return self.release(outcome)
        self.closed = True
        self.free_place()
        self.ctx.faults.reach("call.answered")
        counted, estimated = self.meter.usage(self.size, whole=whole)
        usage = {unit: amount for unit, amount in counted.items() if amount or unit in ALWAYS}
        if self.reserved:
            self._used(sum(tokens(usage)))
        ledger = self.ctx.of(Allowances)
        rule = self.rule.on(self.deployment.channel.name) if self.deployment else self.rule
        if not rule.lines:  # free: the books need not know
            ledger.release(self.hold)
            return self._note(ledger.next_id(), outcome, usage, 0, estimated=estimated)
        id, charge, on_disk = ledger.settle(
            self.hold, self.caller, self.call.model, rule, usage, estimated=estimated, most=self.most
        )
        self._note(id, outcome, usage, charge, estimated=estimated)  # while it is written
        await on_disk
        self.ctx.faults.reach("call.settled")

    def reserve(self, amount: int) -> None:
        """Count these against the key's tokens a minute. Raises LimitReached."""
        if self.caller.tpm is not None:
            self.ctx.of(Limits).reserve(self.caller, amount)
            self.reserved = amount

    def _used(self, amount: int) -> None:
        if self.reserved:
            self.ctx.of(Limits).correct(self.caller.key, self.reserved, amount)
            self.reserved = 0

    def _note(self, id: int, outcome: str, usage: dict[Unit, int], charge: Micros, *, estimated: bool) -> None:
        call, caller, deployment = self.call, self.caller, self.deployment
        took = time.perf_counter()
        self.ctx.of(Journal).note(
            (
                id,
                self.asked.id,
                *(caller.account, caller.key, caller.mode, call.dialect, call.model),
                deployment.channel.name if deployment else None,
                deployment.upstream_model if deployment else None,
                call.stream,
                outcome,
                msgspec.json.encode(usage).decode(),
                charge,
                estimated,
                " ".join(self.dropped),
                self.attempts,
                round((self.first - self.began) * 1e6) if self.first else None,
                round((took - self.began) * 1e6),
                now(),
                self._bodies(),
            )
        )

    def _bodies(self) -> str | None:
        if not self.ctx.settings.log_bodies:
            return None
        most = self.ctx.settings.log_bodies_most
        said = {
            "request": self.call.body[:most].decode("utf-8", "replace"),
            "answer": b"".join(self.heard)[:most].decode("utf-8", "replace"),
        }
        return msgspec.json.encode(said).decode()

    def keep(self, piece: bytes) -> bytes:
        """The same piece, remembered where bodies are logged."""
        if self.ctx.settings.log_bodies and self.heard_bytes < self.ctx.settings.log_bodies_most:
            self.heard.append(piece)
            self.heard_bytes += len(piece)
        return piece


def begin(ctx: Context, caller: Caller, call: Call) -> Work:
    return Work(ctx, caller, call, formats()[call.format])
