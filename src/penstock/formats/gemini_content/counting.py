"""Google's counts, which overlap: a prompt includes what was cached, thoughts stand beside the tokens of candidates."""

from __future__ import annotations

from typing import Any

from penstock.canonical.usage import INPUT_UNITS, Unit, Usage, total
from penstock.formats.gemini_content.wire import Grounding, Tokens, WireUsage, generation


def usage(said: WireUsage, *, ended: bool) -> dict[Unit, float]:
    """In units that don't overlap. An answer that has ended and counts no candidates has the rest of the total."""
    prompt, cached = said.prompt_token_count or 0, said.cached_content_token_count or 0
    used, thoughts = said.tool_use_prompt_token_count or 0, said.thoughts_token_count or 0
    made: dict[Unit, float] = {}
    heard = max(0, _of(said.prompt_tokens_details, "AUDIO") - _of(said.cache_tokens_details, "AUDIO"))
    seen = max(0, _of(said.prompt_tokens_details, "IMAGE") - _of(said.cache_tokens_details, "IMAGE"))
    if said.prompt_token_count is not None:
        made[Unit.INPUT_TOKEN] = max(0, prompt + used - cached - heard - seen)
    if said.cached_content_token_count is not None:
        made[Unit.CACHED_TOKEN] = cached
    made |= {Unit.AUDIO_INPUT_TOKEN: heard} if heard else {}
    made |= {Unit.IMAGE_INPUT_TOKEN: seen} if seen else {}
    visible = said.candidates_token_count
    if visible is None and ended and said.total_token_count is not None:
        visible = max(0, said.total_token_count - prompt - used - thoughts)
    if visible is not None:
        spoken, drawn = (_of(said.candidates_tokens_details, kind) for kind in ("AUDIO", "IMAGE"))
        made[Unit.OUTPUT_TOKEN] = max(0, visible - spoken - drawn)
        made |= {Unit.AUDIO_OUTPUT_TOKEN: spoken} if spoken else {}
        made |= {Unit.IMAGE_OUTPUT_TOKEN: drawn} if drawn else {}
    if said.thoughts_token_count is not None:
        made[Unit.REASONING_TOKEN] = thoughts
    return made


def _of(details: list[Tokens] | None, modality: str) -> int:
    return sum(tokens.token_count for tokens in details or () if (tokens.modality or "").upper() == modality)


def searches(grounding: Grounding, model: str) -> int:
    """Web searches to pay for: each since the third generation, all of an answer together before."""
    queries = [query for query in grounding.web_search_queries or () if query]
    return len(queries) if generation(model) > 2 else min(1, len(queries))


def written_usage(counted: Usage) -> dict[str, Any]:
    """Google's overlapping counts again."""
    if not counted:
        return {}
    prompt = total(counted, INPUT_UNITS)
    visible = total(counted, (Unit.OUTPUT_TOKEN, Unit.AUDIO_OUTPUT_TOKEN, Unit.IMAGE_OUTPUT_TOKEN))
    thoughts, cached = round(counted.get(Unit.REASONING_TOKEN, 0)), round(counted.get(Unit.CACHED_TOKEN, 0))
    made: dict[str, Any] = {"promptTokenCount": prompt, "candidatesTokenCount": visible}
    made |= {"thoughtsTokenCount": thoughts} if Unit.REASONING_TOKEN in counted else {}
    made |= {"cachedContentTokenCount": cached} if Unit.CACHED_TOKEN in counted else {}
    made["totalTokenCount"] = prompt + visible + thoughts
    for name, whole, units in (
        ("promptTokensDetails", prompt, {"AUDIO": Unit.AUDIO_INPUT_TOKEN, "IMAGE": Unit.IMAGE_INPUT_TOKEN}),
        ("candidatesTokensDetails", visible, {"AUDIO": Unit.AUDIO_OUTPUT_TOKEN, "IMAGE": Unit.IMAGE_OUTPUT_TOKEN}),
    ):
        others = {kind: round(counted[unit]) for kind, unit in units.items() if counted.get(unit)}
        if whole:
            split = {"TEXT": whole - sum(others.values()), **others}
            made[name] = [{"modality": kind, "tokenCount": count} for kind, count in split.items() if count]
    return made
