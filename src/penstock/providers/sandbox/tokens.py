"""How many tokens the sandbox takes a request for: the pieces of its texts, and a price for whatever is no text.

Everything here counts alike, so a count that was asked for beforehand is what a call then reports.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from penstock.canonical.chat import ChatRequest, EmbedRequest, Media, Part, Reasoning, Refusal, Text, Tool, ToolCall
from penstock.canonical.chat import ToolResult as Result
from penstock.canonical.usage import Unit
from penstock.providers.sandbox import given, words

PIXELS_A_TOKEN = 750
MOST_A_PICTURE = 1600
A_SECOND_OF_SOUND = 32
A_PAGE = 500
UNSEEN = 258
"""What can't be measured: a link, a vendor's file, a film."""
DRAWN = 1290

UNITS = {"image": Unit.IMAGE_INPUT_TOKEN, "audio": Unit.AUDIO_INPUT_TOKEN}

Counts = dict[Unit, float]


def of_text(text: str) -> int:
    return sum(1 for _ in words.PIECE.finditer(text))  # step by step, so that a long text does not hold up others


def of_chat(request: ChatRequest) -> Counts:
    """Disjoint: texts, pictures, sounds. Raises InvalidInput for a picture or a sound that can't be read."""
    counts: Counts = {Unit.INPUT_TOKEN: sum(map(of_text, declared(request)))}
    for message in request.messages:
        for part in message.content:
            for unit, tokens in of_part(part):
                counts[unit] = counts.get(unit, 0) + tokens
    return counts


def of_embed(request: EmbedRequest) -> Counts:
    return {Unit.INPUT_TOKEN: sum(of_text(text) if isinstance(text, str) else len(text) for text in request.inputs)}


def declared(request: ChatRequest) -> Iterable[str]:
    """What stands beside the messages and is read all the same: tools, and the schema of the answer."""
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield f"{tool.name} {tool.description}"
            yield msgspec.json.encode(tool.parameters or {}).decode()
    if request.output and request.output.schema:
        yield msgspec.json.encode(request.output.schema).decode()


def of_part(part: Part) -> Iterable[tuple[Unit, int]]:
    match part:
        case Text() | Reasoning() | Refusal():
            yield Unit.INPUT_TOKEN, of_text(part.text)
        case ToolCall():
            yield Unit.INPUT_TOKEN, of_text(part.name) + of_text(part.arguments)
        case Result():
            for piece in part.content:
                yield from of_part(piece)
        case Media():
            yield UNITS.get(part.kind, Unit.INPUT_TOKEN), of_media(given.seen(part))


def of_media(facts: given.Facts) -> int:
    if facts.width and facts.height:
        return min(MOST_A_PICTURE, max(1, facts.width * facts.height // PIXELS_A_TOKEN))
    if facts.seconds:
        return max(1, round(facts.seconds * A_SECOND_OF_SOUND))
    return facts.pages * A_PAGE or of_text(facts.text) or UNSEEN
