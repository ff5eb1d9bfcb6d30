"""What a call is answered with: events of our own words, which its format then writes. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from penstock.canonical.chat import ChatRequest, EmbedRequest
from penstock.canonical.events import (
    Counted,
    Embedded,
    Event,
    Finish,
    Finished,
    MediaMade,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
)
from penstock.canonical.usage import Unit, Usage
from penstock.formats._base import Asked, Format, Operation
from penstock.formats.openai_responses import OpenAIResponses, echoed
from penstock.ids import new_id
from penstock.providers.sandbox import embedding, moderation, script, talker, tokens, words
from penstock.providers.sandbox.palettes import dice
from penstock.providers.sandbox.script import Script

FIRST_S = 0.15
TOKENS_A_SECOND = 50
LONGEST_S = 3.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A call that was taken on: what it answers, and how it behaves. `body` is the answer of what has no events."""

    format: Format
    asked: Asked
    acting: Script
    events: Sequence[Event] = ()
    body: bytes = b""


def take_on(format: Format, model: str, body: bytes, at: int, *, stream: bool) -> Taken:
    """Raises CallerError and its kinds for what a vendor would refuse."""
    if format.operation is Operation.MODERATE:
        said = body.decode("utf-8", "replace")
        return Taken(format, Asked(model, "", at), script.read(model, said, 0.0), (), moderation.answer(body, model))
    asked = Asked(model, new_id(), at, stream, wishes(format, body))
    request = format.read_request(body)
    if isinstance(request, EmbedRequest):
        request = msgspec.structs.replace(request, model=model)
        said = "\n".join(text[:20_000] for text in request.inputs if isinstance(text, str))
        acting = script.read(model, said, 0.0)
        return Taken(format, asked, acting, embedded(request, acting))
    request = msgspec.structs.replace(request, model=model)
    if format.operation is Operation.COUNT:
        return Taken(format, asked, Script(takes_s=0.0), counted(request))
    answer = talker.answer(request)
    acting = script.read(model, talker.directed(request), usual_s(answer.tokens))
    reports = told(acting, tokens.of_chat(request), answer.tokens)
    return Taken(format, asked, acting, spoken(request, answer, format.family, reports))


def wishes(format: Format, body: bytes) -> Mapping[str, Any]:
    """What the writer needs to know of the request. OpenAI's responses repeat most of it."""
    repeated = {"request": echoed(body)} if isinstance(format, OpenAIResponses) else {}
    return {**format.peek(body).options, **repeated}


def usual_s(made: Usage) -> float:
    return min(LONGEST_S, FIRST_S + sum(made.values()) / TOKENS_A_SECOND)


def told(acting: Script, taken: Usage, made: Usage) -> Sequence[Usage]:
    """The reports of usage: one at the beginning, one at the end."""
    if acting.usage == "none":
        return ()
    whole = {**taken, **made}
    return [dict.fromkeys(report, 0) if acting.usage == "zero" else report for report in (taken, whole)]


def spoken(request: ChatRequest, answer: talker.Answer, family: str, reports: Sequence[Usage]) -> list[Event]:
    """The answer as events, its texts in pieces of a few words."""
    chance = dice("pace", request.model, *answer.text)
    events: list[Event] = [Started(model=request.model), *map(Counted, reports[:1])]
    shown = request.thinking is None or request.thinking.visible is not False
    if answer.thoughts:
        events += [ReasoningDelta(piece) for piece in grouped(answer.thoughts, chance)] if shown else []
        # OpenAI's proof hides the thoughts themselves, the others' stands beside them.
        proof = {"sealed" if family == "openai" else "signature": answer.seal}
        events.append(ReasoningSealed(**proof, family=family))
    events += [TextDelta(piece) for piece in grouped(answer.text, chance)]
    if answer.picture:
        events.append(MediaMade(answer.picture))
    for index, call in enumerate(answer.calls):
        seal = answer.seal if index == 0 else ""
        events.append(ToolStarted(index, call.id, call.name, call.custom, seal, family if seal else ""))
        events += [ToolDelta(index, piece) for piece in grouped(words.pieces(call.arguments), chance)]
    return [*events, *map(Counted, reports[1:]), Finished(answer.finish, answer.words)]


def grouped(pieces: Sequence[str], chance: Random) -> Iterator[str]:
    at = 0
    while at < len(pieces):
        size = chance.randint(1, 4)
        yield "".join(pieces[at : at + size])
        at += size


def embedded(request: EmbedRequest, acting: Script) -> list[Event]:
    reports = told(acting, tokens.of_embed(request), {})
    return [
        Started(model=request.model),
        Embedded(embedding.vectors(request)),
        *map(Counted, reports[1:]),
        Finished(Finish.STOP),
    ]


def counted(request: ChatRequest) -> list[Event]:
    """One number, as a count answers it."""
    return [Counted({Unit.INPUT_TOKEN: sum(tokens.of_chat(request).values())}), Finished(Finish.STOP)]


def written(taken: Taken) -> bytes:
    """The whole answer, in the call's format."""
    return taken.body or taken.format.write_reply(taken.events, taken.asked)
