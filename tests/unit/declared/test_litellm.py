"""Reading LiteLLM's config.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.declared.document import Alias, Channel, Document, Group, Line, Price
from penstock.declared.litellm import KEYS, read
from penstock.errors import CallerError

CONFIG = """
include:
  - more.yaml
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_KEY_A
      order: 1
  - model_name: gpt-4o-mini
    litellm_params:
      model: gpt-4o-mini
      api_key: os.environ/OPENAI_KEY_A
      order: 1
      timeout: 30
  - model_name: gpt-4o
    litellm_params:
      model: azure/eu-4o
      api_base: os.environ/AZURE_EU
      api_key: os.environ/AZURE_KEY
      api_version: "2024-06-01"
      rpm: 60
      tpm: 100000
      order: 2
    model_info:
      base_model: azure/gpt-4o
      input_cost_per_token: 0.0000030
      output_cost_per_token: "0.000012"
  - model_name: gpt-4o
    litellm_params:
      model: azure/us-4o
      api_base: https://us.openai.azure.com/
      api_key: os.environ/AZURE_KEY
      rpm: 30
      order: 2
  - model_name: sonnet
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      weight: 3
      input_cost_per_token: 3e-6
      output_cost_per_token: 15e-6
      cache_read_input_token_cost: 3e-7
      cache_creation_input_token_cost: 3.75e-6
      input_cost_per_token_above_200k_tokens: 6e-6
      input_cost_per_token_batches: 1e-6
  - model_name: sonnet
    litellm_params:
      model: bedrock/anthropic.claude-sonnet-4-5
      aws_region_name: eu-west-1
  - model_name: llama
    litellm_params: {model: hosted_vllm/meta-llama/Llama-3.1-8B, api_base: "http://10.0.0.7:8000/v1/"}
    model_info: {input_cost_per_token: 0, output_cost_per_token: 0}
  - model_name: qwen
    litellm_params: {model: openai/qwen3, api_base: "https://llm.example.com/v1", api_key: sk-literal}
  - model_name: fast
    litellm_params: {model: groq/llama-3.3-70b-versatile, litellm_credential_name: groq}
  - model_name: "claude-*"
    litellm_params: {model: "anthropic/claude-*"}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*"}
  - model_name: "*"
    litellm_params: {model: "openrouter/*"}
  - model_name: picture
    litellm_params: {model: openai/dall-e-3}
    model_info: {mode: image_generation}
  - model_name: opus
    litellm_params: {model: anthropic/claude-opus-4-1, temperature: 0.5}
  - model_name: strange
    litellm_params: {model: nosuch/model}
  - model_name: lost
    litellm_params: {model: azure/x, api_base: os.environ/NOT_SET}
  - model_name: local
    litellm_params: {model: ollama_chat/llama3, api_base: "http://127.0.0.1:11434"}
credential_list:
  - credential_name: groq
    credential_values: {api_key: os.environ/GROQ_KEY}
router_settings:
  routing_strategy: latency-based-routing
  model_group_alias: {gpt-4: gpt-4o, hidden: {model: sonnet, hidden: true}}
  fallbacks: [{gpt-4o: [sonnet, qwen]}, {sonnet: [gpt-4o]}]
  num_retries: 2
  redis_host: os.environ/REDIS
litellm_settings:
  default_fallbacks: [llama]
  context_window_fallbacks: [{gpt-4o-mini: [gpt-4o]}]
  drop_params: true
  success_callback: [langfuse]
general_settings:
  master_key: sk-1234
  database_url: os.environ/DATABASE_URL
environment_variables:
  GROQ_KEY: gsk-literal
  LANGFUSE_HOST: https://langfuse.example.com
