"""What the meter needs of an answer that is handed on as it came. This is the hottest code of all."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.canonical.events import Counted, Event, Finish, Finished, Frame, Grew, guessed_tokens
from penstock.formats._base import StreamReader, StreamWriter, answered
from penstock.formats.openai_chat import usage
from penstock.formats.openai_chat.faults import fault
from penstock.formats.openai_chat.listening import FINISHES
from penstock.wire import sse


class _Called(msgspec.Struct, gc=False):
    name: Any = None
    arguments: Any = None


class _Call(msgspec.Struct, gc=False):
    function: _Called | None = None
    custom: Any = None


class _Said(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None
    usage: usage.Reported | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: usage.Reported | None = None
    error: Any = None


class _Ended(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class _Reply(msgspec.Struct, gc=False):
    choices: list[_Ended] | None = None
    usage: usage.Reported | None = None
    error: Any = None


_read = msgspec.json.Decoder(_Chunk).decode
_read_reply = msgspec.json.Decoder(_Reply).decode


def skimmed(body: bytes) -> list[Event]:
    """Of a whole answer. Raises UpstreamError where it is none. Where it was counted, its text is not looked at."""
    try:
        reply = _read_reply(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _skimmed(body)
    if reply.error or not reply.choices or not reply.usage or not (units := usage.read(reply.usage)):
        return _skimmed(body)
    finish = FINISHES.get(reply.choices[-1].finish_reason or "", Finish.STOP)
    return [Counted(units), Finished(finish)]


def _skimmed(body: bytes) -> list[Event]:
    chunk: _Chunk = answered(body, _Chunk)
    if chunk.error:
        raise fault(chunk.error)
    seen = _Seen()
    seen.see(chunk)
    return seen.events()


class _Seen:
    """What some chunks came to."""

    __slots__ = ("calls", "counted", "finish", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.counted: usage.Reported | None = None
        self.finish = ""
        self.calls = False

    def see(self, chunk: _Chunk) -> None:
        for choice in chunk.choices or ():
            said = choice.delta or choice.message
            if said is not None:
                self.texts += _texts(said)
                self.calls |= bool(said.tool_calls)
            if choice.finish_reason:
                self.finish = choice.finish_reason
            self.counted = choice.usage or self.counted
        self.counted = chunk.usage or self.counted

    def events(self) -> list[Event]:
        events: list[Event] = []
        if self.texts:
            events.append(Grew(guessed_tokens("".join(self.texts))))
        if self.counted and (units := usage.read(self.counted)):
            events.append(Counted(units))
        if self.finish:
            finish = FINISHES.get(self.finish, Finish.STOP)
            events.append(Finished(Finish.TOOLS if finish is Finish.STOP and self.calls else finish))
        return events


def _texts(said: _Said) -> list[str]:
    found = [said.content, said.reasoning_content or said.reasoning, said.refusal]
    for call in said.tool_calls or ():
        if call.function is not None:
            found += [call.function.name, call.function.arguments]
        elif isinstance(call.custom, dict):
            found.append(call.custom.get("input"))
    return [text if isinstance(text, str) else str(text) for text in found if text]


class Skimmer(StreamReader):
    """One frame for each portion, but a chunk that only counts is a frame of its own, with no event but Counted: so
    `Uncounted` can leave it out."""

    def __init__(self) -> None:
        self._sse = sse.Reader()
        self._calls = self._finished = False

    def feed(self, data: bytes) -> list[Frame]:
        return self._frames(self._sse.feed(data))

    def end(self) -> list[Frame]:
        """Half an event goes to nobody: what is told next would be glued to it."""
        return [frame for frame in self._frames(self._sse.end()) if frame.events or self.done]

    def _frames(self, events: list[sse.Event]) -> list[Frame]:
        frames: list[Frame] = []
        raws: list[bytes] = []
        seen = _Seen()
        for event in events:
            chunk = self._chunk(event)
            if chunk is not None and chunk.usage and not chunk.choices:
                self._close(frames, raws, seen)
                raws, seen = [], _Seen()
                units = usage.read(chunk.usage)
                frames.append(Frame([Counted(units)] if units else [], event.raw))
                continue
            raws.append(event.raw)
            if chunk is not None:
                seen.see(chunk)
        self._close(frames, raws, seen)
        return frames

    def _close(self, frames: list[Frame], raws: list[bytes], seen: _Seen) -> None:
        if not raws:
            return
        self._calls = seen.calls = seen.calls or self._calls
        if self._finished:
            seen.finish = ""
        self._finished = self._finished or bool(seen.finish)
        events = seen.events()
        if len(events) == 1 and type(events[0]) is Counted:
            events.append(Grew(0.0))
        frames.append(Frame(events, raws[0] if len(raws) == 1 else b"".join(raws)))

    def _chunk(self, event: sse.Event) -> _Chunk | None:
        """None for what is no chunk, or none that we understand: the client may."""
        data = event.data
        if data.startswith("[DONE]"):
            self.done = True
            return None
        try:
            chunk = _read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if chunk.error or event.name == "error":
            raise fault(chunk.error or msgspec.json.decode(data))
        return chunk


class Uncounted(StreamWriter):
    """The vendor's own bytes, without the chunk that only counts, for which the client did not ask."""

    def write(self, frame: Frame) -> bytes:
        if len(frame.events) == 1 and type(frame.events[0]) is Counted:
            return b""
        return frame.raw
