"""Their types of channels, and what they are here. Those above 24 mean other vendors in one-api than in new-api."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.declared.new_api.values import Row, json_map, text


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of channel. `base`: its address where the channel has none of its own, empty where our provider knows
    it; `path`: what we add to either. Without a provider it stays behind, `why` says what to do."""

    name: str
    provider: str = ""
    base: str = ""
    path: str = "/v1"
    why: str = "penstock has no provider for it"


SIGNED = "it wants signed requests, which penstock's providers do not make; many have an OpenAI-compatible address too"
RELAYED = "penstock has no provider for this relay"

BOTH = {
    1: Kind("OpenAI", "openai"),
    3: Kind("Azure", "azure", path="/openai/v1"),
    6: Kind("OpenAIMax", "compatible", "https://api.openaimax.com"),
    7: Kind("OhMyGPT", "compatible", "https://api.ohmygpt.com"),
    8: Kind("Custom", "compatible"),
    9: Kind("AILS", "compatible", "https://api.caipacity.com"),
    10: Kind("AIProxy", "compatible", "https://api.aiproxy.io"),
    11: Kind("PaLM", why="Google ended this API; use Gemini"),
    12: Kind("API2GPT", "compatible", "https://api.api2gpt.com"),
    13: Kind("AIGC2D", "compatible", "https://api.aigc2d.com"),
    14: Kind("Anthropic", "anthropic", path=""),
    15: Kind("Baidu", why=SIGNED),
    16: Kind("Zhipu", "zhipu", path="/api/paas/v4"),
    17: Kind("Ali", "dashscope", path="/compatible-mode/v1"),
    18: Kind("Xunfei", why=SIGNED),
    19: Kind("360", "compatible", "https://api.360.cn"),
    20: Kind("OpenRouter", "openrouter"),
    21: Kind("AIProxyLibrary", why=RELAYED),
    22: Kind("FastGPT", "compatible", "https://fastgpt.run/api/openapi"),
    23: Kind("Tencent", why=SIGNED),
    24: Kind("Gemini", "gemini", path=""),
    25: Kind("Moonshot", "moonshot", "https://api.moonshot.cn"),
}
NEW_API = BOTH | {
    2: Kind("Midjourney", why=RELAYED),
    4: Kind("Ollama", "ollama"),
    5: Kind("MidjourneyPlus", why=RELAYED),
    26: Kind("ZhipuV4", "zhipu", path="/api/paas/v4"),
    27: Kind("Perplexity", "perplexity", path=""),
    31: Kind("LingYiWanWu", "compatible", "https://api.lingyiwanwu.com"),
    33: Kind("AWS", why=SIGNED),
    34: Kind("Cohere", "compatible", "https://api.cohere.ai", "/compatibility/v1"),
    35: Kind("MiniMax", "minimax", "https://api.minimax.chat"),
    36: Kind("SunoAPI", why=RELAYED),
    37: Kind("Dify"),
    38: Kind("Jina", "compatible", "https://api.jina.ai"),
    39: Kind("Cloudflare", "compatible", "https://api.cloudflare.com", "/client/v4/accounts/{other}/ai/v1"),
    40: Kind("SiliconFlow", "siliconflow"),
    41: Kind("VertexAI", why=SIGNED),
    42: Kind("Mistral", "mistral"),
    43: Kind("DeepSeek", "deepseek"),
    44: Kind("MokaAI", "compatible", "https://api.moka.ai"),
    45: Kind("VolcEngine", "ark", path="/api/v3"),
    46: Kind("BaiduV2", "compatible", "https://qianfan.baidubce.com", "/v2"),
    47: Kind("Xinference", "compatible"),
    48: Kind("xAI", "xai"),
    49: Kind("Coze"),
    50: Kind("Kling"),
    51: Kind("Jimeng"),
    52: Kind("Vidu"),
    53: Kind("Submodel", "compatible", "https://llm.submodel.ai"),
    54: Kind("DoubaoVideo"),
    55: Kind("Sora"),
    56: Kind("Replicate", "replicate"),
    57: Kind("Codex", why="it logs in as a person at ChatGPT; penstock uses keys of the API alone"),
    58: Kind("AdvancedCustom", why="its own routes can't be told in a channel of penstock; add one for each address"),
}
ONE_API = BOTH | {
    2: Kind("API2D", "compatible", "https://oa.api2d.net"),
    4: Kind("CloseAI", "compatible", "https://api.closeai-proxy.xyz"),
    5: Kind("OpenAISB", "compatible", "https://api.openai-sb.com"),
    26: Kind("Baichuan", "compatible", "https://api.baichuan-ai.com"),
    27: Kind("Minimax", "minimax", "https://api.minimax.chat"),
    28: Kind("Mistral", "mistral"),
    29: Kind("Groq", "groq"),
    30: Kind("Ollama", "ollama"),
    31: Kind("LingYiWanWu", "compatible", "https://api.lingyiwanwu.com"),
    32: Kind("StepFun", "compatible", "https://api.stepfun.com"),
    33: Kind("AWS", why=SIGNED),
    34: Kind("Coze"),
    35: Kind("Cohere", "compatible", "https://api.cohere.ai", "/compatibility/v1"),
    36: Kind("DeepSeek", "deepseek"),
    37: Kind("Cloudflare", "compatible", "https://api.cloudflare.com", "/client/v4/accounts/{user_id}/ai/v1"),
    38: Kind("DeepL"),
    39: Kind("Together", "together"),
    40: Kind("Doubao", "ark", path="/api/v3"),
    41: Kind("Novita", "compatible", "https://api.novita.ai/v3/openai", ""),
    42: Kind("VertexAI", why=SIGNED),
    43: Kind("Proxy", why=RELAYED),
    44: Kind("SiliconFlow", "siliconflow"),
    45: Kind("xAI", "xai"),
    46: Kind("Replicate", "replicate"),
    47: Kind("BaiduV2", "compatible", "https://qianfan.baidubce.com", "/v2"),
    48: Kind("XunfeiV2", "compatible", "https://spark-api-open.xf-yun.com"),
    49: Kind("AliBailian", "dashscope", path="/compatible-mode/v1"),
    50: Kind("OpenAICompatible", "compatible", path=""),
    51: Kind("GeminiOpenAICompatible", "google-compatible", path=""),
}
DOTS_SINCE = 1746806400
"""2025-05-10: channels made since then send Azure the model's name as it is; those before leave out its dots."""
PLANS = {
    "glm-coding-plan": "https://open.bigmodel.cn/api/coding/paas/v4",
    "glm-coding-plan-international": "https://api.z.ai/api/coding/paas/v4",
    "kimi-coding-plan": "https://api.kimi.com/coding/v1",
    "doubao-coding-plan": "https://ark.cn-beijing.volces.com/api/coding/v3",
}
"""What new-api takes in place of an address."""
CUSTOM = 8
CUSTOM_END = "/chat/completions"
"""A custom channel of theirs has the whole URL."""
GATEWAY = "https://gateway.ai.cloudflare.com"
"""Through it they leave out the `/v1`."""


def base_url(kind: Kind, row: Row) -> str | None:
    """Empty where our provider knows it, None where there is none to be had."""
    own = text(row.get("base_url")).strip().rstrip("/")
    if own in PLANS:
        return PLANS[own]
    if own and not own.startswith(("http://", "https://")):
        return None
    if kind is BOTH[CUSTOM]:
        whole = own.endswith(CUSTOM_END) and "{" not in own
        return own.removesuffix(CUSTOM_END) if whole else None
    base = own or kind.base
    if not base:
        return None if kind.provider in ("compatible", "azure") else ""
    known = {"other": text(row.get("other")), "user_id": text(json_map(row.get("config")).get("user_id"))}
    for name, value in known.items():
        if f"{{{name}}}" in kind.path and not value:
            return None
    path = "" if base.startswith(GATEWAY) and kind is BOTH[1] else kind.path.format(**known)
    return base + path
