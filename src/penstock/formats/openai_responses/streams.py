"""Streams of the responses API: every event has a type and a number; the last ones repeat all that was said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.canonical.chat import Media
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
from penstock.errors import PenstockError
from penstock.formats._base import Asked, StreamReader, StreamWriter, answered
from penstock.formats.openai_chat.freetext import FreeText
from penstock.formats.openai_responses import replies
from penstock.wire import sse

JSON = msgspec.json.Encoder()
ENDS = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}

PIECES = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_summary_text": "summary",
    "reasoning_text": "thought",
    "function_call_arguments": "arguments",
    "custom_tool_call_input": "arguments",
}
"""What comes in deltas and is repeated when it is done."""

# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Said(msgspec.Struct):
    """Any event."""

    type: str = ""
    output_index: int | None = None
    item_id: str | None = None
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    text: Any = None
    arguments: Any = None
    input: Any = None
    refusal: Any = None
    item: replies.ItemSaid | None = None
    annotation: Any = None
    response: replies.Whole | None = None
    error: replies.ErrorSaid | None = None
    code: str | int | None = None
    message: str | None = None

    @property
    def place(self) -> replies.Place:
        """Which item it is about: some relays name only its id."""
        if self.output_index is not None:
            return self.output_index
        return self.item_id or (self.item.id if self.item else None) or 0


class Skimmed(msgspec.Struct):
    """Any event, without what only repeats."""

    type: str = ""
    delta: Any = None
    response: replies.End | None = None
    error: replies.ErrorSaid | None = None
    code: str | int | None = None
    message: str | None = None


SKIMMED = msgspec.json.Decoder(Skimmed)


class Failing(StreamReader):
    """What was read before a failure is told first; the failure is raised when more is asked for."""

    def __init__(self) -> None:
        self._events = sse.Reader()
        self._failure: PenstockError | None = None

    def feed(self, data: bytes) -> list[Frame]:
        return self._all(self._events.feed(data))

    def end(self) -> list[Frame]:
        return self._all(self._events.end())

    def _all(self, found: list[sse.Event]) -> list[Frame]:
        if self._failure is not None:
            raise self._failure
        frames: list[Frame] = []
        try:
            self._read(found, frames)
        except PenstockError as failure:
            if not frames:
                raise
            self._failure = failure
        return frames

    def _read(self, found: list[sse.Event], frames: list[Frame]) -> None:
        raise NotImplementedError


class Reader(Failing):
    def __init__(self) -> None:
        super().__init__()
        self._telling = replies.Telling()

    def _read(self, found: list[sse.Event], frames: list[Frame]) -> None:
        for event in found:
            if event.data == "[DONE]":  # which some relays add
                self.done = True
            elif events := self._events_of(answered(event.data, Said)):
                frames.append(Frame(events, event.raw))

    def _events_of(self, said: Said) -> list[Event]:
        what, _, how = said.type.removeprefix("response.").rpartition(".")
        if what in PIECES:
            kind, number = PIECES[what], said.summary_index or said.content_index
            if how == "delta":
                return self._telling.piece(said.place, kind, number, said.delta)
            return self._telling.part(
                said.place, kind, number, said.text or said.refusal or said.arguments or said.input
            )
        if said.type in ENDS and said.response is not None:
            return self._end(said.response)
        match said.type:
            case "response.created" if said.response is not None:
                return [Started(said.response.id or "", said.response.model or "")]
            case "response.output_item.added" if said.item is not None:
                return self._telling.begun(said.place, said.item)
            case "response.output_item.done" if said.item is not None:
                return self._telling.item(said.place, said.item)
            case "response.output_text.annotation.added":
                return self._telling.cited(said.place, said.content_index, said.annotation)
        if said.type == "error" or said.error is not None:
            raise replies.failure(said.error or replies.ErrorSaid(said.code, said.message))
        return []

    def _end(self, response: replies.Whole) -> list[Event]:
        replies.check(response)
        self.done = True
        told = self._telling.items(response.output) if self._telling.silent else []
        return [*told, *replies.ended(response, calls=bool(self._telling.calls))]


class Skimmer(Failing):
    """A portion is a frame."""

    def _read(self, found: list[sse.Event], frames: list[Frame]) -> None:
        grown = 0.0
        events: list[Event] = []
        raw: list[bytes] = []
        try:
            for event in found:
                said = _skimmed(event.data)
                if said is not None and said.type in ENDS and said.response is not None:
                    replies.check(said.response)
                    events += replies.ended(said.response, calls=False)
                    self.done = True
                elif said is not None and (said.error is not None or said.type == "error"):
                    raise replies.failure(said.error or replies.ErrorSaid(said.code, said.message))
                elif said is not None and said.delta.__class__ is str and not said.type.startswith("response.audio"):
                    grown += guessed_tokens(said.delta)
                raw.append(event.raw)
        finally:
            if raw:
                frames.append(Frame([Grew(grown), *events] if grown else events, b"".join(raw)))


def _skimmed(data: str) -> Skimmed | None:
    """None for `[DONE]`, which some relays add."""
    try:
        return SKIMMED.decode(data)
    except msgspec.DecodeError:
        return None if data == "[DONE]" else answered(data, Skimmed)


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Item:
    """An item of the answer while it grows: `said` is its own JSON, `pieces` what it is being told."""

    __slots__ = ("pieces", "place", "said")

    def __init__(self, place: int, said: dict[str, Any]) -> None:
        self.place, self.said = place, said
        self.pieces: list[str] = []


class Answer:
    """From events to items, each opened, told, and closed; `streamed` is what that is as events of this API.

    At most one message or train of thought is open at a time; calls stay open until the end, since their fragments may
    alternate.
    """

    def __init__(self, asked: Asked, *, streams: bool = False) -> None:
        self._asked = asked
        self._streams = streams
        self._number = 0
        self._told: list[bytes] = []
        self._items: list[Item] = []
        self._open: Item | None = None  # a message, or reasoning
        self._part: dict[str, Any] | None = None  # of what is open
        self._calls: dict[int, Item] = {}
        self._text: tuple[Item, dict[str, Any], int, int] | None = None  # the last part of text, its number, its start
        self._length = 0
        self._usage: dict[Unit, float] = {}
        self._finish = Finish.STOP
        self._begun = False
        custom = replies.custom_tools(asked)
        self._free = FreeText(custom) if custom else None

    def take(self, event: Event) -> None:
        self._begin()
        for told in self._free.of(event) if self._free else (event,):
            self._take(told)

    def _take(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._speak("output_text", text)
                self._length += len(text)
            case RefusalDelta(text):
                self._speak("refusal", text)
            case ReasoningDelta(text, opens):
                self._think(text, opens=opens)
            case ReasoningSealed():
                self._seal(event)
            case ToolStarted():
                self._call(event)
            case ToolDelta(index, text):
                self._argue(self._calls[index], text)
            case MediaMade(media):
                self._show(media)
            case Cited():
                self._cite(event)
            case Counted(usage):
                self._usage |= usage
            case Finished(reason):
                self._finish = reason

    def streamed(self) -> bytes:
        """What was told since the last time."""
        told = b"".join(self._told)
        self._told.clear()
        return told

    def close(self) -> dict[str, Any]:
        """Closes what is open; the whole response."""
        self._begin()
        for told in self._free.end() if self._free else ():
            self._take(told)
        incomplete = {Finish.LENGTH: "max_output_tokens", Finish.CONTEXT: "max_output_tokens"}
        reason = incomplete.get(self._finish, "content_filter" if self._finish is Finish.REFUSED else None)
        status = "incomplete" if reason else "completed"
        self._close(status)
        for call in self._calls.values():
            self._close_call(call, status)
        output = [item.said for item in self._items]
        details = {"reason": reason} if reason else None
        usage = replies.usage_object(self._usage)
        done = replies.response(self._asked, status, output, incomplete_details=details, usage=usage)
        self._say(f"response.{status}", response=done)
        return done

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            begun = replies.response(self._asked, "in_progress") if self._streams else {}
            self._say("response.created", response=begun)
            self._say("response.in_progress", response=begun)

    def _say(self, type: str, **fields: Any) -> None:
        if self._streams:
            data = JSON.encode({"type": type, "sequence_number": self._number, **fields})
            self._told.append(b"event: %b\ndata: %b\n\n" % (type.encode(), data))
            self._number += 1

    # items

    def _add(self, prefix: str, kind: str, **fields: Any) -> Item:
        place = len(self._items)
        said = {"id": f"{prefix}_{self._asked.id}{place:02x}", "type": kind, **fields}
        item = Item(place, said)
        self._items.append(item)
        self._say("response.output_item.added", output_index=place, item=said)
        return item

    def _done(self, item: Item, status: str) -> None:
        item.said["status"] = status
        self._say("response.output_item.done", output_index=item.place, item=item.said)

    def _tell(self, item: Item, type: str, **fields: Any) -> None:
        self._say(type, item_id=item.said["id"], output_index=item.place, **fields)

    def _opened(self, kind: str) -> Item:
        """What is open, if it is of this kind; else a new one."""
        if self._open is None or self._open.said["type"] != kind:
            self._close("completed")
            if kind == "message":
                self._open = self._add("msg", kind, status="in_progress", role="assistant", content=[])
            else:
                self._open = self._add("rs", kind, status="in_progress", summary=[])
        return self._open

    def _close(self, status: str) -> None:
        item, self._open = self._open, None
        if item is not None:
            self._close_part(item)
            self._done(item, status)

    # messages

    def _speak(self, kind: str, text: str) -> None:
        if not text:
            return
        item = self._opened("message")
        if self._part is None or self._part["type"] != kind:
            self._close_part(item)
            self._open_part(item, kind)
        item.pieces.append(text)
        number = len(item.said["content"]) - 1
        if kind == "output_text":
            self._tell(item, "response.output_text.delta", content_index=number, delta=text, logprobs=[])
        else:
            self._tell(item, "response.refusal.delta", content_index=number, delta=text)

    def _open_part(self, item: Item, kind: str) -> None:
        if kind == "output_text":
            part: dict[str, Any] = {"type": kind, "text": "", "annotations": [], "logprobs": []}
        else:
            part = {"type": kind, "refusal": ""}
        item.said["content"].append(part)
        number = len(item.said["content"]) - 1
        if kind == "output_text":
            self._text = (item, part, number, self._length)
        self._part = part
        self._tell(item, "response.content_part.added", content_index=number, part=part)

    def _close_part(self, item: Item) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        text = "".join(item.pieces)
        item.pieces.clear()
        if part["type"] == "summary_text":
            self._close_thought(item, part, text)
            return
        number = len(item.said["content"]) - 1
        if part["type"] == "output_text":
            part["text"] = text
            self._tell(item, "response.output_text.done", content_index=number, text=text, logprobs=[])
        else:
            part["refusal"] = text
            self._tell(item, "response.refusal.done", content_index=number, refusal=text)
        self._tell(item, "response.content_part.done", content_index=number, part=part)

    def _cite(self, cited: Cited) -> None:
        """Citations count in all of the text, annotations in their own part; without a place they are of all of it."""
        if self._text is None:
            return
        item, part, number, begins = self._text
        start = max(0, (cited.start or 0) - begins)
        end = max(start, (self._length if cited.end is None else cited.end) - begins)
        annotation = {
            "type": "url_citation",
            "url": cited.url,
            "title": cited.title,
            "start_index": start,
            "end_index": end,
        }
        place = len(part["annotations"])
        part["annotations"].append(annotation)
        added = "response.output_text.annotation.added"
        self._tell(item, added, content_index=number, annotation_index=place, annotation=annotation)

    # thoughts

    def _think(self, text: str, *, opens: bool) -> None:
        if not text:
            return
        item = self._opened("reasoning")
        if opens and self._part is not None:
            self._close_part(item)
        if self._part is None:
            self._part = {"type": "summary_text", "text": ""}
            item.said["summary"].append(self._part)
            number = len(item.said["summary"]) - 1
            self._tell(item, "response.reasoning_summary_part.added", summary_index=number, part=self._part)
        item.pieces.append(text)
        number = len(item.said["summary"]) - 1
        self._tell(item, "response.reasoning_summary_text.delta", summary_index=number, delta=text)

    def _close_thought(self, item: Item, part: dict[str, Any], text: str) -> None:
        part["text"] = text
        number = len(item.said["summary"]) - 1
        self._tell(item, "response.reasoning_summary_text.done", summary_index=number, text=text)
        self._tell(item, "response.reasoning_summary_part.done", summary_index=number, part=part)

    def _seal(self, seal: ReasoningSealed) -> None:
        """What another family sealed, nobody who speaks this format could use."""
        thinks = self._open is not None and self._open.said["type"] == "reasoning"
        if seal.sealed and seal.family == replies.FAMILY:
            self._opened("reasoning").said["encrypted_content"] = seal.sealed
            thinks = True
        if thinks:
            self._close("completed")

    # calls

    def _call(self, call: ToolStarted) -> None:
        self._close("completed")
        known = {"status": "in_progress", "call_id": call.id or f"call_{self._asked.id}{call.index}", "name": call.name}
        if call.custom:
            self._calls[call.index] = self._add("ctc", "custom_tool_call", **known, input="")
        else:
            self._calls[call.index] = self._add("fc", "function_call", **known, arguments="")

    def _argue(self, item: Item, text: str) -> None:
        if text:
            item.pieces.append(text)
            self._tell(item, f"response.{_arguments(item)}.delta", delta=text)

    def _close_call(self, item: Item, status: str) -> None:
        text = "".join(item.pieces)
        field = "input" if item.said["type"] == "custom_tool_call" else "arguments"
        item.said[field] = text if field == "input" else text or "{}"
        self._tell(item, f"response.{_arguments(item)}.done", **{field: item.said[field]})
        self._done(item, status)

    # pictures

    def _show(self, media: Media) -> None:
        """A picture is what its tool made; one that is only linked is told in words. Sound has no place here."""
        if media.kind == "image" and media.data:
            self._close("completed")
            form = media.media_type.partition("/")[2] or "png"
            item = self._add("ig", "image_generation_call", status="in_progress", result=None)
            self._tell(item, "response.image_generation_call.in_progress")
            self._tell(item, "response.image_generation_call.generating")
            self._tell(item, "response.image_generation_call.completed")
            item.said |= {"result": media.data, "output_format": form}
            self._done(item, "completed")
        elif media.url:
            words = f"![image]({media.url})" if media.kind == "image" else media.url
            self._speak("output_text", words)
            self._length += len(words)


def _arguments(item: Item) -> str:
    return "custom_tool_call_input" if item.said["type"] == "custom_tool_call" else "function_call_arguments"


class Writer(StreamWriter):
    def __init__(self, asked: Asked) -> None:
        self._answer = Answer(asked, streams=True)

    def write(self, frame: Frame) -> bytes:
        return self._all(frame.events)

    def end(self) -> bytes:
        self._answer.close()
        return self._answer.streamed()

    def _all(self, events: Iterable[Event]) -> bytes:
        for event in events:
            self._answer.take(event)
        return self._answer.streamed()
