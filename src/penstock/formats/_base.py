"""What a format is: one vendor's JSON, read into our own words and written from them, whole and streamed.

A translator without I/O. Where client and upstream share a format nothing is translated: `renamed` is the request,
`skimmer` and `skim_reply` read only what the meter needs, and `passing` hands the vendor's own bytes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from penstock.canonical.chat import Request
from penstock.canonical.events import Event, Frame
from penstock.errors import CallerError, InvalidField, InvalidInput, UpstreamError


class Operation(StrEnum):
    CHAT = "chat"
    EMBED = "embed"
    COUNT = "count"  # the tokens of a chat request
    MODERATE = "moderate"


class Asked(msgspec.Struct, frozen=True):
    """What writing an answer needs to know of the request. `id` is new and bare: a writer puts its dialect's prefix
    before it. `at` is in seconds since 1970. `options` are the dialect's own wishes (`include_usage`, `array`, …), and
    for a translated stream `input_tokens`, a guess for formats that tell them first."""

    model: str
    id: str
    at: int
    stream: bool = False
    options: Mapping[str, Any] = {}


class Written(msgspec.Struct, frozen=True):
    """A request for a vendor. `dropped` names what the vendor's format can't say and does without."""

    body: bytes
    dropped: tuple[str, ...] = ()


class Peek(msgspec.Struct, frozen=True):
    """What admission needs of a request, read without the rest. `most_tokens`: the most that may be answered, as far
    as the client bounded it; `choices`: how many times."""

    model: str = ""
    stream: bool = False
    most_tokens: int | None = None
    choices: int = 1
    options: Mapping[str, Any] = {}


class StreamReader:
    """A vendor's stream, portion by portion. `done`: it said by itself that nothing follows."""

    done = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that became whole. Raises UpstreamError (or a kind of it) where the vendor says that it failed,
        or makes no sense."""
        raise NotImplementedError

    def end(self) -> list[Frame]:
        """The connection ended: what was still held back."""
        return []


class StreamWriter:
    """A client's stream, frame by frame. Every piece that it returns is made of whole events."""

    def write(self, frame: Frame) -> bytes:
        raise NotImplementedError

    def end(self) -> bytes:
        """What closes the stream."""
        return b""


class Passing(StreamWriter):
    """The vendor's own bytes."""

    def write(self, frame: Frame) -> bytes:
        return frame.raw


class Format:
    """One vendor's JSON. `family` is who issues its opaque data: signatures, sealed thoughts."""

    name: ClassVar[str]
    family: ClassVar[str] = ""
    operation: ClassVar[Operation] = Operation.CHAT
    loses: ClassVar[Mapping[str, str]] = {}
    """The table of losses: what of our own words this format can't hold (`top_k`, `Text.cache`, `ToolResult.failed`),
    and what becomes of it. All that is in here and changes the meaning is refused by `write_request`, the rest is
    dropped and named."""
    content_type: ClassVar[str] = "text/event-stream"
    """Of a stream."""
    beat: ClassVar[bytes] = b": ping\n\n"
    """What its clients ignore between two events, so that an idle stream stays open."""

    def peek(self, body: bytes) -> Peek:
        """Raises CallerError where the body is no JSON object, InvalidInput for a wrong type."""
        raise NotImplementedError

    def renamed(self, body: bytes, model: str, *, stream: bool) -> bytes:
        """The client's own request for a vendor of this format, who knows the model by this name."""
        return body

    def read_request(self, body: bytes) -> Request:
        """Raises CallerError or InvalidInput for what the vendor would refuse, Unsupported for what we can't carry."""
        raise NotImplementedError

    def write_request(self, request: Any, model: str) -> Written:
        """Raises Unsupported where this vendor can't do what was asked."""
        raise NotImplementedError

    def read_reply(self, body: bytes) -> list[Event]:
        """A whole answer as the events that it is made of. Raises UpstreamError where it makes no sense."""
        raise NotImplementedError

    def write_reply(self, events: Sequence[Event], asked: Asked) -> bytes:
        raise NotImplementedError

    def skim_reply(self, body: bytes) -> list[Event]:
        """Only what the meter needs: Counted, Finished, and Grew for the rest."""
        return self.read_reply(body)

    def reader(self) -> StreamReader:
        raise NotImplementedError

    def skimmer(self) -> StreamReader:
        """Like `reader`, for frames that are handed on raw: Counted, Finished, and Grew will do."""
        return self.reader()

    def writer(self, asked: Asked) -> StreamWriter:
        raise NotImplementedError

    def passing(self, asked: Asked) -> StreamWriter:
        return Passing()


# ── shared by formats ─────────────────────────────────────────────────────────────────────────────────────────────────


def decoded(body: bytes, kind: Any = dict[str, Any]) -> Any:
    """A client's request body, decoded into this type. Raises CallerError where it is no JSON, InvalidInput where
    something in it is of a wrong type or it is nested too deep."""
    try:
        return msgspec.json.decode(body, type=kind)
    except RecursionError:
        raise InvalidInput(fields=(InvalidField("", "depth", "The request body is nested too deep"),)) from None
    except msgspec.ValidationError as error:
        words, _, where = str(error).partition(" - at `$")
        path = where.rstrip("`").lstrip(".")
        raise InvalidInput(f"{path}: {words}" if path else words, (InvalidField(path, "type", words),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallerError(f"the request body is not valid JSON: {error}") from None


def answered(body: bytes | str, kind: Any = dict[str, Any]) -> Any:
    """A vendor's JSON. Raises UpstreamError where it is none, or of another shape than its API promises."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamError("The upstream's answer is not of the shape that its API promises.") from None


def with_fields(body: bytes, **fields: Any) -> bytes:
    """A JSON object with these fields instead of its own; all else keeps its bytes. None removes a field."""
    members: dict[str, Any] = decoded(body, dict[str, msgspec.Raw])
    for name, value in fields.items():
        if value is None:
            members.pop(name, None)
        else:
            members[name] = value
    return msgspec.json.encode(members)


def data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def of_data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64) of a `data:` URL; None if it is another URL. Raises CallerError for one without base64."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    kind, *params = [word.strip() for word in head.split(";")]
    if not comma or "base64" not in [param.lower() for param in params]:
        raise CallerError("a data: URL must be base64")
    return kind.lower(), data
