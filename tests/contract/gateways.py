"""Two gateways for clients of language models: one whose sandbox answers, and one before it, to which the first is a
vendor of each format. So every client meets an upstream of its own format and of all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.config import load
from penstock.console.asking import operate
from tests.contract.driven import BOTH, Client, node, python
from tests.live import Live

OWN = {"own": BOTH}
"""The sandbox, which speaks every format."""
ALL = OWN | dict.fromkeys(("openai", "responses", "anthropic", "google"), BOTH)
"""And what is behind the channels of the gateway before it."""
CLIENTS: Mapping[str, Client] = {
    "openai-2": python("openai_sdk.py", "openai-2", ALL),
    "openai-3": python("openai_sdk.py", "openai-3", ALL),
    "openai-js": node("openai.mjs", ALL),
    "anthropic-0": python("anthropic_sdk.py", "anthropic-0", ALL),
    "anthropic-2": python("anthropic_sdk.py", "anthropic-2", ALL),
    "genai-1": python("genai.py", "genai-1", ALL),
    "genai-3": python("genai.py", "genai-3", ALL),
    "llm": python("llm_tool.py", "llm", {"own": ("sync",)}),
    "pydantic-ai": python("pydantic_agent.py", "pydantic-ai", {"own": ("async",)}),
}

MODELS = {"model": "sandbox/instant", "embedder": "text-embedding-3-small", "moderator": "omni-moderation-latest"}
"""What answers at the sandbox itself."""
PRICE = [{"unit": "input_token", "micros": 1, "per": 1}, {"unit": "output_token", "micros": 2, "per": 1}]
MOST_BYTES = 2_000_000
"""Of a request, so that one that is too large is soon sent."""


@dataclass(frozen=True)
class Channel:
    """`models` are the vendor's names: a translator goes by what it knows of them."""

    provider: str
    path: str
    models: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)


CHANNELS: Mapping[str, Channel] = {
    "openai": Channel("openai", "/v1", MODELS | {"model": "gpt-5.4"}),
    "responses": Channel("openai", "/v1", MODELS | {"model": "gpt-5.4"}, {"format": "openai_responses"}),
    "anthropic": Channel("anthropic", "", {"model": "claude-sonnet-4-5"}),
    "google": Channel("gemini", "", {"model": "gemini-2.5-flash", "embedder": "gemini-embedding-001"}),
}


SPOILT = ("fragile", "crowded")
"""Channels for what fails, and for what is busy and says until when."""


@dataclass(frozen=True)
class Gateways:
    """The live keys are of the one before; a slow one may ask once a minute."""

    behind: Live
    before: Live
    live_key: str
    slow_live_key: str
    slow_test_key: str

    def told(self, server: str) -> dict[str, Any]:
        """What a driver needs to know of it."""
        if server in OWN:
            models = {**MODELS, **dict.fromkeys(SPOILT, MODELS["model"])}
            return {"url": self.behind.url, "key": self.behind.test_key, "slow_key": self.slow_test_key, **models}
        models = {role: f"{role}-{server}" for role in (*MODELS, *SPOILT)}
        return {"url": self.before.url, "key": self.live_key, "slow_key": self.slow_live_key, **models}

    def imbalances(self) -> list[str]:
        """What is wrong with the books of either, once the last calls are settled."""
        return [words for live in (self.behind, self.before) for words in operator(live, "ledger.check")]

    def log_tail(self, server: str) -> str:
        return (self.behind if server in OWN else self.before).log_tail()


@contextmanager
def gateways(folder: Path) -> Iterator[Gateways]:
    bounded = {"PENSTOCK_MAX_BODY": str(MOST_BYTES)}
    with (
        Live(folder / "behind", environment=bounded) as behind,
        Live(folder / "before", environment=bounded) as before,
    ):
        live_keys = key(before, "live"), key(before, "live", rpm=1)
        operator(before, "accounts.topup", name="default", usd="1000", mode="live")
        for name, channel in CHANNELS.items():
            add(before, behind, name, channel)
        yield Gateways(behind, before, *live_keys, key(behind, "test", rpm=1))


def add(before: Live, behind: Live, name: str, channel: Channel) -> None:
    """Channels to the one behind: what fails on purpose goes through the others, and spoils only their health."""
    vendor = {"provider": channel.provider, "base_url": behind.url + channel.path, "credential": behind.test_key}
    models = {f"{role}-{name}": model for role, model in channel.models.items()}
    spoilt = [(f"{role}-{name}", {f"{role}-{name}": channel.models["model"]}) for role in SPOILT]
    for named, served in ((name, models), *spoilt):
        operator(before, "channels.add", name=named, models=served, options=dict(channel.options), **vendor)
        for model in served:
            operator(before, "prices.set", model=model, lines=PRICE)


def key(live: Live, mode: str, **bounds: int) -> str:
    return str(operator(live, "keys.create", name="callers", mode=mode, account="default", **bounds)["key"])


def operator(live: Live, act: str, **given: Any) -> Any:
    """What a command of the operator's does, without a process of its own."""
    return asyncio.run(operate(load(data=live.data), act, given))
