"""The pretend vendor's calls: chats, embeddings, counts of tokens, and moderations, in every installed format.

    POST /calls/{format}/{model}       a body in that format, an answer in that format, whole or streamed

Scripts (see `script`), as calls take them: *slow* is how long the answer takes; *fail* an error before it, *flaky* one
at each odd attempt of the same request, *busy* at its first few; *refuse* and *context* are refusals; *hang* halts
half-way, *die* loses the connection there, *cut* ends the stream early without its end mark.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from hashlib import blake2b

import msgspec

from penstock.canonical.events import Counted, Event, Frame, Started, ToolStarted
from penstock.clock import SECOND, Nanos
from penstock.errors import (
    CallerError,
    ContentRefused,
    ContextTooLong,
    InvalidInput,
    PenstockError,
    Unsupported,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamTimeout,
)
from penstock.formats._base import Operation
from penstock.formats._installed import formats
from penstock.providers.sandbox import script
from penstock.providers.sandbox.answers import FIRST_S, Taken, take_on, written
from penstock.providers.sandbox.script import RETRY_AFTER_S, Script
from penstock.wire import sse

REMEMBERED = 20_000

BUSY = "The sandbox is busy, as its script says."
FLAKY = "The sandbox is out of order for a moment, as its script says."
FAILED = "The sandbox failed this call, as its script says."
REFUSED = "The sandbox refused this request, as its script says: it was flagged as sensitive."
FULL = "This request does not fit into the model's context, as the sandbox's script says: it has 0 tokens left."
LOST = "The sandbox lost the connection, as its script says."
HUNG = "The sandbox never answered, as its script says."

REFUSALS: dict[str, type[PenstockError]] = {
    kind.code: kind
    for kind in (
        CallerError,
        InvalidInput,
        Unsupported,
        ContentRefused,
        ContextTooLong,
        UpstreamError,
        UpstreamBusy,
        UpstreamForgot,
        UpstreamTimeout,
    )
}
"""What this vendor says no with, by the `code` in its error bodies."""

Reply = tuple[int, dict[str, str], bytes]


class Calls:
    """`clock` gives nanoseconds since 1970."""

    def __init__(self, clock: Callable[[], Nanos]) -> None:
        self._clock = clock
        self._turned_away: OrderedDict[bytes, int] = OrderedDict()

    async def answer(self, format: str, model: str, body: bytes) -> Reply:
        try:
            taken = await self._taken(format, model, body, stream=False)
            await self._lived_through(taken.acting)
            return 200, {"content-type": "application/json"}, await asyncio.to_thread(written, taken)
        except PenstockError as error:
            return refusal(error)

    async def stream(self, format: str, model: str, body: bytes) -> AsyncIterator[bytes]:
        """Raises PenstockError before the first bit where `answer` would give an error status, later on where the
        connection breaks."""
        taken = await self._taken(format, model, body, stream=True)
        acting, writer = taken.acting, taken.format.writer(taken.asked)
        pieces = list(bits(taken.events))
        stop_at = breaks_at(acting, len(pieces))
        pause_s = acting.takes_s / max(1, len(pieces))
        await asyncio.sleep(min(FIRST_S, acting.takes_s / 4))
        for number, events in enumerate(pieces):
            if number == stop_at:
                if acting.cut_after is None:
                    await self._broken(acting)
                return
            if piece := b"".join([writer.write(Frame([event])) for event in events]):
                yield piece
            await asyncio.sleep(pause_s)
        ending = b"".join([writer.write(Frame([event])) for event in closing(taken.events)]) + writer.end()
        yield told_twice(ending) if acting.usage == "twice" else ending

    # ── taking one on ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _taken(self, name: str, model: str, body: bytes, *, stream: bool) -> Taken:
        format = formats().get(name)
        if format is None:
            raise UpstreamForgot("There is no such format at the sandbox.")
        if stream and format.operation is not Operation.CHAT:
            raise Unsupported("This is answered at once, not as a stream.")
        try:
            at = self._clock() // SECOND
            taken = await asyncio.to_thread(take_on, format, model, body, at, stream=stream)
        except RecursionError:
            raise InvalidInput("The request body is nested too deep") from None
        self._turn_away(model, body, taken.acting)
        return taken

    def _turn_away(self, model: str, body: bytes, acting: Script) -> None:
        """Raises what the script says that an attempt meets before there is an answer."""
        times = max(acting.busy_times, int(acting.flaky))
        if times and self._attempt(model, body) <= times:
            raise UpstreamBusy(BUSY, retry_after_s=RETRY_AFTER_S) if acting.busy_times else UpstreamBusy(FLAKY)
        self._turned_away.pop(digest(model, body), None)
        if acting.refuses:
            raise ContentRefused(REFUSED)
        if acting.context_full:
            raise ContextTooLong(FULL)
        if acting.outcome == "failed":
            raise UpstreamError(FAILED if acting.reason in (None, script.FAILED) else str(acting.reason))

    def _attempt(self, model: str, body: bytes) -> int:
        """Which attempt of the same request this is, from 1, since the last that was answered."""
        key = digest(model, body)
        self._turned_away[key] = self._turned_away.pop(key, 0) + 1
        if len(self._turned_away) > REMEMBERED:
            self._turned_away.popitem(last=False)
        return self._turned_away[key]

    # ── living through it ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _lived_through(self, acting: Script) -> None:
        """The time that a whole answer takes. Raises where there is none."""
        if acting.hangs or acting.dies or acting.cut_after is not None:
            await asyncio.sleep(acting.takes_s / 2)
            await self._broken(acting)
        await asyncio.sleep(acting.takes_s)

    async def _broken(self, acting: Script) -> None:
        if acting.hangs:
            await asyncio.sleep(script.LONGEST_S)
            raise UpstreamTimeout(HUNG)
        raise UpstreamError(LOST)


def digest(model: str, body: bytes) -> bytes:
    return blake2b(model.encode() + b"\0" + body, digest_size=16).digest()


# ── how it is sent ────────────────────────────────────────────────────────────────────────────────────────────────────


def bits(events: Sequence[Event]) -> Iterator[list[Event]]:
    """What is sent at once: each piece, and with the first all that stands before it."""
    held: list[Event] = []
    for event in events[: len(events) - len(closing(events))]:
        held.append(event)
        if not isinstance(event, Started | Counted | ToolStarted):
            yield held
            held = []
    if held:
        yield held


def closing(events: Sequence[Event]) -> Sequence[Event]:
    """The last report of usage, and the end."""
    return events[-2:] if len(events) > 1 and isinstance(events[-2], Counted) else events[-1:]


def breaks_at(acting: Script, pieces: int) -> int | None:
    """Before which piece the stream stops, None if it does not."""
    if acting.hangs or acting.dies:
        return pieces // 2
    return None if acting.cut_after is None else min(acting.cut_after, pieces)


def told_twice(ending: bytes) -> bytes:
    """The end of a stream with each event that reports usage sent again."""
    reader = sse.Reader()
    return b"".join(event.raw * (1 + reports(event.data)) for event in [*reader.feed(ending), *reader.end()])


def reports(data: str) -> bool:
    return '"usage' in data and '"usage":null' not in data


def refusal(error: PenstockError) -> Reply:
    headers = {"content-type": "application/json"}
    if error.retry_after_s is not None:
        headers["retry-after"] = f"{error.retry_after_s:g}"
    return error.status, headers, msgspec.json.encode({"detail": str(error), "code": error.code})
