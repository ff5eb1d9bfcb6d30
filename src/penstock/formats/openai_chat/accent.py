"""How vendors of one format differ in what they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

CAPS = frozenset({"max_completion_tokens", "max_tokens"})


class Accent(msgspec.Struct, frozen=True):
    cap: str = "max_completion_tokens"
    """What bounds the answer."""
    counts: bool = True
    """Knows `stream_options.include_usage`; without it a vendor counts unasked, or never."""
    recalls: bool = False
    """Takes the model's past thoughts back, as `reasoning_content`."""
    narrows: bool = True
    """Knows `allowed_tools`; for others the tools that may not be chosen are left out."""
    top_k: bool = False
    draws: bool = False
    """Takes `image` among the modalities."""
    thinks: tuple[str, ...] = ("effort",)
    """How thinking is asked for: by `effort` (`reasoning_effort`), `switch` (`thinking.type`), `allowance` (Qwen's
    `enable_thinking` and `thinking_budget`)."""
    signs: str = ""
    """The family whose signatures on tool calls go along, in `extra_content`."""
    id_size: int = 0
    """Ids of tool calls must be so many letters and digits; 0 for any."""
    adds: Mapping[str, Any] = {}
    """Goes along with every request that we write."""


PLAIN = Accent()
"""OpenAI's own."""
