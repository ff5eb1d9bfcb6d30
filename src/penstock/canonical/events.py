"""What a model answers, as it happens: every answer is a stream of frames, a whole one a stream of one frame.

Only one answer is told so: several choices (`n`) pass where both sides share a format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from penstock.canonical.chat import Media, Part, Reasoning, Refusal, Text, ToolCall
from penstock.canonical.usage import Unit, Usage


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT = "context"  # its context is full
    TOOLS = "tools"  # it waits for results of tools
    REFUSED = "refused"
    PAUSED = "paused"  # a long turn with the vendor's own tools; the client sends it back to go on


class Started(msgspec.Struct, frozen=True, gc=False):
    """`id` and `model` are the vendor's."""

    id: str = ""
    model: str = ""


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """`opens`: a new train of thought begins, as another summary part does."""

    text: str
    opens: bool = False


class ReasoningSealed(msgspec.Struct, frozen=True, gc=False):
    """Closes a train of thought with what proves it (`signature`) or hides it (`sealed`); see `chat.Reasoning`."""

    signature: str = ""
    sealed: str = ""
    family: str = ""
    id: str = ""


class RefusalDelta(msgspec.Struct, frozen=True, gc=False):
    text: str


class ToolStarted(msgspec.Struct, frozen=True, gc=False):
    """`index` counts this answer's calls from 0."""

    index: int
    id: str
    name: str
    custom: bool = False
    signature: str = ""
    family: str = ""


class ToolDelta(msgspec.Struct, frozen=True, gc=False):
    """More of the arguments of call `index`, which was started before. Fragments of several calls may alternate."""

    index: int
    text: str


class MediaMade(msgspec.Struct, frozen=True):
    media: Media


class Cited(msgspec.Struct, frozen=True, gc=False):
    """A source of the text so far; `start` and `end` count characters of all of it, where they are known."""

    url: str
    title: str = ""
    text: str = ""
    start: int | None = None
    end: int | None = None


class Embedded(msgspec.Struct, frozen=True):
    vectors: list[list[float]]


class Counted(msgspec.Struct, frozen=True):
    """Usage so far, as the vendor counts it: each report replaces what it names of earlier ones."""

    usage: Usage


class Grew(msgspec.Struct, frozen=True, gc=False):
    """So many tokens more, as we guess them: what a reader that only skims tells instead of the text itself."""

    tokens: float


class Finished(msgspec.Struct, frozen=True, gc=False):
    """`words`: the stop sequence that was met, or why it was refused."""

    reason: Finish
    words: str = ""


Event = (
    Started
    | TextDelta
    | ReasoningDelta
    | ReasoningSealed
    | RefusalDelta
    | ToolStarted
    | ToolDelta
    | MediaMade
    | Cited
    | Embedded
    | Counted
    | Grew
    | Finished
)


class Frame(msgspec.Struct, frozen=True, gc=False):
    """`raw` is the bytes of one or more whole events of the vendor's stream, as they came."""

    events: list[Event]
    raw: bytes = b""


@dataclass(slots=True)
class Completion:
    """A whole answer. `usage` is empty where the vendor reported none."""

    id: str = ""
    model: str = ""
    content: list[Part] = field(default_factory=list)
    citations: list[Cited] = field(default_factory=list)
    vectors: list[list[float]] = field(default_factory=list)
    usage: dict[Unit, float] = field(default_factory=dict)
    finish: Finish = Finish.STOP
    words: str = ""


def collect(events: Iterable[Event]) -> Completion:
    """Fold a stream into one answer: neighbouring pieces of one kind are one part, in the order in which each began."""
    done = Completion()
    pieces: list[tuple[Part, list[str]]] = []
    calls: dict[int, list[str]] = {}
    for event in events:
        match event:
            case TextDelta(text):
                _more(pieces, Text(""), text)
            case ReasoningDelta(text, opens):
                _more(pieces, Reasoning(), text, opens=opens)
            case ReasoningSealed(signature, sealed, family, id):
                _seal(pieces, Reasoning(signature=signature, sealed=sealed, family=family, id=id))
            case RefusalDelta(text):
                _more(pieces, Refusal(""), text)
            case ToolStarted(index, id, name, custom, signature, family):
                calls[index] = []
                pieces.append((ToolCall(id, name, "", custom, signature, family), calls[index]))
            case ToolDelta(index, text):
                calls[index].append(text)
            case MediaMade(media):
                pieces.append((media, []))
            case Cited():
                done.citations.append(event)
            case Embedded(vectors):
                done.vectors += vectors
            case Counted(usage):
                done.usage |= usage
            case Finished(reason, words):
                done.finish, done.words = reason, words
            case Started(id, model):
                done.id, done.model = id or done.id, model or done.model
    done.content = [_whole(part, said) for part, said in pieces]
    return done


def _more(pieces: list[tuple[Part, list[str]]], kind: Part, text: str, *, opens: bool = False) -> None:
    last = pieces[-1][0] if pieces else None
    if opens or type(last) is not type(kind) or (isinstance(last, Reasoning) and (last.signature or last.sealed)):
        pieces.append((kind, []))
    pieces[-1][1].append(text)


def _seal(pieces: list[tuple[Part, list[str]]], seal: Reasoning) -> None:
    last = pieces[-1] if pieces else None
    if last and isinstance(last[0], Reasoning) and not (last[0].signature or last[0].sealed):
        pieces[-1] = (seal, last[1])
    else:
        pieces.append((seal, []))


def _whole(part: Part, said: list[str]) -> Part:
    text = "".join(said)
    if isinstance(part, Text | Reasoning | Refusal):
        return msgspec.structs.replace(part, text=text)
    if isinstance(part, ToolCall):
        return msgspec.structs.replace(part, arguments=text if part.custom else text or "{}")
    return part


def guessed_tokens(text: str) -> float:
    """About how many tokens a text is, where nobody counted: four characters of Latin script each, or less than two of
    others."""
    size = len(text)
    return size / 4 if text.isascii() else max(size / 4, len(text.encode("utf-8", "surrogatepass")) / 3.5)
