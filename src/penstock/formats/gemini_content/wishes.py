"""How an answer shall be: a request's `generationConfig`, written for the model that it goes to.

Sources: google-genai 3.4.0, ai.google.dev on thinking; read 2026-11-21.
"""

from __future__ import annotations

import re
from typing import Any

from penstock.canonical.chat import ChatRequest, Effort, JsonOutput, Thinking
from penstock.formats.gemini_content.schemas import cleaned
from penstock.formats.gemini_content.spelling import without_empty
from penstock.formats.gemini_content.wire import generation

UNSTEERED = re.compile(r"-(?:image|tts|native-audio)\b")
"""Models that draw or speak think as they like."""
LEVELS: dict[Effort, str] = {
    "none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH",
    "max": "HIGH",
}  # fmt: skip
SHARES: dict[Effort, float] = {"none": 0, "minimal": 0.05, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 1, "max": 1}
"""Of the largest budget."""
BUDGETS = {"gemini-2.5-pro": (128, 32768), "gemini-2.5-flash-lite": (512, 24576), "gemini-2.5-flash": (1, 24576)}
"""(least, most) tokens of thought; only the first can't do without any."""


def generation_config(request: ChatRequest, model: str, dropped: dict[str, None]) -> dict[str, Any]:
    modalities = ["TEXT", "IMAGE"] if request.draws else []
    return without_empty(
        temperature=request.temperature,
        topP=request.top_p,
        topK=request.top_k,
        maxOutputTokens=request.max_tokens,
        stopSequences=list(request.stop),
        seed=request.seed,
        presencePenalty=request.presence_penalty,
        frequencyPenalty=request.frequency_penalty,
        responseLogprobs=True if request.logprobs is not None else None,
        logprobs=request.logprobs or None,
        responseModalities=modalities + (["AUDIO"] if request.speaks else []),
        thinkingConfig=_thinking(request.thinking, request.max_tokens, model, dropped),
        **_output(request.output, dropped),
    )


def _output(output: JsonOutput | None, dropped: dict[str, None]) -> dict[str, Any]:
    if output is None:
        return {}
    said: dict[str, Any] = {"responseMimeType": "application/json"}
    if not output.schema:
        return said
    made, lost = cleaned(output.schema)
    dropped |= {f"JsonOutput.schema.{keyword}": None for keyword in lost}
    return said | ({"responseJsonSchema": output.schema} if made is None else {"responseSchema": made})


def _thinking(wish: Thinking | None, most: int | None, model: str, dropped: dict[str, None]) -> dict[str, Any]:
    """A level since the third generation, a budget before; `thinking` is dropped where neither is known."""
    if wish is None:
        return {}
    bare = model.rpartition("/")[2]
    limits = next((limits for name, limits in BUDGETS.items() if bare.startswith(name)), None)
    steered = not UNSTEERED.search(bare)
    if steered and generation(model) > 2:
        knob: dict[str, Any] = without_empty(thinkingLevel=_level(wish, bare))
    elif steered and limits:
        knob = without_empty(thinkingBudget=_budget(wish, most, *limits, stops="pro" not in bare))
    else:
        dropped |= {"thinking": None} if wish.effort not in (None, "none") or wish.budget or wish.visible else {}
        return {}
    dropped |= {"Thinking.summary": None} if wish.summary else {}
    thinks = wish.effort != "none" and wish.budget != 0
    shown = wish.visible if wish.visible is not None else True if thinks else None
    return knob | without_empty(includeThoughts=shown)


def _level(wish: Thinking, bare: str) -> str | None:
    """The models named pro can't think as little as the others, and the first of them knows two levels alone."""
    if wish.effort is None and wish.budget in (None, -1):
        return None
    level = LEVELS[wish.effort or effort_of(wish.budget or 0)]
    if "-pro" in bare and level == "MINIMAL":
        return "LOW"
    return "HIGH" if bare.startswith("gemini-3-pro") and level == "MEDIUM" else level


def effort_of(budget: int) -> Effort:
    return "none" if budget == 0 else "low" if budget <= 1280 else "medium" if budget <= 4096 else "high"


def _budget(wish: Thinking, answer: int | None, least: int, most: int, *, stops: bool) -> int | None:
    if wish.budget is not None and wish.budget < 0:
        return -1
    if wish.budget is None and wish.effort is None:
        return None
    wanted = (
        wish.budget if wish.budget is not None else round(SHARES[wish.effort or "none"] * min(most, answer or most))
    )
    return 0 if wanted == 0 and stops else min(max(wanted, least), most)
