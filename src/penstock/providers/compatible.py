"""Vendors and servers that speak OpenAI's chat completions: one row each.

Source: base URLs as the vendors' own pages and public clients give them; what stands beside a quirk for that; read
2026-11-21. `compatible` is any other server: its channel has a base URL of its own.
Bills: tokens, by each vendor's price list.
Quirks: most know the bound on an answer as `max_tokens` alone or too, so that is what they are sent. Strict ones (Groq,
Cerebras, Mistral) refuse past thoughts as `reasoning_content`, others refuse requests that lack them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from penstock.errors import ContentRefused, PenstockError
from penstock.formats.openai_chat import OpenAIChat
from penstock.formats.openai_chat.accent import Accent
from penstock.formats.openai_embeddings import FloatEmbeddings, OpenAIEmbeddings
from penstock.formats.openai_moderations import OpenAIModerations
from penstock.providers._base import Bearer, CallEndpoint, InHeader
from penstock.providers.openai import OpenAI

USUAL = Accent(cap="max_tokens", narrows=False)
OWN = Accent(cap="max_tokens", narrows=False, top_k=True)
"""Of servers that run open models: they take `top_k` among their sampling fields."""
THINKING = Accent(cap="max_tokens", narrows=False, recalls=True, thinks=("switch",))
"""`thinking.type` turns thoughts on and off; in a tool loop those that led to a call must come back with it
(api-docs.deepseek.com/guides/thinking_mode: else a 400)."""
EMBEDS = (OpenAIEmbeddings(),)
BEARER = Bearer()
BILLS_ON = frozenset({"groq", "google-compatible", "mistral", "perplexity", "minimax", "dashscope"})
"""Vendors where hanging up does not end what they bill, by OpenRouter's list (its docs on cancelling streams)."""


@dataclass(frozen=True)
class Vendor:
    """`embeds` is empty for those without embeddings. `lacks`: what chat completions of this vendor refuse."""

    name: str
    base_url: str = ""
    accent: Accent = USUAL
    embeds: tuple[OpenAIEmbeddings, ...] = EMBEDS
    moderates: bool = False
    lacks: tuple[str, ...] = ()
    auth: Bearer | InHeader = BEARER
    refusals: Mapping[int, type[PenstockError]] = field(default_factory=dict)

    def calls(self) -> tuple[CallEndpoint, ...]:
        return (
            CallEndpoint(
                OpenAIChat(self.accent), "/chat/completions", lacks=self.lacks, stops=self.name not in BILLS_ON
            ),
            *(CallEndpoint(format, "/embeddings") for format in self.embeds),
            *((CallEndpoint(OpenAIModerations(), "/moderations"),) if self.moderates else ()),
        )


VENDORS = (
    Vendor("compatible"),
    # Servers of one's own.
    Vendor("vllm", "http://127.0.0.1:8000/v1", OWN),
    Vendor("sglang", "http://127.0.0.1:30000/v1", OWN),
    Vendor("llamacpp", "http://127.0.0.1:8080/v1", OWN),
    Vendor("lmstudio", "http://127.0.0.1:1234/v1", OWN, embeds=(FloatEmbeddings(),)),
    Vendor("ollama", "http://127.0.0.1:11434/v1", embeds=(FloatEmbeddings(),)),  # ollama/ollama#6934: never base64
    # Many vendors' models behind one address.
    # Its 403 is moderation, not a bad key (openrouter.ai/docs, errors).
    Vendor(
        "openrouter",
        "https://openrouter.ai/api/v1",
        replace(OWN, draws=True),
        refusals={403: ContentRefused},
    ),
    Vendor("together", "https://api.together.xyz/v1", OWN),
    Vendor("fireworks", "https://api.fireworks.ai/inference/v1", OWN),
    Vendor("siliconflow", "https://api.siliconflow.cn/v1", OWN),
    Vendor("nvidia", "https://integrate.api.nvidia.com/v1"),
    # Refuses `store` (fanenr/chatbot#21).
    Vendor("groq", "https://api.groq.com/openai/v1", embeds=(), lacks=("store",)),
    Vendor("cerebras", "https://api.cerebras.ai/v1", embeds=()),
    # OpenAI's own models, by the names of deployments; the address is the resource's own, so the channel has it.
    Vendor("azure", accent=Accent(), auth=InHeader("api-key")),
    # Signatures of tool calls go along in `extra_content`, which Gemini 3 needs back.
    Vendor(
        "google-compatible",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        replace(USUAL, signs="google"),
    ),
    # Makers of models.
    Vendor("deepseek", "https://api.deepseek.com/v1", replace(THINKING, thinks=("switch", "effort")), embeds=()),
    # Refuses every field that it does not know and counts unasked (dnakov/anon-kode#53, charmbracelet/crush#1590); ids
    # of calls have nine letters (anomalyco/opencode#1680).
    Vendor(
        "mistral",
        "https://api.mistral.ai/v1",
        replace(USUAL, counts=False, id_size=9),
        moderates=True,
        lacks=(
            "stream_options",
            "store",
            "user",
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "seed",
            "service_tier",
            "verbosity",
            "web_search_options",
        ),
    ),
    Vendor("xai", "https://api.x.ai/v1", Accent(narrows=False)),
    Vendor("perplexity", "https://api.perplexity.ai", embeds=()),
    Vendor("moonshot", "https://api.moonshot.ai/v1", THINKING, embeds=()),
    Vendor("zhipu", "https://open.bigmodel.cn/api/paas/v4", THINKING),
    Vendor("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", replace(OWN, thinks=("allowance",))),
    Vendor("ark", "https://ark.cn-beijing.volces.com/api/v3", replace(USUAL, thinks=("switch",))),  # Volcengine
    # Thoughts stand in the text unless they are asked to be apart (vellum-ai/vellum-assistant#34556).
    Vendor(
        "minimax",
        "https://api.minimax.io/v1",
        replace(THINKING, adds={"reasoning_split": True}),
        embeds=(),
    ),
)


def _provider(vendor: Vendor) -> type[OpenAI]:
    facts = {
        "__module__": __name__,
        "__doc__": f"{vendor.name}: see VENDORS.",
        "name": vendor.name,
        "base_url": vendor.base_url,
        "auth": vendor.auth,
        "calls": vendor.calls(),
        "refusals": vendor.refusals,
    }
    return type(vendor.name, (OpenAI,), facts)


globals().update({vendor.name: _provider(vendor) for vendor in VENDORS})  # where providers are found
