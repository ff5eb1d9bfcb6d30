"""Price lists of others, as lines of ours: LiteLLM's and genai-prices'. Prices of tokens, runs, and searches alone.

Source: `model_prices_and_context_window.json` of LiteLLM 1.109.1, `prices/data.json` and `data_slim.json` of
genai-prices 0.2.3 with its `units.yml`; read 2026-11-21.
Units: LiteLLM has dollars for one token, genai-prices for a million; of its tiers, too, the last one that is passed
counts for the whole.
Quirks: LiteLLM lists what it does not know as 0, so models without any price there are refused. Prices of other
service tiers (`_batches`, `_priority`, `_flex`) are left out. Where a price of genai-prices changed, today's counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from penstock.canonical.usage import Unit
from penstock.errors import CallerError
from penstock.ledger.rules import Line

MTOK = 1_000_000
LITELLM = "https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json"
GENAI = "https://github.com/pydantic/genai-prices"
PER_TOKEN: Mapping[str, Unit] = {
    "input_cost_per_token": Unit.INPUT_TOKEN,
    "cache_read_input_token_cost": Unit.CACHED_TOKEN,
    "cache_creation_input_token_cost": Unit.CACHE_WRITE_TOKEN,
    "cache_creation_input_token_cost_above_1hr": Unit.CACHE_WRITE_HOUR_TOKEN,
    "input_cost_per_audio_token": Unit.AUDIO_INPUT_TOKEN,
    "input_cost_per_image_token": Unit.IMAGE_INPUT_TOKEN,
    "output_cost_per_token": Unit.OUTPUT_TOKEN,
    "output_cost_per_reasoning_token": Unit.REASONING_TOKEN,
    "output_cost_per_audio_token": Unit.AUDIO_OUTPUT_TOKEN,
    "output_cost_per_image_token": Unit.IMAGE_OUTPUT_TOKEN,
    "input_cost_per_request": Unit.RUN,
}
"""LiteLLM's, perhaps with `_above_200k_tokens` behind."""
ABOVE = re.compile(r"_above_(\d+)k_tokens$")
TEXT = frozenset({"chat", "completion", "responses", "embedding", None})
"""Kinds of LiteLLM's models that are billed by tokens alone."""
PER_MTOK: Mapping[str, tuple[Unit, int]] = {
    "input_mtok": (Unit.INPUT_TOKEN, MTOK),
    "cache_read_mtok": (Unit.CACHED_TOKEN, MTOK),
    "cache_write_mtok": (Unit.CACHE_WRITE_TOKEN, MTOK),
    "cache_write_5m_mtok": (Unit.CACHE_WRITE_TOKEN, MTOK),
    "cache_write_1h_mtok": (Unit.CACHE_WRITE_HOUR_TOKEN, MTOK),
    "input_audio_mtok": (Unit.AUDIO_INPUT_TOKEN, MTOK),
    "input_image_mtok": (Unit.IMAGE_INPUT_TOKEN, MTOK),
    "output_mtok": (Unit.OUTPUT_TOKEN, MTOK),
    "output_reasoning_mtok": (Unit.REASONING_TOKEN, MTOK),
    "output_audio_mtok": (Unit.AUDIO_OUTPUT_TOKEN, MTOK),
    "output_image_mtok": (Unit.IMAGE_OUTPUT_TOKEN, MTOK),
    "requests_kcount": (Unit.RUN, 1000),
    "web_searches_kcount": (Unit.SEARCH, 1000),
}
"""genai-prices'."""
MAKERS = ("openai", "anthropic", "google", "mistral", "deepseek", "x-ai", "cohere", "moonshotai")
"""Whose models are known by their bare names, first in genai-prices."""


class Entry(Struct, frozen=True):
    """One model's price, or why it is none of ours."""

    lines: tuple[Line, ...] = ()
    source: str = ""
    refused: str = ""


class _Refused(Exception):
    """The words are for the operator."""


def read(content: str | bytes, today: str) -> dict[str, Entry]:
    """The models of either list. `today`: an ISO date, for prices that changed. Raises CallerError."""
    try:
        found = json.loads(content, parse_float=Decimal, parse_int=_int)
    except (ValueError, RecursionError) as error:
        raise CallerError(f"the price list is no JSON: {str(error)[:200]}") from None
    providers = found.get("providers") if isinstance(found, dict) else found
    try:
        if isinstance(providers, list) and all("models" in provider for provider in providers):
            return dict(_genai(providers, today))
        if isinstance(found, dict) and any(PER_TOKEN.keys() & set(model) for model in found.values()):
            return {name: _entry(_litellm, model) for name, model in found.items() if name != "sample_spec"}
    except (AttributeError, KeyError, TypeError):
        raise CallerError("the price list has a part that makes no sense") from None
    raise CallerError(
        "not a price list that is known here: give LiteLLM's model_prices_and_context_window.json, or data.json of"
        " genai-prices"
    )


