"""Vectors of texts: words and their parts are thrown into dimensions by a hash, so texts that share them are near.

The same text gives the same vector, always and everywhere, of length 1. It knows spelling, not meaning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

from penstock.canonical.chat import EmbedRequest
from penstock.errors import InvalidInput

USUAL = 1536
DIMENSIONS = (
    ("text-embedding-3-large", 3072),
    ("gemini-embedding", 3072),
    ("embedding-001", 768),
    ("embedding-004", 768),
    ("gemini", 768),
)
"""What the vendors' own models answer with when nothing is asked for; the first name that fits counts."""
MOST = 4096
SPREAD = 8
PART_WEIGHT = 0.4
REMEMBERED = 20_000
LONGEST_WORD = 64


def vectors(request: EmbedRequest) -> list[list[float]]:
    """Raises InvalidInput for dimensions that nobody has."""
    size = request.dimensions or usual(request.model)
    if not 1 <= size <= MOST:
        raise InvalidInput(f"The sandbox has 1 to {MOST} dimensions, not {size}.")
    return [vector(text, size) for text in request.inputs]


def usual(model: str) -> int:
    return next((size for name, size in DIMENSIONS if name in model), USUAL)


def vector(text: str | tuple[int, ...], size: int) -> list[float]:
    found = [0.0] * size
    weights: dict[str, float] = {}
    for feature, weight in features(text):
        weights[feature] = weights.get(feature, 0.0) + weight
    for feature, weight in (weights or {"": 1.0}).items():
        for at, sign in places(feature):
            found[at % size] += sign * math.sqrt(weight)
    length = math.sqrt(sum(value * value for value in found))
    if not length:  # two that cancel each other out
        return [1.0] + [0.0] * (size - 1)
    return [round(value / length, 8) for value in found]


def features(text: str | tuple[int, ...]) -> Iterator[tuple[str, float]]:
    """Whole words, and their parts of three letters, so that `boats` is near `boat`."""
    for word in re.findall(r"\w+", text.lower()) if isinstance(text, str) else [f"#{token}" for token in text]:
        word = word[:LONGEST_WORD]
        yield word, 1.0
        edged = f"^{word}$"
        for at in range(len(edged) - 2):
            yield edged[at : at + 3], PART_WEIGHT


@lru_cache(REMEMBERED)
def places(feature: str) -> tuple[tuple[int, int], ...]:
    """Where a feature shows: (a dimension before the modulus, 1 or -1)."""
    rolled = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=2 * SPREAD).digest()
    values = [int.from_bytes(rolled[at : at + 2]) for at in range(0, len(rolled), 2)]
    return tuple([(value >> 1, 1 if value & 1 else -1) for value in values])
