"""Price lists of others. The excerpts are shaped like entries of LiteLLM 1.109.1 and genai-prices 0.2.3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.errors import CallerError
from penstock.ledger.lines import written
from penstock.ledger.lists import read

TODAY = "2026-11-21"
LITELLM = """{
  "sample_spec": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "mode": "one of: chat, embedding"},
  "gpt-4o": {
    "cache_read_input_token_cost": 1.25e-06, "input_cost_per_token": 2.5e-06, "input_cost_per_token_batches": 1.25e-06,
    "input_cost_per_token_priority": 4.25e-06, "output_cost_per_token": 1e-05, "mode": "chat",
    "source": "https://developers.openai.com/api/docs/pricing"
  },
  "claude": {
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
    "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "mode": "chat",
    "search_context_cost_per_query": {
      "search_context_size_high": 0.05, "search_context_size_low": 0.01, "search_context_size_medium": 0.03
    }
  },
  "gemini/pro": {
    "input_cost_per_token": 1.25e-06, "input_cost_per_token_above_200k_tokens": 2.5e-06,
    "input_cost_per_token_above_200k_tokens_priority": 4.5e-06, "input_cost_per_audio_token": 7e-07,
    "cache_read_input_token_cost_above_200k_tokens": 2.5e-07, "output_cost_per_reasoning_token": 2e-06,
    "output_cost_per_token": 1e-05, "output_cost_per_token_above_200k_tokens": 1.5e-05, "mode": "chat"
  },
  "dashscope/flash": {"mode": "chat", "tiered_pricing": [
    {"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]},
    {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1000000.0]}
  ]},
  "fine": {"input_cost_per_token": 1.2345e-11, "mode": "embedding"},
  "odd": {"input_cost_per_token": 1.0000000000000001e-07, "output_cost_per_token": 1e-07, "mode": "chat"},
  "half": {"input_cost_per_token": 1e-07, "mode": "chat"},
  "free": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "mode": "chat"},
  "paint": {"input_cost_per_token": 5e-06, "output_cost_per_image": 0.04, "mode": "image_generation"}
}"""


def lines(content: str, model: str) -> list[str]:
    return [written(line) for line in read(content, TODAY)[model].lines]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", ["cached_token=1.25/1000000", "input_token=2.5/1000000", "output_token=10/1000000"]),
        (
            "claude",
            [
                *("cache_write_token=3.75/1000000", "cache_write_hour_token=6/1000000", "input_token=3/1000000"),
                *("output_token=15/1000000", "search=30/1000"),
            ],
        ),
        (
            "gemini/pro",
            [
                *("input_token=1.25/1000000", "input_token=2.5/1000000 above 200000", "audio_input_token=0.7/1000000"),
                *("reasoning_token=2/1000000", "output_token=10/1000000", "output_token=15/1000000 above 200000"),
            ],
        ),
        (
            "dashscope/flash",
            [
                *("input_token=0.05/1000000", "output_token=0.4/1000000"),
                *("input_token=0.25/1000000 above 256000", "output_token=2/1000000 above 256000"),
            ],
        ),
        ("fine", ["input_token=0.012345/1000000000"]),
    ],
)
def test_litellm_s(model: str, expected: list[str]) -> None:
    assert lines(LITELLM, model) == expected


@pytest.mark.parametrize(
    ("model", "why"),
    [("odd", "exactly"), ("half", "what comes out"), ("free", "or 0"), ("paint", "image generation")],
)
def test_what_can_t_be_taken_over_is_refused_and_said_why(model: str, why: str) -> None:
    entry = read(LITELLM, TODAY)[model]
    assert (entry.lines, why in entry.refused) == ((), True)


def test_the_source_is_the_page_that_the_list_names() -> None:
    found = read(LITELLM, TODAY)
    assert found["gpt-4o"].source == "https://developers.openai.com/api/docs/pricing"
    assert "litellm" in found["claude"].source
    assert "sample_spec" not in found


def provider(id: str, **models: Any) -> dict[str, Any]:
    found = [{"id": name, "prices": prices} for name, prices in models.items()]
    return {"id": id, "name": id, "pricing_urls": [f"https://{id}.example/prices"], "models": found}


TIERED = {"input_mtok": {"base": 5, "tiers": [{"start": 200000, "price": 10}]}, "output_mtok": 25}
GENAI = json.dumps(
    [
        provider("azure", m={"input_mtok": 9, "output_mtok": 9}, own={"input_mtok": 1, "requests_kcount": 12}),
        provider(
            "openai",
            m={"input_mtok": 2.5, "cache_read_mtok": 1.25, "output_mtok": 10, "unheard_of_mtok": 3},
            tiered=[{"prices": TIERED}, {"constraint": {"start_date": "2026-11-22"}, "prices": {"input_mtok": 1}}],
            changed=[{"prices": TIERED}, {"constraint": {"start_date": "2026-11-21"}, "prices": {"input_mtok": 1}}],
            hourly=[{"prices": TIERED}, {"constraint": {"start_time": "00:30:00Z"}, "prices": {"input_mtok": 1}}],
            third={"input_mtok": 0.08333333333333334},
        ),
    ]
)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("m", ["input_token=2.5/1000000", "cached_token=1.25/1000000", "output_token=10/1000000"]),
        ("openai/m", ["input_token=2.5/1000000", "cached_token=1.25/1000000", "output_token=10/1000000"]),
        ("azure/m", ["input_token=9/1000000", "output_token=9/1000000"]),
        ("own", ["input_token=1/1000000", "run=12/1000"]),
        ("tiered", ["input_token=5/1000000", "input_token=10/1000000 above 200000", "output_token=25/1000000"]),
        ("changed", ["input_token=1/1000000"]),
    ],
)
def test_genai_prices(model: str, expected: list[str]) -> None:
    assert lines(GENAI, model) == expected
    assert lines(json.dumps({"providers": json.loads(GENAI)}), model) == expected


@pytest.mark.parametrize(("model", "why"), [("hourly", "other hours"), ("third", "exactly")])
def test_what_genai_prices_has_and_we_cannot_say(model: str, why: str) -> None:
    assert why in read(GENAI, TODAY)[model].refused


@pytest.mark.parametrize(
    "content",
    ["", "[", "{}", "[]x", "5", '{"a": 1}', '[{"models": 5, "id": "a"}]', '[{"models": [{}], "id": "a"}]',
     '{"m": {"input_cost_per_token": "x", "mode": "chat"}}', '{"m": {"input_cost_per_token": {}, "mode": "chat"}}',
     '{"m": {"input_cost_per_token": NaN, "mode": "chat"}}', '{"m": {"input_cost_per_token": 1, "mode": []}}',
     '{"m": {"input_cost_per_token": 1, "search_context_cost_per_query": 5, "output_cost_per_token": 1}}',
     '{"m": {"input_cost_per_token": 1e999999999, "mode": "chat"}}', "[" * 10**5],
)  # fmt: skip
def test_what_is_no_price_list_is_told_so(content: str) -> None:
    try:
        found = read(content, TODAY)
    except CallerError as error:
        assert "price list" in str(error)
    else:
        assert all(entry.refused for entry in found.values())