def _entry(reader: Any, *given: Any) -> Entry:
    try:
        lines, source = reader(*given)
    except _Refused as error:
        return Entry(refused=str(error))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return Entry(refused="what the list says of it makes no sense")
    if not any(line.micros for line in lines):
        return Entry(refused="the list has no price for it, or 0; set one: penstock prices set")
    return Entry(lines, source)


# ── LiteLLM ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _litellm(model: Mapping[str, Any]) -> tuple[tuple[Line, ...], str]:
    mode = model.get("mode")
    if mode not in TEXT:
        raise _Refused(f"{str(mode).replace('_', ' ')} is not billed by tokens alone; set a price: penstock prices set")
    lines = [line for part, above in _tiers(model) for line in _per_token(part, above)]
    kinds = {line.unit for line in lines if not line.above}
    if Unit.INPUT_TOKEN in kinds and Unit.OUTPUT_TOKEN not in kinds and mode != "embedding":
        raise _Refused("the list has no price for what comes out")
    search = model.get("search_context_cost_per_query") or {}
    if usd := search.get("search_context_size_medium"):
        lines.append(_line(Unit.SEARCH, Decimal(usd) * 1000, 1000, 0))
    # A tier for a unit that has no price below it would make it free there.
    lines = [line for line in lines if not line.above or line.unit in kinds]
    return tuple(lines), str(model.get("source") or LITELLM)


def _tiers(model: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    yield model, 0
    for tier in model.get("tiered_pricing") or ():
        yield tier, int(tier["range"][0])


def _per_token(part: Mapping[str, Any], above: int) -> Iterator[Line]:
    for field, usd in part.items():
        tier = ABOVE.search(field)
        unit = PER_TOKEN.get(ABOVE.sub("", field))
        if unit is not None and usd is not None:
            per = 1 if unit is Unit.RUN else MTOK
            yield _line(unit, Decimal(usd) * per, per, int(tier[1]) * 1000 if tier else above)


# ── genai-prices ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _genai(providers: list[Mapping[str, Any]], today: str) -> Iterator[tuple[str, Entry]]:
    """Each as `provider/model`; a maker's, and what only others offer, also by the bare name."""
    bare: dict[str, Entry] = {}
    full: dict[str, Entry] = {}
    for provider in sorted(providers, key=lambda each: (each["id"] not in MAKERS, each["id"])):
        source = next(iter(provider.get("pricing_urls") or ()), GENAI)
        for model in provider["models"]:
            entry = _entry(_today, model["prices"], today, source)
            bare.setdefault(model["id"], entry)
            full[f"{provider['id']}/{model['id']}"] = entry
    yield from (bare | full).items()


def _today(prices: Any, today: str, source: str) -> tuple[tuple[Line, ...], str]:
    for given in reversed(prices if isinstance(prices, list) else [{"prices": prices}]):
        constraint = given.get("constraint") or {}
        if "start_time" in constraint:
            raise _Refused("it has another price at other hours; set one: penstock prices set")
        if constraint.get("start_date", "") <= today:
            return tuple(_per_mtok(given["prices"])), source
    raise _Refused(f"the list has no price for it on {today}")


def _per_mtok(prices: Mapping[str, Any]) -> Iterator[Line]:
    for field, usd in prices.items():
        if field not in PER_MTOK or usd is None:
            continue
        unit, per = PER_MTOK[field]
        if isinstance(usd, Mapping):
            yield _line(unit, usd["base"], per, 0)
            for tier in usd["tiers"]:
                yield _line(unit, tier["price"], per, int(tier["start"]))
        else:
            yield _line(unit, usd, per, 0)


# ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _line(unit: Unit, usd: Any, per: int, above: int) -> Line:
    """Exact, in whole micro-dollars for so many, or for a thousand times as many."""
    micros = Decimal(usd) * 1_000_000
    for times in (1, 1000):
        whole = micros * times
        if whole == whole.to_integral_value() and 0 <= whole < 10**15:
            return Line(unit, int(whole), per * times, above)
    raise _Refused(f"{unit}: {usd} USD for {per} can't be said exactly in micro-dollars for {per * 1000}")


def _int(digits: str) -> int:
    return int(digits[:30])
