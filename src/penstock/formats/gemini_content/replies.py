"""Answers of Gemini models, whole and streamed, read as events."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

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
    ReasoningSealed,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
)
from penstock.canonical.usage import Unit
from penstock.errors import UpstreamError
from penstock.formats._base import StreamReader, answered
from penstock.formats.gemini_content.counting import searches, usage
from penstock.formats.gemini_content.reading import code_text, media_kind
from penstock.formats.gemini_content.refusals import failed
from penstock.formats.gemini_content.wire import (
    FAMILY,
    Answer,
    AnswerPart,
    Candidate,
    FunctionCall,
    Grounding,
    Page,
    Segment,
)
from penstock.wire import sse

FINISHES = {
    "STOP": Finish.STOP, "MAX_TOKENS": Finish.LENGTH,
    "SAFETY": Finish.REFUSED, "RECITATION": Finish.REFUSED, "LANGUAGE": Finish.REFUSED, "BLOCKLIST": Finish.REFUSED,
    "PROHIBITED_CONTENT": Finish.REFUSED, "SPII": Finish.REFUSED, "OTHER": Finish.REFUSED,
    "IMAGE_SAFETY": Finish.REFUSED, "IMAGE_PROHIBITED_CONTENT": Finish.REFUSED, "IMAGE_RECITATION": Finish.REFUSED,
    "IMAGE_OTHER": Finish.REFUSED, "NO_IMAGE": Finish.REFUSED, "MODEL_ARMOR": Finish.REFUSED,
}  # fmt: skip
FAILURES = {
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
}  # fmt: skip
"""The model's own fault: another try may do."""


class Tale:
    """One answer, told piece by piece: what must be remembered from one to the next. Only the first candidate is."""

    def __init__(self) -> None:
        self.ended = False
        self._started = False
        self._calls = 0
        self._key = ""
        self._model = ""
        self._said: list[str] = []
        self._grounding = Grounding()
        self._finish: Finished | None = None

    def events(self, answer: Answer) -> Iterator[Event]:
        if answer.error:
            raise failed(answer.error)
        self._model, self._key = answer.model_version or self._model, answer.response_id or self._key
        if not self._started:
            self._started = True
            yield Started(self._key, self._model)
        candidate = answer.candidates[0] if answer.candidates else None
        if candidate:
            for part in (candidate.content and candidate.content.parts) or ():
                yield from self._part(part)
            self._grounding = candidate.grounding_metadata or self._grounding
            self._take_finish(candidate)
        elif answer.prompt_feedback and (reason := answer.prompt_feedback.block_reason):
            self._finish = Finished(Finish.REFUSED, answer.prompt_feedback.block_reason_message or reason)
            self.ended = True
        if answer.usage_metadata and (counted := usage(answer.usage_metadata, ended=self.ended)):
            yield Counted(counted)

    def end(self) -> Iterator[Event]:
        """What could come only when no more can follow."""
        yield from _cited(self._grounding, "".join(self._said))
        if count := searches(self._grounding, self._model):
            yield Counted({Unit.SEARCH: count})
        if self._finish:
            yield self._finish

    def _take_finish(self, candidate: Candidate) -> None:
        reason = candidate.finish_reason
        if not reason:
            return
        if reason in FAILURES:
            raise UpstreamError(candidate.finish_message or f"The model failed: {reason}.")
        self._finish, self.ended = finished(reason, candidate.finish_message, calls=self._calls > 0), True

    def _part(self, part: AnswerPart) -> Iterator[Event]:
        signature = part.thought_signature or ""
        if part.function_call:
            yield from self._call(part.function_call, signature)
            return
        if part.text and part.thought:
            yield ReasoningDelta(part.text)
        elif part.text:
            yield self._text(part.text)
        elif part.inline_data:
            kind = part.inline_data.mime_type or ""
            yield MediaMade(Media(media_kind(kind), kind, part.inline_data.data))
        elif part.file_data:
            kind = part.file_data.mime_type or ""
            yield MediaMade(Media(media_kind(kind), kind, url=part.file_data.file_uri))
        elif part.executable_code or part.code_execution_result:
            yield self._text(code_text(part.executable_code, part.code_execution_result))
        if signature:
            yield ReasoningSealed(signature, family=FAMILY)

    def _text(self, text: str) -> TextDelta:
        self._said.append(text)
        return TextDelta(text)

    def _call(self, call: FunctionCall, signature: str) -> Iterator[Event]:
        arguments = msgspec.json.encode(call.args or {}).decode()
        id = call.id or made_id(self._key or arguments, self._calls)
        yield ToolStarted(self._calls, id, call.name, False, signature, FAMILY if signature else "")
        yield ToolDelta(self._calls, arguments)
        self._calls += 1


def made_id(key: str, number: int) -> str:
    """A call's id where the vendor gave none: the same for the same answer, another for another one."""
    known = key if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key) else f"{zlib.crc32(key.encode()):08x}"
    return f"call_{known}_{number}"


def finished(reason: str, message: str | None, *, calls: bool) -> Finished:
    """Google says alike that a model is done and that it waits. The commonest reason to refuse needs no words."""
    kind = FINISHES.get(reason, Finish.STOP)
    if kind is Finish.STOP and calls:
        kind = Finish.TOOLS
    return Finished(kind, (message or reason.removeprefix("SAFETY")) if kind is Finish.REFUSED else "")


def _cited(grounding: Grounding, text: str) -> Iterator[Cited]:
    """Google's places are bytes, ours are characters."""
    raw = text.encode()
    pages = [chunk.web or Page() for chunk in grounding.grounding_chunks or ()]
    for support in grounding.grounding_supports or ():
        segment = support.segment or Segment()
        start, end = (len(raw[: at or 0].decode("utf-8", "ignore")) for at in (segment.start_index, segment.end_index))
        for number in support.grounding_chunk_indices or ():
            page = pages[number] if 0 <= number < len(pages) else Page()
            if page.uri:
                yield Cited(page.uri, page.title or "", segment.text or "", start, end)
    if not grounding.grounding_supports:
        yield from (Cited(page.uri, page.title or "") for page in pages if page.uri)


def read(body: bytes) -> list[Event]:
    tale = Tale()
    return [*tale.events(answered(body, Answer)), *tale.end()]


class ContentReader(StreamReader):
    """A stream has no end mark: a count, or another candidate, may follow what tells why one ended."""

    def __init__(self) -> None:
        self._events = sse.Reader()
        self._tale = Tale()

    def feed(self, data: bytes) -> list[Frame]:
        return [self._frame(event) for event in self._events.feed(data)]

    def end(self) -> list[Frame]:
        frames = [self._frame(event) for event in self._events.end()]
        last = list(self._tale.end())
        self.done = self._tale.ended
        return frames + ([Frame(last)] if last else [])

    def _frame(self, event: sse.Event) -> Frame:
        events = [] if event.data == "[DONE]" else list(self._tale.events(answered(event.data, Answer)))
        return Frame(events, event.raw)
