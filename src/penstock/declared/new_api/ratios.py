"""What their code says of prices where no option does.

Quirk: new-api has rows for gpt-3.5 that it never comes to, since those for `gpt-` stand before them; so it is 2 there.
"""

from __future__ import annotations

import fnmatch
from decimal import Decimal

Table = tuple[tuple[str, str | None], ...]
ONE = Decimal(1)

LOCKED = (
    ("*-all", None),
    ("*-gizmo-*", None),
    ("gpt-4o-2024-05-13", "3"),
    ("gpt-4o*", None),
    ("gpt-5.4-nano*", "6.25"),
    ("gpt-5.4*", "6"),
    ("gpt-5*.*", None),
    ("gpt-5*", "8"),
    ("gpt-4.5-preview*", "2"),
    ("gpt-4-turbo*", "3"),
    ("gpt-4-1106", "3"),
    ("gpt-4-1105", "3"),
    ("gpt-*", None),
    ("o1*", "4"),
    ("o3*", "4"),
    ("chatgpt-4o-latest", "3"),
    ("*claude-3*", "5"),
    ("*claude-sonnet-4*", "5"),
    ("*claude-opus-4*", "5"),
    ("*claude-haiku-4*", "5"),
    ("*claude-fable-5*", "5"),
    ("*claude-sonnet-5*", "5"),
    ("*claude-opus-5*", "5"),
    ("mistral-*", "3"),
    ("gemini-1.5*", "4"),
    ("gemini-2.0*", "4"),
    ("command-r", "3"),
    ("command-r-plus", "5"),
    ("command-r-08-2024", "4"),
    ("command-r-plus-08-2024", "4"),
    ("ERNIE-Speed-*", "2"),
    ("ERNIE-Lite-*", "2"),
    ("ERNIE-Character*", "2"),
    ("ERNIE-Functions*", "2"),
    ("llama2-70b-4096", "1.25"),
    ("llama3-8b-8192", "2"),
    ("llama3-70b-8192", "1.338983050847"),
)
"""new-api: completion ratios that no option changes; the first that fits counts, None if an option may."""
OTHERWISE = (
    ("*-all", "2"),
    ("*-gizmo-*", "2"),
    ("gpt-4o-mini-tts*", "20"),
    ("gpt-4o*", "4"),
    ("gpt-5*", "6"),
    ("gpt-image-1", "8"),
    ("gpt-*", "2"),
    ("gemini-2.5-pro*", "8"),
    ("gemini-2.5-flash-preview*-nothinking", "4"),
    ("gemini-2.5-flash-preview*", "23.333333333333"),
    ("gemini-2.5-flash-lite*", "4"),
    ("gemini-2.5-flash*", "8.333333333333"),
    ("gemini-robotics-er-1.5*", "8.333333333333"),
    ("gemini-3-pro-image*", "60"),
    ("gemini-3-pro*", "6"),
    ("gemini-*", "4"),
    ("command*", "4"),
)
"""new-api: completion ratios where no option has one. Others: 1."""
ONE_API_RATIOS = (
    ("whisper-1", "0"),
    ("deepseek-reasoner", "3.981818181818"),
    ("gpt-3.5-turbo", "3"),
    ("gpt-3.5*0125", "3"),
    ("gpt-3.5*1106", "2"),
    ("gpt-3.5*", "1.333333333333"),
    ("gpt-4o-2024-05-13", "3"),
    ("gpt-4o*", "4"),
    ("gpt-4-turbo*", "3"),
    ("gpt-4*preview", "3"),
    ("gpt-4*", "2"),
    ("o1*", "4"),
    ("chatgpt-4o-latest", "3"),
    ("claude-3*", "5"),
    ("claude-*", "3"),
    ("mistral-*", "3"),
    ("gemini-*", "3"),
    ("deepseek-*", "2"),
    ("llama2-70b-4096", "1.25"),
    ("llama3-8b-8192", "2"),
    ("llama3-70b-8192", "1.338983050847"),
    ("command", "2"),
    ("command-light", "2"),
    ("command-nightly", "2"),
    ("command-light-nightly", "2"),
    ("command-r", "3"),
    ("command-r-plus", "5"),
    ("grok-beta", "3"),
)
"""one-api: the same. Its models at Replicate are not among them."""
CACHED = (
    ("gpt-4", "0.5"),
    ("o1*", "0.5"),
    ("o3-mini*", "0.5"),
    ("gpt-4o*", "0.5"),
    ("gpt-4.5-preview*", "0.5"),
    ("gpt-4.1*", "0.25"),
    ("gpt-5*", "0.1"),
    ("deepseek-*", "0.25"),
    ("claude-*", "0.1"),
    ("gemini-3*", "0.1"),
)
"""new-api: cache ratios while its option was never saved. Others: 1."""
WRITTEN = (("claude-*", "1.25"),)
"""new-api: what a token written to a cache costs of an input token, while its option was never saved. Of others'
models it is not counted."""


def completion(model: str, saved: Decimal | None, *, new: bool) -> Decimal:
    """What a token of the answer costs of one of the question. `saved`: what the option says, if anything."""
    if not new:
        return _first(saved, fitting(ONE_API_RATIOS, model))
    held = None if saved is not None and "/" in model else fitting(LOCKED, model)
    return _first(held, saved, fitting(OTHERWISE, model))


def fitting(table: Table, model: str) -> Decimal | None:
    """The first that fits."""
    found = next((ratio for pattern, ratio in table if fnmatch.fnmatchcase(model, pattern)), None)
    return None if found is None else Decimal(found)


def _first(*ratios: Decimal | None) -> Decimal:
    return next((ratio for ratio in ratios if ratio is not None), ONE)
