"""Answers of the responses API: the response object, its items, its usage, its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.canonical.chat import Media
from penstock.canonical.events import (
    Cited,
    Counted,
    Event,
    Finish,
    Finished,
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
from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, Usage, total
from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContentRefused,
    ContextTooLong,
    LimitReached,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
)
from penstock.formats._base import Asked, answered

FAMILY = "openai"
Place = int | str
DEFAULTS: Mapping[str, Any] = {
    "background": False,
    "conversation": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response says of settings that its request left open."""

REFUSALS: Mapping[str, type[PenstockError]] = {
    "rate_limit_exceeded": UpstreamBusy,
    "server_is_overloaded": UpstreamBusy,
    "slow_down": UpstreamBusy,
    "overloaded": UpstreamBusy,
    "insufficient_quota": ChannelRejected,
    "invalid_api_key": ChannelRejected,
    "context_length_exceeded": ContextTooLong,
    "invalid_prompt": ContentRefused,
    "content_policy_violation": ContentRefused,
    "content_filter": ContentRefused,
    "bio_policy": ContentRefused,
    "cyber_policy": ContentRefused,
    "image_content_policy_violation": ContentRefused,
    "failed_to_download_image": CallerError,
    "unsupported_image_media_type": CallerError,
    "empty_image_file": CallerError,
}
"""What the code of a failed response means; codes that begin with `image_` or `invalid_` are the caller's, too."""


class CachedSaid(msgspec.Struct):
    ttl_12h_tokens: int = 0
    ttl_30m_tokens: int = 0