"""
ENV = {"AZURE_EU": "https://eu.openai.azure.com/openai/deployments/x"}
SOURCE = "litellm config.yaml"


def channel(name: str, provider: str, models: tuple[str, ...], **given: Any) -> Channel:
    plain = {"base_url": "", "credentials": (), "priority": 0, "weight": 1, "rpm": None}
    return Channel(name=name, provider=provider, models=models, **{**plain, **given})


def line(unit: str, usd: str, per: int = 1_000_000, above: int = 0) -> Line:
    return Line(unit=unit, usd=usd, per=per, above=above)


def test_a_configuration_with_most_of_what_there_is() -> None:
    moved = read(CONFIG, ENV)
    anthropic = {"credentials": ("env:ANTHROPIC_API_KEY",)}
    azure = {"credentials": ("env:AZURE_KEY",), "priority": 1}
    assert moved.document == Document(
        channels=(
            channel("openai", "openai", ("gpt-4o", "gpt-4o-mini"), credentials=("env:OPENAI_KEY_A",), priority=2),
            channel("azure eu.openai.azure.com", "azure", ("gpt-4o=eu-4o",),
                    base_url="https://eu.openai.azure.com/openai/v1", weight=60, rpm=60, **azure),
            channel("azure us.openai.azure.com", "azure", ("gpt-4o=us-4o",),
                    base_url="https://us.openai.azure.com/openai/v1", weight=30, rpm=30, **azure),
            channel("anthropic", "anthropic", ("sonnet=claude-sonnet-4-5",), weight=3, **anthropic),
            channel("hosted_vllm 10.0.0.7", "vllm", ("llama=meta-llama/Llama-3.1-8B",),
                    base_url="http://10.0.0.7:8000/v1"),
            channel("openai llm.example.com", "compatible", ("qwen=qwen3",), base_url="https://llm.example.com/v1",
                    credentials=("sk-literal",)),
            channel("groq", "groq", ("fast=llama-3.3-70b-versatile",), credentials=("gsk-literal",)),
            channel("anthropic #8", "anthropic", ("claude-*",), priority=-1, **anthropic),
            channel("openrouter", "openrouter", ("*",), priority=-1, credentials=("env:OPENROUTER_API_KEY",)),
            channel("anthropic #10", "anthropic", ("opus=claude-opus-4-1",), **anthropic),
            channel("ollama_chat 127.0.0.1", "ollama", ("local=llama3",), base_url="http://127.0.0.1:11434/v1"),
        ),
        aliases=(
            Alias(name="gpt-4", targets=("gpt-4o",)),
            Alias(name="hidden", targets=("sonnet",)),
            Alias(name="gpt-4o", targets=("gpt-4o", "sonnet", "qwen")),
            Alias(name="sonnet", targets=("sonnet", "gpt-4o")),
            Alias(name="fast", targets=("fast", "llama")),
            Alias(name="gpt-4o-mini", targets=("gpt-4o-mini", "llama")),
            Alias(name="local", targets=("local", "llama")),
            Alias(name="opus", targets=("opus", "llama")),
            Alias(name="qwen", targets=("qwen", "llama")),
        ),
        prices=(
            # the others have penstock's list price
            Price(model="gpt-4o", channel="azure eu.openai.azure.com", source=SOURCE, input_mtok="3", output_mtok="12"),
            Price(model="sonnet", source=SOURCE, input_mtok="3", cached_mtok="0.3", output_mtok="15", lines=(
                line("cache_write_token", "3.75"),
                line("input_token", "6", above=200_000),
            )),
            Price(model="llama", source=SOURCE, input_mtok="0", output_mtok="0"),
            Price(model="opus", source="list price of claude-opus-4-1", lines=(
                line("input_token", "15"),
                line("cache_write_token", "18.75"),
                line("cached_token", "1.5"),
                line("output_token", "75"),
                line("cache_write_hour_token", "30"),
                line("search", "10", per=1000),
            )),
        ),
        groups=(Group(name="default", policy="latency"),),
    )  # fmt: skip
    assert moved.skipped == (
        "timeout of deployment gpt-4o-mini (gpt-4o-mini): "
        "penstock has one time-out for all upstreams: upstream_timeout_s",
        "tpm of deployment gpt-4o (azure/eu-4o): "
        "a channel of penstock has rpm and concurrency, but no tpm; groups and keys have",
        "deployment sonnet (bedrock/anthropic.claude-sonnet-4-5): "
        "wants requests signed for a cloud, which penstock's providers do not make",
        "deployment openai/* (openai/*): penstock can't change part of a name; add a channel that names its models",
        "deployment picture (openai/dall-e-3): of mode image_generation, which penstock's providers do not do",
        "temperature of deployment opus (anthropic/claude-opus-4-1): penstock has no such setting",
        "deployment strange (nosuch/model): penstock has no provider of that name",
        "deployment lost (azure/x): no address: there is no api_base, or its variable is not set",
        "input_cost_per_token_batches of model sonnet: a price that is not carried over; see penstock prices set",
        "3 models (qwen, fast, local): without a price; set one: penstock prices set",
        "router_settings num_retries: penstock tries the next channel, not the same one again",
        "router_settings redis_host: penstock has no such setting",
        "litellm_settings context_window_fallbacks: penstock falls back after failures, not by the length of a prompt",
        "litellm_settings drop_params: "
        "penstock drops a hint that a vendor can't take, and refuses what would change the meaning",
        "litellm_settings success_callback: penstock has /metrics, and calls no logging services",
        "general_settings master_key: make a key for running penstock instead: penstock keys create",
        "general_settings database_url: penstock has a database of its own",
        "environment_variables LANGFUSE_HOST: no deployment asks for it",
        "part include: import those files too",
        KEYS,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model_list: [", "not YAML: "),
        ("- a", "this is no config.yaml of LiteLLM: it has no model_list"),
        ("model_list: {}", "this is no config.yaml of LiteLLM: it has no model_list"),
        ("model_list: !!python/object:os.system []", "not YAML: "),
    ],
)
def test_what_is_no_configuration(text: str, words: str) -> None:
    with pytest.raises(CallerError) as caught:
        read(text, {})
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    "entry", ["null", "text", "{}", "{model_name: a}", "{model_name: a, litellm_params: {model: 7}}"]
)
def test_odd_entries_are_left_behind(entry: str) -> None:
    assert read(f"model_list: [{entry}]", {}).document == Document()


def test_one_model_with_one_credential_twice_is_two_channels() -> None:
    one = "{model_name: a, litellm_params: {model: openai/b}}"
    document = read(f"model_list: [{one}, {one.replace('/b', '/c')}]", {}).document
    assert [(channel.name, channel.models) for channel in document.channels] == [
        ("openai", ("a=b",)),
        ("openai #2", ("a=c",)),
    ]


def test_everything_else_is_named_with_no_secret_of_it() -> None:
    text = """
model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: sk-hidden, organization: org-hidden}}]
general_settings: {master_key: sk-hidden, database_url: "postgresql://u:hidden@db/x"}
router_settings: {redis_password: hidden, routing_strategy: least-busy}
guardrails: [{api_key: hidden}]
"""
    skipped = "\n".join(read(text, {}).skipped)
    assert "hidden" not in skipped
    for named in ("organization", "master_key", "database_url", "redis_password", "least-busy", "guardrails"):
        assert named in skipped


@pytest.mark.parametrize(
    ("cost", "price"), [("1e19", f"1{'0' * 25}"), ("1e999999", None), (".nan", None), ("1e-29", "0")]
)
def test_odd_costs_are_told_by_whoever_applies_them(cost: str, price: str | None) -> None:
    entry = f"{{model_name: a, litellm_params: {{model: openai/a, input_cost_per_token: {cost}}}}}"
    assert [each.input_mtok for each in read(f"model_list: [{entry}]", {}).document.prices] == [price] * bool(price)
