"""Deployments in order until one answers. After the first byte of an answer (the commit point) no other is tried.

A reply that is lost on the way is no reason to keep a caller waiting: a call makes nothing that lasts, so the next
deployment is asked, and what the first may have billed is the operator's. (A task is never sent twice so.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from penstock.calls.pulse import Patience, Pulse
from penstock.calls.talk import AGENT, discreet, seconds
from penstock.calls.work import Work
from penstock.canonical.events import Frame
from penstock.errors import (
    FateUnknown,
    PenstockError,
    UnknownModel,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamTimeout,
)
from penstock.providers._base import Ask
from penstock.routing import Health, Providers
from penstock.routing.planning import CallPlan, Choice
from penstock.wire.http import Request

T = TypeVar("T")
MAX_REPLY = 64 << 20
ERROR_MOST = 1 << 20
MOST_NAMES, MOST_NAME = 100, 100
"""Of what was dropped: the names may be the client's own."""


async def first_to_answer(work: Work, plan: CallPlan, attempt: Callable[[Work, Choice], Awaitable[T]]) -> T:
    """The first answer that this attempt brings. Raises what the last one failed with, or what the caller caused."""
    health = work.ctx.of(Health)
    failed: PenstockError | None = None
    waits: list[float] = []
    for choice in plan:
        deployment, again = choice.deployment, work.attempts > 0
        wait_s = health.wait_s(deployment, again=again)
        if wait_s is not None:
            waits.append(wait_s)
            continue
        health.begins(deployment, again=again)
        work.deployment, work.dropped = deployment, ()
        work.attempts += 1
        work.take_place()
        began = time.monotonic()
        try:
            answer = await attempt(work, choice)
        except asyncio.CancelledError:
            work.accepted = True  # it may have been sent, and then it is billed, whoever has left
            raise
        except PenstockError as error:
            work.forget()
            health.failed(deployment, error)
            failed = discreet(error, deployment.channel)
            if not error.tries_next:
                break
        else:
            health.worked(deployment, began, so_far=work.call.stream)
            return answer
    if isinstance(failed, UpstreamForgot):  # whoever was asked does not know the model
        raise UnknownModel() from failed
    raise failed or UpstreamBusy("Every channel of this model is busy or rests.", retry_after_s=min(waits))


def request(work: Work, choice: Choice) -> tuple[Ask, bool]:
    """The vendor's request, and whether its answer passes as it is. Raises Unsupported for what it can't be told."""
    call, endpoint, model = work.call, choice.endpoint, choice.deployment.upstream_model
    if endpoint.format.name == call.format:
        body = endpoint.format.renamed(call.body, model, stream=call.stream)
        asked = endpoint.asked(body, model, stream=call.stream)
        if call.headers and endpoint.forwards:
            forwarded = {name: call.headers[name] for name in endpoint.forwards if name in call.headers}
            asked = Ask(asked.method, asked.path, asked.body, {**asked.headers, **forwarded})
        return asked, True
    read = work.format.read_request(call.body)
    named = {"model": call.model} | ({"stream": call.stream} if hasattr(read, "stream") else {})
    value = msgspec.structs.replace(read, **named)
    written = endpoint.format.write_request(value, model)
    lost = (name[:MOST_NAME] for name in (*value.left_out, *written.dropped))
    work.dropped = tuple(dict.fromkeys(lost))[:MOST_NAMES]
    return endpoint.asked(written.body, model, stream=call.stream), False


async def whole(work: Work, choice: Choice) -> bytes:
    """The answer's body in the client's format, seen by the meter."""
    ask, passes = request(work, choice)
    body = await _send(work, choice, ask)
    work.accepted = True
    format = choice.endpoint.format
    if passes:
        work.meter.see(format.skim_reply(body))
        return body
    events = format.read_reply(body)
    work.meter.see(events)
    return work.format.write_reply(events, work.asked)


