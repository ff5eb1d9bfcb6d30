"""Whole answers, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from penstock.canonical.chat import Media, Part, Reasoning, Refusal, Text, ToolCall
from penstock.canonical.events import (
    Cited,
    Counted,
    Event,
    Finish,
    Finished,
    Grew,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
    collect,
    guessed_tokens,
)
from penstock.canonical.usage import Unit
from penstock.formats._base import Asked, answered, data_url
from penstock.formats.anthropic_messages.wire import (
    FAMILY,
    STOP_WORDS,
    STOPS,
    Citation,
    Delta,
    Reply,
    ReplyBlock,
    Tally,
    fault,
    usage_words,
)
from penstock.formats.anthropic_messages.writing import object_of

Json = dict[str, Any]


def read(body: bytes) -> list[Event]:
    reply = _reply(body)
    calls = iter(range(len(reply.content or ())))
    events: list[Event] = [Started(reply.id, reply.model)]
    for block in reply.content or ():
        events += _events(block, calls)
    return [*events, *_ending(reply)]


def skim(body: bytes) -> list[Event]:
    reply = _reply(body)
    said = "".join((block.text or "") + (block.thinking or "") for block in reply.content or ())
    return [Grew(guessed_tokens(said)), *_ending(reply)]


def _reply(body: bytes) -> Reply:
    """Raises what an error in place of an answer means, as some relays send one with a 200."""
    reply: Reply = answered(body, Reply)
    if reply.type == "error" or reply.error is not None:
        raise fault(reply.error)
    return reply


def _events(block: ReplyBlock, calls: Iterator[int]) -> Iterator[Event]:
    match block.type:
        case "text":
            if block.text:
                yield TextDelta(block.text)
            yield from (cited for citation in block.citations or () for cited in citations(citation))
        case "thinking":
            yield ReasoningDelta(block.thinking or "", opens=True)
            if block.signature:
                yield ReasoningSealed(signature=block.signature, family=FAMILY)
        case "redacted_thinking":
            yield ReasoningSealed(sealed=block.data or "", family=FAMILY)
        case "tool_use":
            index = next(calls)
            yield ToolStarted(index, block.id, block.name)
            yield ToolDelta(index, bytes(block.input).decode())


def citations(citation: Citation) -> Iterator[Cited]:
    """Only sources on the web are told; places in the client's own documents have no URL."""
    if citation.url:
        yield Cited(citation.url, citation.title or "", citation.cited_text or "")


def _ending(reply: Reply) -> Iterator[Event]:
    if reply.usage is not None:
        yield Counted(Tally().see(reply.usage))
    yield finished(reply)


def finished(said: Reply | Delta) -> Finished:
    reason = STOPS.get(said.stop_reason or "", Finish.STOP)
    details = said.stop_details.explanation if said.stop_details else None
    return Finished(reason, said.stop_sequence or details or "")


# ── to a client ───────────────────────────────────────────────────────────────────────────────────────────────────────


def write(events: Sequence[Event], asked: Asked) -> bytes:
    done = collect(events)
    content = [block for part in done.content for block in _blocks(part)]
    texts = [block for block in content if block["type"] == "text"]
    if done.citations and texts:
        texts[-1]["citations"] = [citation_words(cited) for cited in done.citations]
    calls = any(block["type"] == "tool_use" for block in content)
    ended = stop_words(Finished(done.finish, done.words), calls=calls)
    return msgspec.json.encode(message(asked, done.usage) | {"content": content} | ended)


def message(asked: Asked, usage: dict[Unit, float]) -> Json:
    """A message without content yet."""
    return {
        "id": f"msg_{asked.id}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_words(usage),
    }


def _blocks(part: Part) -> Iterable[Json]:
    match part:
        case Text(text) | Refusal(text):
            return [{"type": "text", "text": text}] if text else []
        case Reasoning(text="", sealed=sealed, family=family) if sealed:
            return [{"type": "redacted_thinking", "data": sealed}] if family == FAMILY else []
        case Reasoning(text, signature, family=family):
            return [{"type": "thinking", "thinking": text, "signature": signature if family == FAMILY else ""}]
        case ToolCall(id, name, arguments):
            return [{"type": "tool_use", "id": id, "name": name, "input": object_of(arguments)}]
        case Media():
            return [{"type": "text", "text": link(part)}]
        case _:
            return []


def link(made: Media) -> str:
    """What a model drew, as this format has no other way to answer with it."""
    return f"![{made.kind}]({made.url or data_url(made.media_type, made.data or '')})"


def citation_words(cited: Cited) -> Json:
    words = {"type": "web_search_result_location", "url": cited.url, "title": cited.title or None}
    return words | {"cited_text": cited.text, "encrypted_index": ""}


def stop_words(said: Finished, *, calls: bool) -> Json:
    """Why the model stopped. Some vendors call it a plain stop though the model waits for its tools."""
    reason = Finish.TOOLS if calls and said.reason is Finish.STOP else said.reason
    words: Json = {"stop_reason": STOP_WORDS[reason], "stop_sequence": None}
    if reason is Finish.STOP_SEQUENCE:
        words["stop_sequence"] = said.words or None
    if reason is Finish.REFUSED:
        words["stop_details"] = {"type": "refusal", "category": None, "explanation": said.words or None}
    return words
