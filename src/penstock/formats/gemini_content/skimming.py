"""Answers that are handed on as they are: only what the meter needs is read."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.canonical.events import Counted, Event, Finish, Finished, Frame, Grew, guessed_tokens
from penstock.canonical.usage import Unit
from penstock.errors import UpstreamError
from penstock.formats._base import StreamReader, answered
from penstock.formats.gemini_content.counting import searches, usage
from penstock.formats.gemini_content.refusals import failed
from penstock.formats.gemini_content.replies import finished
from penstock.formats.gemini_content.wire import Failure, Feedback, Grounding, Wire, WireUsage
from penstock.wire import sse

PICTURE_TOKENS = 1290
"""Of a picture that a model made, where nobody counted."""


class SkimPart(Wire):
    text: str | None = None
    function_call: msgspec.Raw = msgspec.Raw()
    inline_data: msgspec.Raw = msgspec.Raw()


class SkimContent(Wire):
    parts: list[SkimPart] | None = None


class SkimCandidate(Wire):
    content: SkimContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    grounding_metadata: msgspec.Raw = msgspec.Raw()


class Skim(Wire):
    candidates: list[SkimCandidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    error: Failure | None = None


SKIMS = msgspec.json.Decoder(Skim)


class Skimmed:
    """What the meter needs of an answer, of all its candidates together."""

    def __init__(self) -> None:
        self.finish: Finished | None = None
        self._calls = False
        self._searches = 0

    def events(self, datas: Sequence[bytes | str]) -> list[Event]:
        """Of several pieces at once: how much they grew by, and the last that was counted."""
        grown = 0.0
        counted: WireUsage | None = None
        for data in datas:
            try:
                piece = SKIMS.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                piece = answered(data, Skim) if data not in ("", "[DONE]") else Skim()
            if piece.error:
                raise failed(piece.error)
            for candidate in piece.candidates or ():
                if candidate.content:
                    for part in candidate.content.parts or ():
                        grown += guessed_tokens(part.text) if part.text else self._grown(part)
                if candidate.finish_reason or candidate.grounding_metadata:
                    self._see(candidate, piece.model_version or "")
            if piece.prompt_feedback and piece.prompt_feedback.block_reason and not piece.candidates:
                self.finish = Finished(Finish.REFUSED, piece.prompt_feedback.block_reason)
            counted = piece.usage_metadata or counted
        events: list[Event] = [Grew(grown)] if grown else []
        if counted and (made := usage(counted, ended=self.finish is not None)):
            events.append(Counted(made))
        return events

    def end(self) -> list[Event]:
        made: list[Event] = [Counted({Unit.SEARCH: self._searches})] if self._searches else []
        return made + ([self.finish] if self.finish else [])

    def _grown(self, part: SkimPart) -> float:
        if part.function_call:
            self._calls = True
            return len(part.function_call) / 4
        return PICTURE_TOKENS if part.inline_data else 0

    def _see(self, candidate: SkimCandidate, model: str) -> None:
        if reason := candidate.finish_reason:
            self.finish = finished(reason, candidate.finish_message, calls=self._calls)
        if candidate.grounding_metadata and candidate.grounding_metadata != b"null":
            self._searches = searches(answered(bytes(candidate.grounding_metadata), Grounding), model) or self._searches


def skimmed(body: bytes) -> list[Event]:
    skim = Skimmed()
    return [*skim.events([body]), *skim.end()]


class ContentSkimmer(StreamReader):
    """A portion of whole events is one frame. Google ends lines with CR LF, which is set right only for the reader."""

    def __init__(self) -> None:
        self._held = b""
        self._events = sse.Reader()
        self._skim = Skimmed()

    def feed(self, data: bytes) -> list[Frame]:
        held = self._held + data if self._held else data
        end = max(held.rfind(b"\n\n") + 2, held.rfind(b"\r\n\r\n") + 4)
        if end < 4:
            self._held = held
            if len(held) > sse.LIMIT_BYTES:
                raise UpstreamError("The upstream sent an event that is too large.")
            return []
        whole, self._held = held[:end], held[end:]
        return [self._frame(self._events.feed(whole.replace(b"\r\n", b"\n")), whole)]

    def end(self) -> list[Frame]:
        rest, self._held = self._held, b""
        frames = [self._frame([*self._events.feed(rest), *self._events.end()], rest)] if rest else []
        last = self._skim.end()
        self.done = self._skim.finish is not None
        return frames + ([Frame(last)] if last else [])

    def _frame(self, events: Sequence[sse.Event], raw: bytes) -> Frame:
        made = self._skim.events([event.data for event in events])
        return Frame(made, raw)
