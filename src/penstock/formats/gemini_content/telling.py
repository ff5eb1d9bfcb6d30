"""Answers written for Gemini's clients: whole, as events, or as one JSON array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from penstock.canonical.chat import Part, Reasoning, Text, ToolCall
from penstock.canonical.events import (
    Cited,
    Completion,
    Counted,
    Event,
    Finish,
    Finished,
    Frame,
    MediaMade,
    ReasoningDelta,
    ReasoningSealed,
    RefusalDelta,
    TextDelta,
    ToolDelta,
    ToolStarted,
    collect,
)
from penstock.canonical.usage import Usage
from penstock.formats._base import Asked, StreamWriter
from penstock.formats.gemini_content.counting import written_usage
from penstock.formats.gemini_content.wire import FAMILY
from penstock.formats.gemini_content.writing import model_parts
from penstock.wire import sse

WORDS = {Finish.LENGTH: "MAX_TOKENS", Finish.CONTEXT: "MAX_TOKENS", Finish.REFUSED: "SAFETY"}


def grounding(citations: Sequence[Cited], text: str) -> dict[str, Any]:
    if not citations:
        return {}
    urls = list(dict.fromkeys(cited.url for cited in citations))
    titles = {cited.url: cited.title for cited in citations if cited.title}
    chunks = [{"web": {"uri": url, "title": titles.get(url, url)}} for url in urls]
    supports = [
        {"segment": _segment(cited, text), "groundingChunkIndices": [urls.index(cited.url)]}
        for cited in citations
        if cited.end is not None
    ]
    return {"groundingChunks": chunks} | ({"groundingSupports": supports} if supports else {})


def _segment(cited: Cited, text: str) -> dict[str, Any]:
    start, end = (len(text[:place].encode()) for place in (cited.start or 0, cited.end or 0))
    return {"startIndex": start, "endIndex": end, "text": cited.text or text[cited.start or 0 : cited.end]}


def last_candidate(done: Completion, text: str) -> dict[str, Any]:
    """Why it stopped, and where its words are from."""
    made: dict[str, Any] = {"finishReason": WORDS.get(done.finish, "STOP"), "index": 0}
    made |= {"finishMessage": done.words} if done.finish is Finish.REFUSED and done.words else {}
    found = grounding(done.citations, text)
    return made | ({"groundingMetadata": found} if found else {})


def piece(parts: Sequence[Mapping[str, Any]], asked: Asked, candidate: Mapping[str, Any], counted: Usage) -> bytes:
    content = {"content": {"role": "model", "parts": parts}} if parts else {}
    body: dict[str, Any] = {"candidates": [{**content, **candidate}]}
    body |= {"usageMetadata": told} if (told := written_usage(counted)) else {}
    return msgspec.json.encode(body | {"modelVersion": asked.model, "responseId": asked.id})


def write(events: Sequence[Event], asked: Asked) -> bytes:
    done = collect(events)
    text = "".join(part.text for part in done.content if isinstance(part, Text))
    return piece(answer_parts(done.content), asked, last_candidate(done, text), done.usage)


def answer_parts(content: Sequence[Part]) -> list[dict[str, Any]]:
    """Thoughts are shown whosever they are; their signatures are of use to Google alone."""
    own = [
        msgspec.structs.replace(part, signature=part.signature if part.family == FAMILY else "", family=FAMILY)
        if isinstance(part, Reasoning)
        else part
        for part in content
    ]
    return model_parts(own, {})


class ContentWriter(StreamWriter):
    """A frame is a piece of its own; calls go whole, when no more of them can come, with the last one."""

    before = b"data: "
    after = b"\n\n"
    closing = b""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._calls: dict[int, tuple[ToolStarted, list[str]]] = {}
        self._said: list[str] = []
        self._rest = Completion()

    def write(self, frame: Frame) -> bytes:
        parts = answer_parts(list(self._parts(frame.events)))
        return self._framed(piece(parts, self._asked, {"index": 0}, {})) if parts else b""

    def end(self) -> bytes:
        calls = [
            ToolCall(call.id, call.name, "".join(said), call.custom, call.signature, call.family)
            for call, said in self._calls.values()
        ]
        last = last_candidate(self._rest, "".join(self._said))
        return self._framed(piece(answer_parts(calls), self._asked, last, self._rest.usage)) + self.closing

    def _framed(self, data: bytes) -> bytes:
        return self.before + data + self.after

    def _parts(self, events: Sequence[Event]) -> Iterator[Part]:
        for event in events:
            match event:
                case TextDelta(text) | RefusalDelta(text):
                    self._said.append(text)
                    yield Text(text)
                case ReasoningDelta(text):
                    yield Reasoning(text)
                case ReasoningSealed(signature, _, family):
                    yield Reasoning("", signature, family=family)
                case MediaMade(media):
                    yield media
                case ToolStarted(index):
                    self._calls[index] = (event, [])
                case ToolDelta(index, text):
                    self._calls[index][1].append(text)
                case Cited():
                    self._rest.citations.append(event)
                case Counted(counted):
                    self._rest.usage |= counted
                case Finished(reason, words):
                    self._rest.finish, self._rest.words = reason, words


class _Array:
    """Pieces of one JSON array: a comma before each but the first."""

    closing = b"]"

    def __init__(self) -> None:
        self._begun = False

    def item(self, data: bytes) -> bytes:
        lead, self._begun = (b",\r\n" if self._begun else b"["), True
        return lead + data

    def close(self) -> bytes:
        return b"]" if self._begun else b"[]"


class ArrayWriter(ContentWriter):
    """For clients that did not ask for events: the pieces as one JSON array."""

    closing = b"]"

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._array = _Array()

    def _framed(self, data: bytes) -> bytes:
        return self._array.item(data)


class ArrayPassing(StreamWriter):
    """The vendor's own pieces, taken out of its events."""

    def __init__(self) -> None:
        self._events = sse.Reader()
        self._array = _Array()

    def write(self, frame: Frame) -> bytes:
        return b"".join(self._array.item(event.data.encode()) for event in self._events.feed(frame.raw))

    def end(self) -> bytes:
        return b"".join(self._array.item(event.data.encode()) for event in self._events.end()) + self._array.close()
