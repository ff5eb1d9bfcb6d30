"""Answers of ours to clients of this format, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from penstock.canonical.chat import Media, Reasoning, Refusal, Text, ToolCall
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
    RefusalDelta,
    TextDelta,
    ToolDelta,
    ToolStarted,
    collect,
)
from penstock.canonical.usage import Unit
from penstock.formats._base import Asked, StreamWriter, data_url
from penstock.formats.openai_chat import usage
from penstock.formats.openai_chat.freetext import FreeText
from penstock.formats.openai_chat.telling import signed

Json = dict[str, Any]

FINISHES = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.CONTEXT: "length",
    Finish.TOOLS: "tool_calls",
    Finish.REFUSED: "content_filter",
    Finish.PAUSED: "stop",
}
DONE = b"data: [DONE]\n\n"


def written(events: Sequence[Event], asked: Asked) -> bytes:
    free = FreeText(asked.options.get("custom", ()))
    done = collect([*(told for event in events for told in free.of(event)), *free.end()])
    body: Json = {
        "id": f"chatcmpl-{asked.id}",
        "object": "chat.completion",
        "created": asked.at,
        "model": asked.model,
        "choices": [
            {
                "index": 0,
                "message": _message(done, asked),
                "logprobs": None,
                "finish_reason": _finish(done.finish, asked),
            }
        ],
    }
    if counted := usage.written(done.usage):
        body["usage"] = counted
    return msgspec.json.encode(body)


def _message(done: Completion, asked: Asked) -> Json:
    said: Json = {"role": "assistant", "content": _content(done), "refusal": None}
    if refused := "".join(part.text for part in done.content if isinstance(part, Refusal)):
        said["refusal"] = refused
    if thoughts := "\n\n".join(part.text for part in done.content if isinstance(part, Reasoning) and part.text):
        said["reasoning_content"] = thoughts
    if done.citations:
        said["annotations"] = [_annotation(cited) for cited in done.citations]
    for part in done.content:
        if isinstance(part, Media) and part.kind == "audio":
            said["audio"] = _sound(part, asked)
    calls = [part for part in done.content if isinstance(part, ToolCall)]
    if calls and asked.options.get("functions"):
        said["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        said["tool_calls"] = [_call(call) for call in calls]
    return said


def _content(done: Completion) -> str | None:
    words = "".join(_words(part) for part in done.content if isinstance(part, Text | Media))
    return words or (None if any(isinstance(part, ToolCall | Refusal) for part in done.content) else "")


def _words(part: Text | Media) -> str:
    return part.text if isinstance(part, Text) else _picture(part)


def _picture(media: Media) -> str:
    """Pictures stand in the text, as Markdown: so any client shows them."""
    if media.kind == "audio":
        return ""
    title = "image" if media.kind == "image" else "media"
    return f"![{title}]({media.url or data_url(media.media_type, media.data or '')})\n"


def _sound(media: Media, asked: Asked) -> Json:
    return {"id": f"audio_{asked.id}", "data": media.data or "", "expires_at": asked.at, "transcript": ""}


def _call(call: ToolCall) -> Json:
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    said: Json = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return said | (signed(call.signature, call.family) if call.signature and call.family == "google" else {})


def _annotation(cited: Cited) -> Json:
    said: Json = {"url": cited.url, "title": cited.title}
    said |= {"start_index": cited.start or 0, "end_index": cited.end or 0}
    return {"type": "url_citation", "url_citation": said}


def _finish(finish: Finish, asked: Asked) -> str:
    if finish is Finish.TOOLS and asked.options.get("functions"):
        return "function_call"
    return FINISHES[finish]


class Writer(StreamWriter):
    """Role, pieces, one chunk with the reason, one with the usage where it was asked for, and the end mark."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._counts = bool(asked.options.get("include_usage"))
        self._legacy = bool(asked.options.get("functions"))
        self._free = FreeText(asked.options["custom"]) if asked.options.get("custom") else None
        same = {
            "id": f"chatcmpl-{asked.id}",
            "object": "chat.completion.chunk",
            "created": asked.at,
            "model": asked.model,
        }
        self._head = b"data: " + msgspec.json.encode(same)[:-1] + b',"choices":['
        self._tail = (b',"usage":null' if self._counts else b"") + b"}\n\n"
        self._begun = self._finished = self._thought = False
        self._silent: dict[int, bool] = {}
        """Calls without arguments so far, and whether each takes free text."""
        self._custom: set[int] = set()
        self._usage: dict[Unit, float] = {}

    def write(self, frame: Frame) -> bytes:
        events: Iterable[Event] = frame.events
        if self._free:
            events = [told for event in events for told in self._free.of(event)]
        return b"".join([piece for event in events for piece in self._pieces(event)])

    def end(self) -> bytes:
        closing = [piece for told in self._free.end() for piece in self._pieces(told)] if self._free else []
        if not self._finished:
            closing += self._close(Finish.TOOLS if self._silent else Finish.STOP)
        if self._counts and (counted := usage.written(self._usage)):
            closing.append(self._head + b'],"usage":' + msgspec.json.encode(counted) + b"}\n\n")
        return b"".join(closing) + DONE

    def _pieces(self, event: Event) -> Iterator[bytes]:
        match event:
            case TextDelta(text):
                yield from self._delta({"content": text})
            case ReasoningDelta(text, opens):
                yield from self._delta({"reasoning_content": f"\n\n{text}" if opens and self._thought else text})
                self._thought = True
            case RefusalDelta(text):
                yield from self._delta({"refusal": text})
            case ToolStarted():
                yield from self._delta(self._started(event), called=True)
            case ToolDelta(index, text) if text:
                self._silent.pop(index, None)
                yield from self._delta(self._argued(index, text), called=True)
            case MediaMade(media) if media.kind == "audio":
                yield from self._delta({"audio": _sound(media, self._asked)})
            case MediaMade(media):
                yield from self._delta({"content": _picture(media)})
            case Cited():
                yield from self._delta({"annotations": [_annotation(event)]})
            case Counted(counted):
                self._usage |= counted
            case Finished(reason) if not self._finished:
                yield from self._close(reason)

    def _started(self, call: ToolStarted) -> Json:
        self._silent[call.index] = call.custom
        if call.custom:
            self._custom.add(call.index)
        if self._legacy:
            return {"function_call": {"name": call.name, "arguments": ""}} if call.index == 0 else {}
        whole = ToolCall(call.id, call.name, "", call.custom, call.signature, call.family)
        return {"tool_calls": [{"index": call.index, **_call(whole)}]}

    def _argued(self, index: int, text: str) -> Json:
        if self._legacy:
            return {"function_call": {"arguments": text}} if index == 0 else {}
        if index in self._custom:
            return {"tool_calls": [{"index": index, "custom": {"input": text}}]}
        return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}

    def _close(self, reason: Finish) -> Iterator[bytes]:
        for index, free in self._silent.items():
            if not free:
                yield from self._delta(self._argued(index, "{}"), called=True)
        yield from self._begin(b"null" if reason is Finish.TOOLS else b'""')
        self._finished = True
        yield self._chunk(b"{}", b'"%b"' % _finish(reason, self._asked).encode())

    def _delta(self, delta: Json, *, called: bool = False) -> Iterator[bytes]:
        if not delta:
            return
        yield from self._begin(b"null" if called else b'""')
        yield self._chunk(msgspec.json.encode(delta))

    def _begin(self, content: bytes) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield self._chunk(b'{"role":"assistant","content":%b}' % content)

    def _chunk(self, delta: bytes, finish: bytes = b"null") -> bytes:
        choice = b'{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]' % (delta, finish)
        return self._head + choice + self._tail
