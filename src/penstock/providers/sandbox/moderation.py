"""What the sandbox's moderation answers, in OpenAI's shape: it flags by a small table of words, and by a directive.

Source: OpenAI's API reference, moderations; the categories of omni-moderation-latest.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penstock.errors import CallerError, InvalidInput
from penstock.ids import new_id

CATEGORIES: dict[str, tuple[str, ...]] = {
    "harassment": ("idiot", "loser", "stupid"),
    "harassment/threatening": (),
    "hate": ("hate",),
    "hate/threatening": (),
    "illicit": ("launder", "smuggle", "counterfeit"),
    "illicit/violent": ("bomb",),
    "self-harm": ("suicide",),
    "self-harm/intent": (),
    "self-harm/instructions": (),
    "sexual": ("porn",),
    "sexual/minors": (),
    "violence": ("kill", "murder", "stab", "bomb"),
    "violence/graphic": ("gore",),
}
FLAG = re.compile(r"\[\[\s*flag\s*:\s*([a-z/-]+)\s*\]\]", re.IGNORECASE)
HIGH, LOW = 0.98, 0.0001


def answer(body: bytes, model: str) -> bytes:
    """Raises CallerError where the body is no JSON, InvalidInput without a usable `input`."""
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CallerError("the request body is not valid JSON") from None
    given = asked.get("input") if isinstance(asked, dict) else None
    results = [result(text) for text in inputs(given)]
    return msgspec.json.encode({"id": f"modr-{new_id()}", "model": model, "results": results})


def inputs(given: Any) -> list[str]:
    """What is judged, each by itself: a text, several texts, or the texts among parts that belong together."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given and all(isinstance(text, str) for text in given):
        return given
    if isinstance(given, list) and given and all(isinstance(part, dict) for part in given):
        return ["\n".join(part["text"] for part in given if isinstance(part.get("text"), str))]
    raise InvalidInput("input: a text, a list of texts, or a list of parts is required")


def result(text: str) -> dict[str, Any]:
    """Only texts are judged, which `category_applied_input_types` tells."""
    said, asked = text.lower(), {name.lower() for name in FLAG.findall(text)}
    found = {
        name: name in asked or any(re.search(rf"\b{stem}", said) for stem in stems)
        for name, stems in CATEGORIES.items()
    }
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {name: HIGH if hit else LOW for name, hit in found.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