class InputSaid(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: CachedSaid | None = None


class OutputSaid(msgspec.Struct):
    reasoning_tokens: int | None = None


class UsageSaid(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputSaid | None = None
    output_tokens_details: OutputSaid | None = None


class DrawnSaid(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class SearchedSaid(msgspec.Struct):
    num_requests: int = 0


class ToolsSaid(msgspec.Struct):
    image_gen: DrawnSaid | None = None
    web_search: SearchedSaid | None = None


class ErrorSaid(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None
    type: str | None = None


class StoppedSaid(msgspec.Struct):
    reason: str | None = None


class End(msgspec.Struct):
    """Of a response, what the meter needs."""

    status: str | None = None
    usage: UsageSaid | None = None
    tool_usage: ToolsSaid | None = None
    incomplete_details: StoppedSaid | None = None
    error: ErrorSaid | None = None


class PartSaid(msgspec.Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""
    annotations: list[dict[str, Any]] = []


class ItemSaid(msgspec.Struct):
    """An item of an answer. Built-in tools' items have more, which is not ours to carry."""

    type: str = "message"
    id: str | None = None
    call_id: str | None = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    content: Any = None
    summary: Any = None
    encrypted_content: str | None = None
    result: Any = None
    output_format: str | None = None

    @property
    def calls(self) -> bool:
        return self.type in ("function_call", "custom_tool_call")

    @property
    def parts(self) -> list[PartSaid]:
        return _parts(self.content)


class Whole(End):
    id: str | None = None
    model: str | None = None
    output: list[ItemSaid] = []


def _parts(value: Any) -> list[PartSaid]:
    try:
        return msgspec.convert(value or [], list[PartSaid])
    except msgspec.ValidationError:
        raise UpstreamError("The upstream's answer is not of the shape that its API promises.") from None


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read(body: bytes) -> list[Event]:
    whole: Whole = answered(body, Whole)
    check(whole)
    telling = Telling()
    said = telling.items(whole.output)
    return [Started(whole.id or "", whole.model or ""), *said, *ended(whole, calls=bool(telling.calls))]


def skim(body: bytes) -> list[Event]:
    end: End = answered(body, End)
    check(end)
    if end.usage is not None:
        return ended(end, calls=False)
    said = Telling().items(answered(body, Whole).output)
    texts = [event.text for event in said if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta | ToolDelta)]
    return [Grew(sum(map(guessed_tokens, texts))), *ended(end, calls=False)]


def check(end: End) -> None:
    """Raises what a failed response failed with."""
    if end.error is not None:
        raise failure(end.error)
    if end.status in ("failed", "cancelled"):
        raise UpstreamError("The upstream's answer failed.")


def failure(said: ErrorSaid) -> PenstockError:
    code = str(said.code or said.type or "")
    kind = REFUSALS.get(code)
    if kind is None:
        kind = CallerError if code.startswith(("image_", "invalid_")) else UpstreamError
    return kind((said.message or "")[:2000])


def citation(annotation: Any, begins: int) -> Cited | None:
    """`begins`: where in all of the text the part begins whose annotation this is."""
    if not isinstance(annotation, dict) or annotation.get("type") != "url_citation":
        return None
    url = annotation.get("url")
    if not isinstance(url, str):
        return None
    start, end = annotation.get("start_index"), annotation.get("end_index")
    where = (start + begins, end + begins) if isinstance(start, int) and isinstance(end, int) else (None, None)
    return Cited(url, str(annotation.get("title") or ""), "", *where)


def ended(end: End, *, calls: bool) -> list[Event]:
    usage = counted(end)
    finished = Finished(Finish.TOOLS if calls else Finish.STOP)
    if end.status == "incomplete":
        reason = end.incomplete_details.reason if end.incomplete_details else None
        finished = Finished(Finish.REFUSED if reason == "content_filter" else Finish.LENGTH)
    return [Counted(usage), finished] if usage else [finished]


def counted(end: End) -> dict[Unit, float]:
    """What was reported, in units that do not overlap."""
    usage: dict[Unit, float] = {}
    said = end.usage
    if said is not None and said.input_tokens is not None:
        kinds = said.input_tokens_details or InputSaid()
        read, wrote = kinds.cached_tokens or 0, kinds.cache_write_tokens or 0
        usage[Unit.INPUT_TOKEN] = max(0, said.input_tokens - read - wrote)
        if kinds.cached_tokens is not None:
            usage[Unit.CACHED_TOKEN] = read
        if kinds.cache_write_tokens is not None:
            lasting = kinds.cache_write_tokens_details.ttl_12h_tokens if kinds.cache_write_tokens_details else 0
            usage[Unit.CACHE_WRITE_TOKEN] = max(0, wrote - lasting)
            if lasting:
                usage[Unit.CACHE_WRITE_HOUR_TOKEN] = lasting
    if said is not None and said.output_tokens is not None:
        thought = said.output_tokens_details.reasoning_tokens if said.output_tokens_details else None
        usage[Unit.OUTPUT_TOKEN] = max(0, said.output_tokens - (thought or 0))
        if thought is not None:
            usage[Unit.REASONING_TOKEN] = thought
    tools = end.tool_usage or ToolsSaid()
    if tools.image_gen and (tools.image_gen.input_tokens or tools.image_gen.output_tokens):
        usage[Unit.IMAGE_INPUT_TOKEN] = tools.image_gen.input_tokens
        usage[Unit.IMAGE_OUTPUT_TOKEN] = tools.image_gen.output_tokens
    if tools.web_search and tools.web_search.num_requests:
        usage[Unit.SEARCH] = tools.web_search.num_requests
    return usage


class Telling:
    """Tells each thing once, whether it comes in pieces, whole when its part is done, or only with its whole item.

    `place` is an item's number in the answer, or whatever stands for it.
    """

    def __init__(self) -> None:
        self.calls: dict[Place, int] = {}  # item → number of the call
        self._said: dict[tuple[Place, str, int], int] = {}  # (item, kind, part) → where it begins in all of the text
        self._length = 0

    @property
    def silent(self) -> bool:
        return not self._said and not self.calls

    def items(self, output: list[ItemSaid]) -> list[Event]:
        return [event for place, item in enumerate(output) for event in self.item(place, item)]

    def piece(self, place: Place, kind: str, number: int, text: Any) -> list[Event]:
        """More of a part; kinds are text, refusal, summary, thought, and arguments."""
        if not isinstance(text, str) or not text or (kind == "arguments" and place not in self.calls):
            return []
        opens = (place, kind, number) not in self._said
        self._said.setdefault((place, kind, number), self._length)
        match kind:
            case "text":
                self._length += len(text)
                return [TextDelta(text)]
            case "refusal":
                return [RefusalDelta(text)]
            case "arguments":
                return [ToolDelta(self.calls[place], text)]
        return [ReasoningDelta(text, opens)]

    def part(self, place: Place, kind: str, number: int, text: Any) -> list[Event]:
        """A whole part, unless it came in pieces."""
        return [] if (place, kind, number) in self._said else self.piece(place, kind, number, text)

    def begun(self, place: Place, item: ItemSaid) -> list[Event]:
        if not item.calls or place in self.calls:
            return []
        index = self.calls[place] = len(self.calls)
        custom = item.type == "custom_tool_call"
        return [ToolStarted(index, item.call_id or item.id or f"call_{index}", str(item.name or ""), custom)]

    def item(self, place: Place, item: ItemSaid) -> list[Event]:
        """A whole item: as much of it as was not told before."""
        if item.calls:
            text = item.input if item.type == "custom_tool_call" else item.arguments
            return self.begun(place, item) + self.part(place, "arguments", 0, text)
        match item.type:
            case "message":
                return [event for number, part in enumerate(item.parts) for event in self._spoken(place, number, part)]
            case "reasoning":
                return self._thought(place, item)
            case "image_generation_call" if isinstance(item.result, str) and item.result:
                self._said[place, "picture", 0] = self._length
                return [MediaMade(Media("image", f"image/{item.output_format or 'png'}", data=item.result))]
        return []

    def cited(self, place: Place, number: int, annotation: Any) -> list[Event]:
        self._said[place, "cited", number] = self._length
        cited = citation(annotation, self._said.get((place, "text", number), 0))
        return [cited] if cited else []

    def _spoken(self, place: Place, number: int, part: PartSaid) -> list[Event]:
        if part.type == "refusal":
            return self.part(place, "refusal", number, part.refusal)
        events = self.part(place, "text", number, part.text)
        if (place, "cited", number) not in self._said:
            events += [event for each in part.annotations for event in self.cited(place, number, each)]
        return events

    def _thought(self, place: Place, item: ItemSaid) -> list[Event]:
        events: list[Event] = []
        if not any(said[:2] in ((place, "summary"), (place, "thought")) for said in self._said):
            parts = _parts(item.summary) or _parts(item.content)
            events = [
                event for number, part in enumerate(parts) for event in self.part(place, "summary", number, part.text)
            ]
        if item.encrypted_content:
            events.append(ReasoningSealed(sealed=item.encrypted_content, family=FAMILY, id=item.id or ""))
        return events


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def response(asked: Asked, status: str, output: list[dict[str, Any]] | None = None, **known: Any) -> dict[str, Any]:
    """A response object. Of the request it repeats what `asked.options["request"]` holds (see `echoed`)."""
    settings = {**DEFAULTS, **asked.options.get("request", {})}
    return {
        "id": f"resp_{asked.id}",
        "object": "response",
        "created_at": asked.at,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": asked.model,
        "output": output or [],
        **settings,
        "usage": None,
        **known,
    }


class ToolSaid(msgspec.Struct):
    type: str = ""
    name: str = ""


def custom_tools(asked: Asked) -> list[str]:
    """Names of the tools that take free text; most vendors give them a JSON object instead."""
    tools = asked.options.get("request", {}).get("tools")
    if tools is None:
        return []
    try:
        said: list[ToolSaid] = msgspec.json.decode(msgspec.json.encode(tools), type=list[ToolSaid])
    except msgspec.ValidationError:
        return []
    return [tool.name for tool in said if tool.type == "custom"]


def usage_object(usage: Usage) -> dict[str, Any] | None:
    if not usage:
        return None
    prompt, completion = total(usage, INPUT_UNITS), total(usage, OUTPUT_UNITS)
    wrote = total(usage, (Unit.CACHE_WRITE_TOKEN, Unit.CACHE_WRITE_HOUR_TOKEN))
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": total(usage, (Unit.CACHED_TOKEN,)), "cache_write_tokens": wrote},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": total(usage, (Unit.REASONING_TOKEN,))},
        "total_tokens": prompt + completion,
    }


CODES: Mapping[type[PenstockError], str] = {
    LimitReached: "rate_limit_exceeded",
    UpstreamBusy: "rate_limit_exceeded",
    ContentRefused: "invalid_prompt",
    ContextTooLong: "context_length_exceeded",
    CallerError: "invalid_prompt",
    PenstockError: "server_error",
}


def error_object(exc: PenstockError) -> dict[str, str]:
    """Why a response failed, in the words of this API."""
    code = next(CODES[kind] for kind in type(exc).__mro__ if kind in CODES)
    return {"code": code, "message": str(exc)}
