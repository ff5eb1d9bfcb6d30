"""What goes over the wire, as narrow structs that tell what we read; and the words that both directions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from penstock.canonical.events import Finish
from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, Usage, total
from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContextTooLong,
    PenstockError,
    TooLarge,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamTimeout,
)

FAMILY = "anthropic"
MAX_TOKENS = 8192
"""Where the client gave no `max_tokens`, which this API requires."""
EMPTY = msgspec.Raw(b"{}")

STOPS = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.CONTEXT,
    "tool_use": Finish.TOOLS,
    "refusal": Finish.REFUSED,
    "pause_turn": Finish.PAUSED,
}
STOP_WORDS = {finish: word for word, finish in STOPS.items()}

FAULTS: Mapping[str, type[PenstockError]] = {
    "invalid_request_error": CallerError,
    "request_too_large": TooLarge,
    "authentication_error": ChannelRejected,
    "permission_error": ChannelRejected,
    "billing_error": ChannelRejected,
    "not_found_error": UpstreamForgot,
    "rate_limit_error": UpstreamBusy,
    "overloaded_error": UpstreamBusy,
    "timeout_error": UpstreamTimeout,
}
"""What an error's `type` means where no status tells it: within a stream."""


class CacheControl(msgspec.Struct):
    type: str = "ephemeral"
    ttl: str | None = None


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Source(msgspec.Struct):
    """Of a picture or document: base64, url, file, text, content."""

    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    content: str | list[Block] = ""


class Block(msgspec.Struct):
    """One block of any type. Only a search result's `source` is text; only results of the vendor's own tools have a
    `content` that is one block."""

    type: str
    text: str = ""
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = EMPTY
    tool_use_id: str = ""
    content: str | list[Block] | Block | None = None
    is_error: bool | None = None
    thinking: str = ""
    signature: str = ""
    data: str = ""
    cache_control: CacheControl | None = None


class Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ToolWords(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ChoiceWords(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class ThinkingWords(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class Metadata(msgspec.Struct):
    user_id: str | None = None


class RequestWords(msgspec.Struct):
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1)]
    model: str = ""
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[ToolWords] | None = None
    tool_choice: ChoiceWords | None = None
    thinking: ThinkingWords | None = None
    output_config: OutputConfig | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    cache_control: CacheControl | None = None


# ── replies and their streams ─────────────────────────────────────────────────────────────────────────────────────────


class CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class ServerToolUse(msgspec.Struct):
    web_search_requests: int | None = None


class UsageWords(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerToolUse | None = None


class Citation(msgspec.Struct):
    url: str | None = None
    title: str | None = None
    cited_text: str | None = None


class ReplyBlock(msgspec.Struct):
    type: str
    text: str | None = None
    citations: list[Citation] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = EMPTY


class StopDetails(msgspec.Struct):
    explanation: str | None = None


class Fault(msgspec.Struct):
    type: str = ""
    message: str = ""


class Reply(msgspec.Struct):
    type: str = "message"
    id: str = ""
    model: str = ""
    content: list[ReplyBlock] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: UsageWords | None = None
    error: Fault | None = None


class Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Citation | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class StreamEvent(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: Reply | None = None
    content_block: ReplyBlock | None = None
    delta: Delta | None = None
    usage: UsageWords | None = None
    error: Fault | None = None


def fault(said: Fault | None) -> PenstockError:
    """What an error that came in place of an answer means."""
    said = said or Fault()
    kind = FAULTS.get(said.type, UpstreamError)
    if kind is CallerError and "prompt is too long" in said.message:
        kind = ContextTooLong
    return kind(said.message[:2000])


# ── usage ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Tally:
    """The counts of one answer, report by report, since a later one tells only what changed."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def see(self, words: UsageWords, *, final: bool = True) -> dict[Unit, float]:
        """All that is known now. Before the `final` report the output count is a placeholder, and is left out."""
        split = words.cache_creation or CacheCreation()
        self._put("input", words.input_tokens)
        self._put("read", words.cache_read_input_tokens)
        self._put("written", words.cache_creation_input_tokens)
        self._put("minutes", split.ephemeral_5m_input_tokens)
        self._put("hour", split.ephemeral_1h_input_tokens)
        self._put("thought", (words.output_tokens_details or OutputDetails()).thinking_tokens)
        self._put("searches", (words.server_tool_use or ServerToolUse()).web_search_requests)
        if final:
            self._put("output", words.output_tokens)
        return self._units()

    def _put(self, name: str, count: int | None) -> None:
        """A zero after a count is no news, but a relay that fills in what it does not know."""
        if count is not None and (count or name not in self._counts):
            self._counts[name] = max(0, count)

    def _units(self) -> dict[Unit, float]:
        known = self._counts
        hour, thought = known.get("hour", 0), known.get("thought", 0)
        units: dict[Unit, float] = {}
        if "input" in known:
            units[Unit.INPUT_TOKEN] = known["input"]
        if "read" in known:
            units[Unit.CACHED_TOKEN] = known["read"]
        if "written" in known:
            units[Unit.CACHE_WRITE_TOKEN] = max(0, known["written"] - hour)
        elif "minutes" in known:
            units[Unit.CACHE_WRITE_TOKEN] = known["minutes"]
        if "hour" in known:
            units[Unit.CACHE_WRITE_HOUR_TOKEN] = hour
        if "output" in known:
            units[Unit.OUTPUT_TOKEN] = max(0, known["output"] - thought)
            if "thought" in known:
                units[Unit.REASONING_TOKEN] = thought
        if "searches" in known:
            units[Unit.SEARCH] = known["searches"]
        return units


CACHE_WRITES = (Unit.CACHE_WRITE_TOKEN, Unit.CACHE_WRITE_HOUR_TOKEN)
FRESH = tuple(unit for unit in INPUT_UNITS if unit not in (*CACHE_WRITES, Unit.CACHED_TOKEN))


def usage_words(usage: Usage) -> dict[str, Any]:
    words: dict[str, Any] = {
        "input_tokens": total(usage, FRESH),
        "cache_creation_input_tokens": total(usage, CACHE_WRITES),
        "cache_read_input_tokens": total(usage, (Unit.CACHED_TOKEN,)),
        "output_tokens": total(usage, OUTPUT_UNITS),
    }
    if not usage.keys().isdisjoint(CACHE_WRITES):
        words["cache_creation"] = {
            "ephemeral_5m_input_tokens": total(usage, (Unit.CACHE_WRITE_TOKEN,)),
            "ephemeral_1h_input_tokens": total(usage, (Unit.CACHE_WRITE_HOUR_TOKEN,)),
        }
    if Unit.REASONING_TOKEN in usage:
        words["output_tokens_details"] = {"thinking_tokens": total(usage, (Unit.REASONING_TOKEN,))}
    if Unit.SEARCH in usage:
        words["server_tool_use"] = {"web_search_requests": total(usage, (Unit.SEARCH,)), "web_fetch_requests": 0}
    return words
