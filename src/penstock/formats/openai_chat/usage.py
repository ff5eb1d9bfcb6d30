"""Token counts as chat completions (and their kin) report them ⇄ our disjoint units.

`prompt_tokens` holds cached, sound, and picture tokens within, `completion_tokens` reasoning, sound, and pictures.
Quirk: xAI and some relays leave reasoning out of `completion_tokens`; the total tells. DeepSeek and Moonshot say what
was cached beside the totals.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, Usage, total

Count = int | float | None


class _In(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    cached_creation_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _Out(msgspec.Struct):
    reasoning_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class Reported(msgspec.Struct):
    """A `usage` object."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _In | None = None
    completion_tokens_details: _Out | None = None
    prompt_cache_hit_tokens: Count = None
    cached_tokens: Count = None
    reasoning_tokens: Count = None


PARTS = (
    *(Unit.CACHED_TOKEN, Unit.CACHE_WRITE_TOKEN, Unit.AUDIO_INPUT_TOKEN, Unit.IMAGE_INPUT_TOKEN),
    *(Unit.REASONING_TOKEN, Unit.AUDIO_OUTPUT_TOKEN, Unit.IMAGE_OUTPUT_TOKEN),
)


def read(said: Reported) -> dict[Unit, float]:
    """Empty where the vendor counted nothing."""
    inward, outward = said.prompt_tokens_details or _In(), said.completion_tokens_details or _Out()
    cached = _first(inward.cached_tokens, said.prompt_cache_hit_tokens, said.cached_tokens)
    reasoned = _first(outward.reasoning_tokens, said.reasoning_tokens)
    written = _first(inward.cache_write_tokens, inward.cached_creation_tokens)
    into = (cached, written, inward.audio_tokens, inward.image_tokens)
    parts = (*into, reasoned, outward.audio_tokens, outward.image_tokens)
    usage: dict[Unit, float] = {}
    if any(parts):
        usage = {unit: max(0, n) for unit, n in zip(PARTS, parts, strict=True) if n is not None}
    if said.prompt_tokens is not None:
        usage[Unit.INPUT_TOKEN] = max(0, said.prompt_tokens - sum(usage.get(unit, 0) for unit in INPUT_UNITS))
    if said.completion_tokens is not None:
        whole = said.completion_tokens + (reasoned or 0 if _leaves_out_reasoning(said, reasoned or 0) else 0)
        usage[Unit.OUTPUT_TOKEN] = max(0, whole - sum(usage.get(unit, 0) for unit in OUTPUT_UNITS))
    return usage


def _leaves_out_reasoning(said: Reported, reasoned: float) -> bool:
    completed = said.completion_tokens or 0
    if not reasoned:
        return False
    return reasoned > completed or said.total_tokens == (said.prompt_tokens or 0) + completed + reasoned


def _first(*counts: Count) -> Count:
    for count in counts:
        if count is not None:
            return count
    return None


def written(usage: Usage) -> dict[str, Any] | None:
    """None where nothing was counted."""
    if not any(unit in usage for unit in (*INPUT_UNITS, *OUTPUT_UNITS)):
        return None
    prompt, completion = total(usage, INPUT_UNITS), total(usage, OUTPUT_UNITS)
    writes = total(usage, (Unit.CACHE_WRITE_TOKEN, Unit.CACHE_WRITE_HOUR_TOKEN))
    inward = {
        "cached_tokens": _of(usage, Unit.CACHED_TOKEN),
        "audio_tokens": _of(usage, Unit.AUDIO_INPUT_TOKEN),
        **({"cache_write_tokens": writes} if writes else {}),
        **({"image_tokens": _of(usage, Unit.IMAGE_INPUT_TOKEN)} if usage.get(Unit.IMAGE_INPUT_TOKEN) else {}),
    }
    outward = {
        "reasoning_tokens": _of(usage, Unit.REASONING_TOKEN),
        "audio_tokens": _of(usage, Unit.AUDIO_OUTPUT_TOKEN),
        **({"image_tokens": _of(usage, Unit.IMAGE_OUTPUT_TOKEN)} if usage.get(Unit.IMAGE_OUTPUT_TOKEN) else {}),
    }
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": inward,
        "completion_tokens_details": outward,
    }


def _of(usage: Usage, unit: Unit) -> int:
    return round(usage.get(unit, 0))
