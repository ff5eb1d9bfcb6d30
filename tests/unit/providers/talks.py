"""Holds a provider's side of a talk: gives it recorded replies, and tells what it asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock.providers._base import Ask, Talk

REPLIES = Path(__file__).parents[2] / "replies"


def reply(provider: str, name: str) -> Any:
    """The body of a recorded reply."""
    return recorded(provider, name)["body"]


def recorded(provider: str, name: str) -> dict[str, Any]:
    return dict(json.loads((REPLIES / provider / f"{name}.json").read_text()))


def held(talk: Talk[Any], *replies: Any) -> tuple[Any, list[Ask]]:
    """What the talk came to, and its requests. It must ask as often as there are replies."""
    asks = []
    left = list(replies)
    try:
        asks.append(next(talk))
        while True:
            asks.append(talk.send(left.pop(0)))
    except StopIteration as done:
        assert left == [], "it asked less often than expected"
        return done.value, asks