async def _send(work: Work, choice: Choice, ask: Ask) -> bytes:
    ctx, channel = work.ctx, choice.deployment.channel
    transport = ctx.of(Providers).transport(channel.provider)
    headers: Mapping[str, str]
    if transport is not None:
        try:
            async with asyncio.timeout(ctx.settings.call_timeout_s):
                status, headers, body = await transport.answer(ask)
        except TimeoutError:
            raise UpstreamTimeout() from None
    else:
        began = time.monotonic()
        try:
            reply = await ctx.http.send(_request(work, choice, ask, ctx.settings.call_timeout_s), limit=MAX_REPLY)
        except FateUnknown as error:
            raise _lost(time.monotonic() - began, ctx.settings.call_timeout_s) from error
        status, headers, body = reply.status, reply.headers, reply.body
    if status >= 300:
        raise refused(choice, status, body, headers)
    return body


@asynccontextmanager
async def _streamed(work: Work, choice: Choice, ask: Ask) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body as it comes, once the vendor has said yes."""
    ctx, channel = work.ctx, choice.deployment.channel
    transport = ctx.of(Providers).transport(channel.provider)
    if transport is not None:
        pieces = transport.stream(ask)
        try:
            yield pieces
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()
        return
    began = time.monotonic()
    try:
        async with ctx.http.stream(_request(work, choice, ask, ctx.settings.stream_timeout_s), MAX_REPLY * 16) as reply:
            if reply.status >= 300:
                raise refused(choice, reply.status, await _read(reply), reply.headers)
            yield reply
    except FateUnknown as error:
        raise _lost(time.monotonic() - began, ctx.settings.stream_timeout_s) from error


async def frames(work: Work, choice: Choice) -> AsyncIterator[list[Frame]]:
    """A streamed answer, portion by portion. Raises UpstreamTimeout where the vendor is silent for too long."""
    ask, passes = request(work, choice)
    format, settings = choice.endpoint.format, work.ctx.settings
    reader = format.skimmer() if passes else format.reader()
    patience = Patience(work.ctx.of(Pulse), settings.first_byte_timeout_s)
    try:
        with patience:
            async with _streamed(work, choice, ask) as pieces:
                work.accepted = True
                patience.patience_s = max(settings.idle_timeout_s, settings.first_byte_timeout_s)
                async for piece in pieces:
                    patience.rests()
                    if batch := reader.feed(piece):
                        yield batch
                        patience.patience_s = settings.idle_timeout_s
                    if reader.done:
                        break
                    patience.waits()
                if batch := reader.end():
                    patience.rests()
                    yield batch
                if not (reader.done or work.meter.finished):
                    raise UpstreamError("The upstream's answer broke off.")
    except asyncio.CancelledError:
        if not patience.spent:
            raise
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        raise UpstreamTimeout("The upstream fell silent.") from None


def refused(choice: Choice, status: int, body: bytes, headers: Mapping[str, str]) -> PenstockError:
    if status < 400:
        return UpstreamError("The upstream points elsewhere: is the channel's base URL right?")
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    return choice.provider.refusal(status, said, seconds(headers.get("retry-after")), creates=False)


def _request(work: Work, choice: Choice, ask: Ask, timeout_s: float) -> Request:
    channel = choice.deployment.channel
    headers = {"user-agent": AGENT, **choice.provider.auth.headers(channel.credential), **ask.headers}
    return Request(ask.method, channel.base_url + ask.path, headers, ask.body, timeout_s)


def _lost(took_s: float, timeout_s: float) -> UpstreamError:
    return UpstreamTimeout() if took_s >= timeout_s else UpstreamError("The upstream broke off without an answer.")


async def _read(reply: AsyncIterator[bytes]) -> bytes:
    """The beginning of an error's body."""
    said = b""
    async for piece in reply:
        said += piece
        if len(said) > ERROR_MOST:
            break
    return said
