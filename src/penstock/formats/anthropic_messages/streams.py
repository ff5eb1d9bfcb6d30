"""Streams: read, skimmed, and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from penstock.canonical.events import (
    Cited,
    Counted,
    Event,
    Finish,
    Finished,
    Frame,
    Grew,
    MediaMade,
    ReasoningDelta,
    ReasoningSealed,
    RefusalDelta,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
    guessed_tokens,
)
from penstock.canonical.usage import Unit
from penstock.errors import UpstreamError
from penstock.formats._base import Asked, StreamReader, StreamWriter, answered
from penstock.formats.anthropic_messages import replies
from penstock.formats.anthropic_messages.wire import (
    FAMILY,
    Delta,
    Fault,
    ReplyBlock,
    StopDetails,
    StreamEvent,
    Tally,
    UsageWords,
    fault,
    usage_words,
)
from penstock.wire import sse

NO_EVENT = ("", "[DONE]")
"""Not of this API, but servers that imitate it send it."""
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


# ── from the vendor ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Call:
    """A call that is being read. `given`: arguments that came at once, and count unless others follow."""

    index: int
    given: str


class Reader(StreamReader):
    def __init__(self) -> None:
        self._source = sse.Reader()
        self._tally = Tally()
        self._begun = self._ended = False
        self._opens = False  # the next thought is another train of them
        self._signature = ""
        self._calls: dict[int, Call] = {}

    def feed(self, data: bytes) -> list[Frame]:
        return self._frames(self._source.feed(data))

    def end(self) -> list[Frame]:
        return self._frames(self._source.end())

    def _frames(self, portion: list[sse.Event]) -> list[Frame]:
        events = [event for piece in portion for event in self._events(piece)]
        return [Frame(events)] if events else []

    def _events(self, piece: sse.Event) -> list[Event]:
        if piece.data in NO_EVENT:
            return []
        said: StreamEvent = answered(piece.data, StreamEvent)
        if said.error is not None:
            raise fault(said.error)
        events = self._read(said.type or piece.name or "", said)
        if events and not self._begun:
            self._begun = True
            if not isinstance(events[0], Started):
                events.insert(0, Started())
        return events

    def _read(self, kind: str, said: StreamEvent) -> list[Event]:
        match kind:
            case "content_block_delta" if said.delta:
                return self._delta(said.index, said.delta)
            case "content_block_start" if said.content_block:
                return self._opened(said.index, said.content_block)
            case "content_block_stop":
                return self._closed(said.index)
            case "message_start" if said.message:
                started = Started(said.message.id, said.message.model)
                usage = said.message.usage
                return [started, Counted(self._tally.see(usage, final=False))] if usage else [started]
            case "message_delta":
                return self._ending(said)
            case "message_stop":
                self.done = True
            case "error":
                raise fault(None)
        return []

    def _delta(self, index: int, delta: Delta) -> list[Event]:
        if delta.text:
            return [TextDelta(delta.text)]
        if delta.thinking:
            opens, self._opens = self._opens, False
            return [ReasoningDelta(delta.thinking, opens)]
        if delta.partial_json and (call := self._calls.get(index)):
            call.given = ""
            return [ToolDelta(call.index, delta.partial_json)]
        if delta.signature:
            self._signature = delta.signature  # it replaces
        return list(replies.citations(delta.citation)) if delta.citation else []

    def _opened(self, index: int, block: ReplyBlock) -> list[Event]:
        match block.type:
            case "tool_use":
                given = "" if bytes(block.input) in (b"{}", b"null", b'""') else bytes(block.input).decode()
                self._calls[index] = Call(len(self._calls), given)
                return [ToolStarted(self._calls[index].index, block.id, block.name)]
            case "redacted_thinking":
                return [ReasoningSealed(sealed=block.data or "", family=FAMILY)]
            case "thinking":
                self._opens, self._signature = True, block.signature or ""
        return self._delta(index, Delta(text=block.text, thinking=block.thinking))

    def _closed(self, index: int) -> list[Event]:
        if self._signature:
            signature, self._signature = self._signature, ""
            return [ReasoningSealed(signature=signature, family=FAMILY)]
        call = self._calls.get(index)
        if call and call.given:
            given, call.given = call.given, ""
            return [ToolDelta(call.index, given)]
        return []

    def _ending(self, said: StreamEvent) -> list[Event]:
        events: list[Event] = [Counted(self._tally.see(said.usage))] if said.usage else []
        if said.delta and said.delta.stop_reason and not self._ended:
            self._ended = True
            events.append(replies.finished(said.delta))
        return events


class SkimmedDelta(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class SkimmedMessage(msgspec.Struct, gc=False):
    usage: UsageWords | None = None


class Skimmed(msgspec.Struct, gc=False):
    type: str = ""
    delta: SkimmedDelta | None = None
    usage: UsageWords | None = None
    message: SkimmedMessage | None = None
    error: Fault | None = None


SKIMMED = msgspec.json.Decoder(Skimmed)


class Skimmer(StreamReader):
    """One frame for each portion: all that became whole of it, and how much the answer grew by it."""

    def __init__(self) -> None:
        self._source = sse.Reader()
        self._tally = Tally()

    def feed(self, data: bytes) -> list[Frame]:
        return self._frames(self._source.feed(data))

    def end(self) -> list[Frame]:
        return self._frames(self._source.end())

    def _frames(self, portion: list[sse.Event]) -> list[Frame]:
        if not portion:
            return []
        events: list[Event] = []
        grown = 0.0
        for piece in portion:
            said = self._skimmed(piece)
            delta = said.delta
            if said.type == "content_block_delta" and delta is not None:
                grown += guessed_tokens(delta.text or delta.partial_json or delta.thinking or "")
            elif said.type in ("message_start", "message_delta", "message_stop", "error") or said.error is not None:
                events += self._told(said)
        if grown:
            events.insert(0, Grew(grown))
        return [Frame(events, b"".join([piece.raw for piece in portion]))]

    def _skimmed(self, piece: sse.Event) -> Skimmed:
        try:
            said = SKIMMED.decode(piece.data)
        except (msgspec.DecodeError, RecursionError):
            if piece.data in NO_EVENT:
                return Skimmed()
            raise UpstreamError("The upstream's answer is not of the shape that its API promises.") from None
        if not said.type:
            said.type = piece.name or ""
        return said

    def _told(self, said: Skimmed) -> list[Event]:
        events: list[Event] = []
        if said.error is not None or said.type == "error":
            raise fault(said.error)
        match said.type:
            case "message_stop":
                self.done = True
            case "message_start" if said.message and said.message.usage:
                events.append(Counted(self._tally.see(said.message.usage, final=False)))
            case "message_delta":
                if said.usage:
                    events.append(Counted(self._tally.see(said.usage)))
                if said.delta and said.delta.stop_reason:
                    events.append(replies.finished(Delta(stop_reason=said.delta.stop_reason)))
        return events


# ── to a client ───────────────────────────────────────────────────────────────────────────────────────────────────────


CONTENT = TextDelta | RefusalDelta | ReasoningDelta | ReasoningSealed | MediaMade | Cited


@dataclass
class Told:
    """A call on its way to the client. `held`: arguments that wait for their block."""

    id: str
    name: str
    held: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    state: Literal["waiting", "open", "closed"] = "waiting"

    @property
    def whole(self) -> bool:
        """Its arguments are a JSON object, so that nothing can follow."""
        try:
            msgspec.json.decode("".join(self.said + self.held), type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class Writer(StreamWriter):
    """Blocks follow each other, so only one call is told as it comes: others wait until its arguments are whole, and so
    does all else. The option `input_tokens` is a guess, for as long as the vendor has told no count."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._begun = False
        self._index = -1
        self._open: Literal["text", "thinking"] | Told | None = None
        self._thought = False  # within the open block
        self._calls: dict[int, Told] = {}
        self._postponed: list[Event] = []
        guessed = asked.options.get("input_tokens")
        self._usage: dict[Unit, float] = {} if guessed is None else {Unit.INPUT_TOKEN: guessed}
        self._finished: Finished | None = None

    def write(self, frame: Frame) -> bytes:
        for event in frame.events:  # what a frame counts is known when its message starts
            if isinstance(event, Counted):
                self._usage |= event.usage
        return b"".join([self._event(event) for event in frame.events])

    def end(self) -> bytes:
        if self._finished is None and self._index < 0 and not self._calls:
            return _event("error", error={"type": "api_error", "message": "The upstream ended without an answer."})
        rest = self._start() + self._close() + self._resumed() + self._close() + self._waiting(whole=False)
        said = self._finished or Finished(Finish.STOP)
        ended = replies.stop_words(said, calls=bool(self._calls))
        rest += _event("message_delta", delta=ended, usage=usage_words(self._usage))
        return rest + _event("message_stop")

    def _event(self, event: Event) -> bytes:
        if isinstance(self._open, Told) and isinstance(event, CONTENT) and not self._open.whole:
            self._postponed.append(event)
            return b""
        match event:
            case TextDelta(text) | RefusalDelta(text):
                return self._text(text)
            case ToolDelta(index, text):
                told = self._more(index, text)
                return told + self._resumed() if self._postponed else told
            case ReasoningDelta(text, opens):
                return self._thinking(text, opens=opens)
            case ReasoningSealed():
                return self._seal(event)
            case ToolStarted():
                return self._call(event)
            case MediaMade(media):
                return self._text(replies.link(media))
            case Cited() if self._open == "text":
                return self._delta({"type": "citations_delta", "citation": replies.citation_words(event)})
            case Finished():
                self._finished = event
            case Started():
                return self._start()
        return b""

    def _resumed(self) -> bytes:
        """What came within a call, again; it waits on if that is not whole yet."""
        postponed, self._postponed = self._postponed, []
        return b"".join([self._event(event) for event in postponed])

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _event("message_start", message=replies.message(self._asked, self._usage))

    # text and thoughts

    def _text(self, text: str) -> bytes:
        if not text:
            return b""
        opened = b"" if self._open == "text" else self._block("text", {"type": "text", "text": ""})
        return opened + _TEXT % (self._index, msgspec.json.encode(text))

    def _thinking(self, text: str, *, opens: bool) -> bytes:
        if not text:
            return b""
        again = self._open != "thinking" or (opens and self._thought)
        opened = self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""}) if again else b""
        self._thought = True
        return opened + _THOUGHT % (self._index, msgspec.json.encode(text))

    def _seal(self, seal: ReasoningSealed) -> bytes:
        """What another family issued proves nothing here, and is left out."""
        ours = seal.family == FAMILY
        if ours and seal.sealed:
            return self._block(None, {"type": "redacted_thinking", "data": seal.sealed}) + self._stop()
        opened = b""
        if self._open != "thinking":
            if not (ours and seal.signature):
                return b""
            opened = self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        return opened + self._close(seal.signature if ours else "")

    # calls

    def _call(self, started: ToolStarted) -> bytes:
        call = self._calls.setdefault(started.index, Told(started.id, started.name))
        call.id, call.name = started.id or call.id, started.name or call.name
        return self._more(started.index, "")

    def _more(self, index: int, text: str) -> bytes:
        call = self._calls[index]
        if self._open is call:
            call.said.append(text)
            return _JSON % (self._index, msgspec.json.encode(text)) if text else b""
        if call.state == "closed":
            return b""
        call.held.append(text)
        if not call.name or (isinstance(self._open, Told) and not self._open.whole):
            return b""
        return self._tool(call)

    def _tool(self, call: Told) -> bytes:
        block = {"type": "tool_use", "id": call.id, "name": call.name or "unknown", "input": {}}
        opened = self._block(call, block)
        call.state = "open"
        held, call.held = "".join(call.held), []
        call.said.append(held)
        return opened + (_JSON % (self._index, msgspec.json.encode(held)) if held else b"")

    def _waiting(self, *, whole: bool) -> bytes:
        """The calls that wait, as blocks; only those that are whole, while more may come."""
        waiting = [call for call in self._calls.values() if call.state == "waiting"]
        return b"".join([self._tool(call) + self._close() for call in waiting if call.whole or not whole])

    # blocks

    def _block(self, kind: Literal["text", "thinking"] | Told | None, block: dict[str, Any]) -> bytes:
        closed = self._start() + self._close()
        if not isinstance(kind, Told):
            closed += self._waiting(whole=True)
        self._index += 1
        self._open, self._thought = kind, False
        return closed + _event("content_block_start", index=self._index, content_block=block)

    def _close(self, signature: str = "") -> bytes:
        if self._open is None:
            return b""
        last = b""
        if self._open == "thinking":
            last = self._delta({"type": "signature_delta", "signature": signature})
        elif isinstance(self._open, Told):
            self._open.state = "closed"
            if not any(self._open.said):
                last = _JSON % (self._index, b'"{}"')
        self._open = None
        return last + self._stop()

    def _stop(self) -> bytes:
        return _event("content_block_stop", index=self._index)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)


def _event(kind: str, **members: Any) -> bytes:
    return sse.event(kind, None, msgspec.json.encode({"type": kind, **members}))


def _piece(kind: str, member: str) -> bytes:
    """The hottest event, ready but for its index and its text."""
    data = f'{{"type":"content_block_delta","index":%d,"delta":{{"type":"{kind}","{member}":%b}}}}'
    return f"event: content_block_delta\ndata: {data}\n\n".encode()


_TEXT, _THOUGHT = _piece("text_delta", "text"), _piece("thinking_delta", "thinking")
_JSON = _piece("input_json_delta", "partial_json")
