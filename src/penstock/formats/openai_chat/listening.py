"""Answers of a vendor, whole and streamed, as events. A whole one is read as a stream of one chunk.

What streams do: fragments of a call without index, with id and name repeated, with the name in pieces, a fresh id on
each; `stop` though tools were called; usage in a chunk of its own, beside the last choice, or within it; two ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    MediaMade,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
)
from penstock.errors import CallerError, PenstockError, UpstreamBusy, UpstreamError
from penstock.formats._base import StreamReader, answered, of_data_url
from penstock.formats.openai_chat import chunks as w
from penstock.formats.openai_chat import usage
from penstock.formats.openai_chat.faults import fault
from penstock.ids import new_id
from penstock.wire import sse

FINISHES: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOLS,
    "function_call": Finish.TOOLS,
    "content_filter": Finish.REFUSED,
    "model_length": Finish.CONTEXT,  # Mistral
    "sensitive": Finish.REFUSED,  # Zhipu
}
"""An unknown reason is a stop."""
BREAKS: Mapping[str, type[PenstockError]] = {
    "error": UpstreamError,  # OpenRouter, Mistral
    "network_error": UpstreamError,  # Zhipu
    "insufficient_system_resource": UpstreamBusy,  # DeepSeek
}
"""Reasons that are none: the answer broke off."""


def read(body: bytes) -> list[Event]:
    chunk: w.Chunk = answered(body, w.Chunk)
    if not (chunk.choices or chunk.data or chunk.error):
        raise UpstreamError("The upstream's answer holds no choice.")
    answer = Answer()
    return [*answer.take(chunk), *answer.end()]


class Reader(StreamReader):
    def __init__(self) -> None:
        self._sse = sse.Reader()
        self._answer = Answer()

    def feed(self, data: bytes) -> list[Frame]:
        return [frame for event in self._sse.feed(data) for frame in self._read(event)]

    def end(self) -> list[Frame]:
        return [frame for event in self._sse.end() for frame in self._read(event)]

    def _read(self, event: sse.Event) -> Iterator[Frame]:
        data = event.data.strip()
        if self.done or not data:
            return
        if data.startswith("[DONE]"):
            self.done = True
            yield Frame([], event.raw)
            return
        chunk: w.Chunk = answered(data, w.Chunk)
        if event.name == "error" and not chunk.error:
            raise fault(answered(data, Any))
        yield Frame(list(self._answer.take(chunk)), event.raw)


class _Heard:
    """One call of a tool, as far as it was heard. It is told once its name must be whole: when arguments come."""

    def __init__(self, index: int, call: w.Call) -> None:
        self.index, self.id, self.name, self.custom = index, call.id or "", "", call.custom is not None
        self.pieces: list[str] = []
        self.signature = ""
        self.told = False

    def named(self, piece: str) -> None:
        """Some repeat the name, some send it in pieces, some send ever more of it."""
        if self.told or piece == self.name:
            return
        self.name = piece if piece.startswith(self.name) else self.name + piece

    def whole(self) -> bool:
        """Whether the arguments so far are."""
        try:
            msgspec.json.decode("".join(self.pieces))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def start(self) -> ToolStarted:
        self.told = True
        family = "google" if self.signature else ""
        return ToolStarted(self.index, self.id or f"call_{new_id()}", self.name, self.custom, self.signature, family)


class Answer:
    """The first choice of an answer, chunk by chunk."""

    def __init__(self) -> None:
        self._started = self._finished = False
        self._calls: list[_Heard] = []
        self._at: dict[int | str, _Heard] = {}
        """By the vendor's index, the latest of each."""

    def take(self, chunk: w.Chunk) -> Iterator[Event]:
        if chunk.error:
            raise fault(chunk.error)
        if not self._started:
            self._started = True
            yield Started(str(chunk.id or ""), chunk.model or "")
        for choice in chunk.choices or ():
            if not choice.index:
                yield from self._choice(choice)
        for picture in chunk.data or ():
            if made := _made(picture.url or "", picture.b64_json):
                yield made
        counted = chunk.usage or next((choice.usage for choice in chunk.choices or () if choice.usage), None)
        if counted and (units := usage.read(counted)):
            yield Counted(units)

    def end(self) -> Iterator[Event]:
        """The answer is whole, though no reason came."""
        yield from self._finish("stop")

    def _choice(self, choice: w.Choice) -> Iterator[Event]:
        said = choice.delta or choice.message
        if said and not self._finished:
            yield from self._said(said)
        if choice.finish_reason:
            yield from self._finish(choice.finish_reason)

    def _said(self, said: w.Said) -> Iterator[Event]:
        details = said.reasoning_details or ()
        thought = said.reasoning_content or said.reasoning or "".join(detail.text or "" for detail in details)
        if isinstance(thought, str) and thought:
            yield ReasoningDelta(thought)
        if isinstance(said.content, str):
            if said.content:
                yield TextDelta(said.content)
        else:
            yield from _pieces(said.content or ())
        if said.refusal:
            yield RefusalDelta(said.refusal)
        for image in said.images or ():
            if made := _made(image.image_url.url):
                yield made
        if said.audio and said.audio.data:
            yield MediaMade(Media("audio", "audio/wav", said.audio.data))
        for annotation in said.annotations or ():
            if cited := annotation.url_citation:
                yield Cited(cited.url, cited.title or "", start=cited.start_index, end=cited.end_index)
        for call in said.tool_calls or ():
            yield from self._called(self._known(call), call.function or call.custom or w.Called())
        if said.function_call:
            legacy = self._at.get("legacy") or self._new("legacy", w.Call())
            yield from self._called(legacy, said.function_call)

    def _known(self, call: w.Call) -> _Heard:
        """Which call a fragment is of: the vendor's index tells, or a new id, or a name that comes without either."""
        known = self._at.get(call.index) if call.index is not None else self._by_id(call.id) or self._last()
        if known is None or self._another(known, call):
            known = self._new(len(self._calls) if call.index is None else call.index, call)
        known.id = known.id or call.id or ""
        if call.extra_content and call.extra_content.google:
            known.signature = known.signature or call.extra_content.google.thought_signature or ""
        return known

    def _another(self, known: _Heard, call: w.Call) -> bool:
        """Some give every call the index 0, some give every fragment a fresh id: whether the arguments so far are whole
        tells which it is."""
        piece = call.function or call.custom or w.Called()
        if call.index is None:
            return call.id != known.id if call.id else bool(piece.name and known.told)
        fresh = bool(call.id and known.id and call.id != known.id)
        return fresh and known.whole() and bool(piece.text() or piece.name not in (None, "", known.name))

    def _by_id(self, id: str | None) -> _Heard | None:
        return next((call for call in self._calls if id and call.id == id), None)

    def _last(self) -> _Heard | None:
        return self._calls[-1] if self._calls else None

    def _new(self, key: int | str, call: w.Call) -> _Heard:
        heard = self._at[key] = _Heard(len(self._calls), call)
        self._calls.append(heard)
        return heard

    def _called(self, heard: _Heard, piece: w.Called) -> Iterator[Event]:
        heard.named(piece.name or "")
        text = piece.text()
        if text or heard.index:
            yield from self._untold(heard.index + bool(text))
        if text:
            heard.pieces.append(text)
            yield ToolDelta(heard.index, text)

    def _untold(self, before: int) -> Iterator[Event]:
        return (call.start() for call in self._calls[:before] if not call.told)

    def _finish(self, reason: str) -> Iterator[Event]:
        if reason in BREAKS:
            raise BREAKS[reason]("The upstream broke the answer off.")
        if self._finished:
            return
        yield from self._untold(len(self._calls))
        self._finished = True
        finish = FINISHES.get(reason, Finish.STOP)
        yield Finished(Finish.TOOLS if finish is Finish.STOP and self._calls else finish)


def _pieces(pieces: Any) -> Iterator[Event]:
    for piece in pieces:
        if piece.type == "thinking":
            within = piece.thinking
            thought = within if isinstance(within, str) else "".join(inner.text or "" for inner in within or ())
            if thought:
                yield ReasoningDelta(thought)
        elif piece.text:
            yield TextDelta(piece.text)


def _made(url: str, data: str | None = None) -> MediaMade | None:
    if data:
        return MediaMade(Media("image", "image/png", data))
    if found := _inline(url):
        return MediaMade(Media("image", found[0] or "image/png", found[1]))
    return MediaMade(Media("image", url=url)) if url else None


def _inline(url: str) -> tuple[str, str] | None:
    try:
        return of_data_url(url)
    except CallerError:
        raise UpstreamError("The upstream's answer holds a picture that can't be read.") from None
