"""Language models that we know: names, limits, and list prices per token.

Source: `language.json`, current prices of the open genai-prices data (MIT), which cites the vendors' pages; the file
names its version and the day. Dated and `-latest` names count as the model that they are a snapshot of.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from penstock.canonical.usage import Micros, Unit

FILE = Path(__file__).parent / "language.json"
SNAPSHOT = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
SANDBOX = "sandbox/"
MODERATION = ("omni-moderation-latest", "omni-moderation-2024-09-26", "text-moderation-latest")
"""OpenAI's; it asks nothing for them."""
SCRIPTED = ("instant", "slow", "failing", "flaky", "dying", "hanging", "refusing", "busy")


class TokenPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`micros` for every `per` units of work that takes in more than `above` tokens."""

    unit: Unit
    micros: Micros
    per: int
    above: int = 0


class Known(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """`context` is in tokens, 0 where unknown."""

    name: str
    vendor: str
    title: str
    price: tuple[TokenPrice, ...] = ()
    context: int = 0
    embeds: bool = False


class _File(msgspec.Struct, frozen=True):
    source: str
    read: str
    models: tuple[Known, ...]


@cache
def _file() -> _File:
    return msgspec.json.decode(FILE.read_bytes(), type=_File)


@cache
def _by_name() -> dict[str, Known]:
    unpriced = (Known(name, "openai", name) for name in MODERATION)
    return {model.name: model for model in (*_file().models, *unpriced)}


def source() -> str:
    return f"{_file().source}, read {_file().read}"


def every() -> tuple[Known, ...]:
    """All of them, the sandbox's scripted ones last."""
    scripted = tuple(Known(SANDBOX + name, "sandbox", f"Sandbox: {name}") for name in SCRIPTED)
    return _file().models + scripted


@lru_cache(4096)
def find(name: str) -> Known | None:
    """By name, whoever's prefix stands before it (`openai/gpt-4o`), and whatever snapshot it names."""
    known = _by_name()
    bare = name.rpartition("/")[2]
    for candidate in (name, bare, SNAPSHOT.sub("", bare)):
        if candidate in known:
            return known[candidate]
    return None
