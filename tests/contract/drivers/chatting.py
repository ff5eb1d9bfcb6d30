"""What the drivers of language models' clients share: the case, and what is asked.

The sandbox answers: it calls the tools that a prompt mentions, says what it was shown, and obeys directives, such as
`[[die]]`. docs/test-mode.md has its rules.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Literal

import harness
from harness import PICTURE, equal, true
from pydantic import BaseModel


@dataclass(frozen=True, kw_only=True)
class Case(harness.Case):
    """`model` answers through the server's upstream, `fragile` through another channel to the same, for what fails, and
    `crowded` through a third, for what is busy: they must not spoil each other's health. `embedder` makes vectors,
    `moderator` judges texts. `slow_key` may ask once a minute."""

    model: str
    fragile: str
    crowded: str
    embedder: str
    moderator: str
    slow_key: str


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: float
    windy: bool


class Stop(BaseModel):
    place: str
    nights: int


class Trip(BaseModel):
    """References, a choice of words, and what may be missing: what translations of schemas stumble over."""

    name: str
    means: Literal["boat", "foot", "train"]
    stops: list[Stop]
    first: Stop
    note: str | None
    sizes: dict[str, int] = {}


CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Such as Oslo"}},
    "required": ["city"],
    "additionalProperties": False,
}
"""What a tool takes, as a JSON schema."""

TELL = "Tell me of boats and weirs. [[slow:0]]"
CALL = "What is the weather in Oslo? [[slow:0]]"
CALLS = "What is the weather in Oslo and Rome? [[slow:0]]"
THINK = "What is the seventeenth prime? [[slow:0]]"
STATE = "The state of things in Oslo? [[slow:0]]"
SUNNY = "sunny, 19 degrees"
WORLD = "Grüße an 世界 🌊 — “quoted” \\ back [[slow:0]]"
PLAN = "A trip by boat to Oslo, Bergen and Tromsø. [[slow:0]]"
TOO_LONG = "All of the encyclopedia. [[context]]"
TOO_LARGE = "weir " * 500_000
BUSY = "Is there room? [[busy:9]]"
DIES = "Tell me a story without an end. [[die]] [[slow:0.5]]"

# What the sandbox finds in what it is given, and says.
WORLD_SEEN = ("Grüße an 世界 🌊", "back")
PICTURE_SEEN = "64 × 64 pixels"
PDF_SEEN = "a PDF of 1 page"

PICTURE_BASE64 = base64.b64encode(PICTURE).decode()
PICTURE_URL = f"data:image/png;base64,{PICTURE_BASE64}"


def pdf() -> bytes:
    """One page with a word on it."""
    drawn = b"BT /F1 24 Tf 40 40 Td (Weir) Tj ET"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page,
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    body, starts = b"%PDF-1.4\n", []
    for number, words in enumerate(objects, 1):
        starts.append(len(body))
        body += b"%d 0 obj%s\nendobj\n" % (number, words)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % start for start in starts)
    return body + table + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)


PDF = pdf()
PDF_BASE64 = base64.b64encode(PDF).decode()


def text(said: Any, what: str = "the answer", tells: str = "") -> str:
    true(isinstance(said, str) and said.strip(), f"{what} has no words: {said!r}")
    true(tells in said, f"{what} tells nothing of {tells!r}: {said!r}")
    return str(said)


def city(arguments: Any) -> None:
    """Arguments that fit `CITY`."""
    true(isinstance(arguments, dict), f"no arguments: {arguments!r}")
    equal(set(arguments), {"city"}, "the arguments' names")
    text(arguments["city"], "the city")


def vectors(found: list[list[float]], count: int, dimensions: int | None = None) -> None:
    equal(len(found), count, "the number of vectors")
    for vector in found:
        true(vector and all(isinstance(one, float) for one in vector), f"not a vector: {vector[:3]!r}")
        equal(len(vector), dimensions or len(found[0]), "dimensions")
