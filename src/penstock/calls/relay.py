"""The story of one call: who may, where to, hold, ask, hand on, count, settle. Read this first.

The end of an answer waits until its charge is on disk. A stream that is cut short, by either side, is charged for what
was produced: by the vendor's count where it came, else by an estimate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec

from penstock.access import Limits
from penstock.calls import attempts
from penstock.calls.draining import ReadOn
from penstock.calls.pricing import most, planned
from penstock.calls.settling import Settling
from penstock.calls.talk import discreet
from penstock.calls.work import Work, begin
from penstock.canonical.commands import Call
from penstock.canonical.events import Counted
from penstock.canonical.results import Answered
from penstock.canonical.usage import Unit
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import PenstockError, ShuttingDown, UnknownModel, UpstreamError
from penstock.formats._base import Operation
from penstock.ledger import Allowances
from penstock.routing import Health
from penstock.routing.planning import CallPlan, Choice


async def answer(ctx: Context, caller: Caller, call: Call) -> Answered:
    """The whole of one call; a stream goes on in what it returns. Raises what the client shall be told instead."""
    if ctx.closing.is_set():
        raise ShuttingDown()
    work, limits, counted = begin(ctx, caller, call), ctx.of(Limits), False
    try:
        plan = planned(ctx, caller, work)
        if plan is None:
            return _counted_here(work)
        limits.begin(caller)
        counted = True
        work.reserve(work.size.guessed_tokens + (call.most_tokens or 0))
        amount = most(ctx, work)
        ledger = ctx.of(Allowances)
        work.hold = ledger.take(caller, amount) or await ledger.hold(caller, amount)
        return await (_streamed if call.stream else _whole)(work, plan)
    except BaseException as error:
        if counted:
            limits.end(caller.key)
        ctx.of(Settling).finish(work, _outcome(error))
        if work.operation is Operation.COUNT and isinstance(error, UpstreamError | UnknownModel) and counted:
            return _counted_here(work)
        raise


async def _whole(work: Work, plan: CallPlan) -> Answered:
    body = await attempts.first_to_answer(work, plan, attempts.whole)
    work.first = time.perf_counter()
    work.keep(body)
    await work.settle(whole=True)
    work.ctx.of(Limits).end(work.caller.key)
    return Answered(body, dropped=work.dropped)


async def _streamed(work: Work, plan: CallPlan) -> Answered:
    stream = await attempts.first_to_answer(work, plan, _begun)
    format = work.format
    return Answered(stream=stream, content_type=format.content_type, beat=format.beat, dropped=work.dropped)


async def _begun(work: Work, choice: Choice) -> AsyncIterator[bytes]:
    """A stream whose first bytes are here: the commit point."""
    rest = pieces(work, choice)
    first = await anext(rest)
    work.first = time.perf_counter()
    return Begun(first, rest, work)


async def pieces(work: Work, choice: Choice) -> AsyncIterator[bytes]:
    """The answer in the client's format; what follows its finish is held back until it is paid for."""
    if choice.endpoint.format.name == work.call.format:
        writer = work.format.passing(work.asked)
    else:
        guess = {"input_tokens": work.size.guessed_tokens, **work.asked.options}
        writer = work.format.writer(msgspec.structs.replace(work.asked, options=guess))
    meter, write, held = work.meter, writer.write, list[bytes]()
    source = attempts.frames(work, choice)
    if not choice.endpoint.stops:
        source = ReadOn(source, work)
    try:
        async for batch in source:
            for frame in batch:
                meter.see(frame.events)
            piece = write(batch[0]) if len(batch) == 1 else b"".join([write(frame) for frame in batch])
            if meter.finished or not meter.seen:  # its end, or nothing of it was understood so far
                held.append(piece)
            elif held:
                held.append(piece)
                yield work.keep(b"".join(held))
                held.clear()
            elif piece:
                yield work.keep(piece)
    finally:
        await source.aclose()  # type: ignore[attr-defined]
    if not meter.seen:
        raise UpstreamError("The upstream's answer ended before it began.")
    held.append(writer.end())
    work.ctx.of(Health).ended_well(choice.deployment)
    await work.settle(whole=True)
    yield work.keep(b"".join(held))


class Begun:
    """A stream whose first piece is here. However it ends, and if nobody ever reads it, it is settled."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], work: Work) -> None:
        self._first: bytes | None = first
        self._rest = rest
        self._work = work
        self._ended = False

    def __aiter__(self) -> Begun:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return await anext(self._rest)
        except BaseException as error:
            await self._end(error)
            raise

    async def aclose(self) -> None:
        """The reader is gone: the vendor is told so by closing the connection."""
        await self._end(GeneratorExit())

    async def _end(self, error: BaseException) -> None:
        if self._ended:
            return
        self._ended = True
        work = self._work
        try:
            if isinstance(error, PenstockError) and work.deployment is not None:
                work.ctx.of(Health).failed(work.deployment, error)
                discreet(error, work.deployment.channel)
            await self._rest.aclose()  # type: ignore[attr-defined]
        finally:
            work.ctx.of(Limits).end(work.caller.key)
            settling = work.ctx.of(Settling).finish(work, _outcome(error))
        if settling is not None and isinstance(error, PenstockError):
            await asyncio.shield(settling)  # the client sees the end of the stream only after that


def _counted_here(work: Work) -> Answered:
    """Nobody upstream counts tokens of this model: an estimate."""
    counted = [Counted({Unit.INPUT_TOKEN: work.size.guessed_tokens})]
    return Answered(work.format.write_reply(counted, work.asked))


def _outcome(error: BaseException) -> str:
    if isinstance(error, StopAsyncIteration):
        return "ok"
    if isinstance(error, PenstockError):
        return error.code
    return "left" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "internal_error"
