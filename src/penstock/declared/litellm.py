"""LiteLLM's `config.yaml`, as a document of ours.

Source: litellm 1.106.2 (types/router.py, types/utils.py, litellm_core_utils/get_llm_provider_logic.py, llms/*) and its
proxy's reference of settings; read 2026-11-21.
Units: their costs are dollars for a single token; ours are for a million.
Quirks: several entries of one `model_name` are deployments that share its load. `order` 1 is tried first; ours tries
the highest priority. `openai/…` with an `api_base` is how it is told of any OpenAI-compatible server. A key that is not
given is looked for in the environment, by a name of each provider's. A wildcard counts only where no name does; here
it comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import yaml

from penstock.catalog import language
from penstock.declared.document import ENV, Alias, Channel, Document, Group, Line, Price
from penstock.declared.moved import Moved, Names, Skipped, listed, usd
from penstock.errors import CallerError
from penstock.money import number

THEIR_ENV = "os.environ/"
MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Known:
    """What a prefix of theirs is here. `base`: where it goes without an `api_base`, empty where our provider says it,
    None where there must be one. `env`: where its key is looked for; empty for servers of one's own."""

    provider: str
    base: str | None = ""
    env: str = ""


KNOWN = {
    "openai": Known("openai", env="OPENAI_API_KEY"),
    "text-completion-openai": Known("openai", env="OPENAI_API_KEY"),
    "custom_openai": Known("compatible", None),
    "openai_like": Known("compatible", None),
    "litellm_proxy": Known("compatible", None, "LITELLM_PROXY_API_KEY"),
    "azure": Known("azure", None, "AZURE_API_KEY"),
    "anthropic": Known("anthropic", env="ANTHROPIC_API_KEY"),
    "gemini": Known("gemini", env="GEMINI_API_KEY"),
    "replicate": Known("replicate", env="REPLICATE_API_KEY"),
    "mistral": Known("mistral", env="MISTRAL_API_KEY"),
    "codestral": Known("compatible", "https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY"),
    "groq": Known("groq", env="GROQ_API_KEY"),
    "cerebras": Known("cerebras", env="CEREBRAS_API_KEY"),
    "together_ai": Known("together", env="TOGETHERAI_API_KEY"),
    "fireworks_ai": Known("fireworks", env="FIREWORKS_API_KEY"),
    "openrouter": Known("openrouter", env="OPENROUTER_API_KEY"),
    "deepseek": Known("deepseek", env="DEEPSEEK_API_KEY"),
    "xai": Known("xai", env="XAI_API_KEY"),
    "perplexity": Known("perplexity", env="PERPLEXITYAI_API_KEY"),
    "moonshot": Known("moonshot", env="MOONSHOT_API_KEY"),
    "zai": Known("zhipu", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "dashscope": Known("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    "volcengine": Known("ark", env="VOLCENGINE_API_KEY"),
    "minimax": Known("minimax", env="MINIMAX_API_KEY"),
    "nvidia_nim": Known("nvidia", env="NVIDIA_NIM_API_KEY"),
    "hosted_vllm": Known("vllm", None),
    "lm_studio": Known("lmstudio", None),
    "llamafile": Known("compatible", "http://127.0.0.1:8080/v1"),
    "xinference": Known("compatible", None),
    "ollama": Known("ollama"),
    "ollama_chat": Known("ollama"),
    "cohere": Known("compatible", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "cohere_chat": Known("compatible", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "jina_ai": Known("compatible", "https://api.jina.ai/v1", "JINA_AI_API_KEY"),
    "deepinfra": Known("compatible", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "sambanova": Known("compatible", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "nebius": Known("compatible", "https://api.studio.nebius.ai/v1", "NEBIUS_API_KEY"),
    "novita": Known("compatible", "https://api.novita.ai/v3/openai", "NOVITA_API_KEY"),
    "hyperbolic": Known("compatible", "https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
    "featherless_ai": Known("compatible", "https://api.featherless.ai/v1", "FEATHERLESS_AI_API_KEY"),
    "lambda_ai": Known("compatible", "https://api.lambda.ai/v1", "LAMBDA_API_KEY"),
    "nscale": Known("compatible", "https://inference.api.nscale.com/v1", "NSCALE_API_KEY"),
    "v0": Known("compatible", "https://api.v0.dev/v1", "V0_API_KEY"),
    "morph": Known("compatible", "https://api.morphllm.com/v1", "MORPH_API_KEY"),
    "aiml": Known("compatible", "https://api.aimlapi.com/v1", "AIML_API_KEY"),
    "meta_llama": Known("compatible", "https://api.llama.com/compat/v1", "LLAMA_API_KEY"),
    "github": Known("compatible", "https://models.inference.ai.azure.com", "GITHUB_API_KEY"),
    "friendliai": Known("compatible", "https://api.friendli.ai/serverless/v1", "FRIENDLI_TOKEN"),
    "baseten": Known("compatible", "https://inference.baseten.co/v1", "BASETEN_API_KEY"),
    "wandb": Known("compatible", "https://api.inference.wandb.ai/v1", "WANDB_API_KEY"),
    "ai21_chat": Known("compatible", "https://api.ai21.com/studio/v1", "AI21_API_KEY"),
    "scaleway": Known("compatible", "https://api.scaleway.ai/v1", "SCW_SECRET_KEY"),
    "poe": Known("compatible", "https://api.poe.com/v1", "POE_API_KEY"),
    "chutes": Known("compatible", "https://llm.chutes.ai/v1", "CHUTES_API_KEY"),
    "nano-gpt": Known("compatible", "https://nano-gpt.com/api/v1", "NANOGPT_API_KEY"),
}
CLOUDS = "wants requests signed for a cloud, which penstock's providers do not make"
ELSEWHERE = dict.fromkeys(("bedrock", "sagemaker", "sagemaker_chat", "vertex_ai", "vertex_ai_beta", "watsonx"), CLOUDS)
"""Prefixes that are skipped, with a word of their own."""
ENDS = {
    "azure": (re.compile(r"(/openai(/.*)?)?/*$"), "/openai/v1"),
    "anthropic": (re.compile(r"(/v1(/messages)?)?/*$"), ""),
    "gemini": (re.compile(r"(/v1(beta)?)?/*$"), ""),
    "ollama": (re.compile(r"(/v1)?/*$"), "/v1"),
}
"""How their addresses end, and ours instead, by provider."""
PER_MILLION = {
    "input_cost_per_token": "input_token",
    "output_cost_per_token": "output_token",
    "cache_read_input_token_cost": "cached_token",
    "cache_creation_input_token_cost": "cache_write_token",
    "cache_creation_input_token_cost_above_1hr": "cache_write_hour_token",
    "input_cost_per_audio_token": "audio_input_token",
    "output_cost_per_audio_token": "audio_output_token",
    "output_cost_per_reasoning_token": "reasoning_token",
}
COST = re.compile(r"(?P<what>\w+?)(_above_(?P<thousands>\d+)k_tokens)?")
PARAMS = {
    *("model", "api_key", "api_base", "base_url", "custom_llm_provider", "rpm", "weight", "order", "api_version"),
    *("litellm_credential_name", "model_info"),
}
"""Of an entry's `litellm_params`, what is carried over, or needs no word."""
INFO = {
    "id",
    "mode",
    "base_model",
    "max_tokens",
    "max_input_tokens",
    "max_output_tokens",
    "description",
    "litellm_provider",
}
MODES = (None, "chat", "completion", "responses", "embedding", "moderation")
POLICIES = {"simple-shuffle": "weight", "latency-based-routing": "latency", "cost-based-routing": "cost"}
LEFT = {
    name: why
    for why, names in {
        "a channel of penstock has rpm and concurrency, but no tpm; groups and keys have": "tpm",
        "penstock has one time-out for all upstreams: upstream_timeout_s": "timeout stream_timeout request_timeout",
        "penstock tries the next channel, not the same one again": "max_retries num_retries retry_policy retry_after",
        "penstock rests a channel that fails, by rules of its own": "allowed_fails allowed_fails_policy cooldown_time",
        "penstock drops a hint that a vendor can't take, and refuses what would change the meaning": "drop_params",
        "penstock falls back after failures, not by the length of a prompt": "context_window_fallbacks",
        "a refusal for content is an answer in penstock: it asks nobody else": "content_policy_fallbacks",
        "make a key for running penstock instead: penstock keys create": "master_key",
        "penstock has a database of its own": "database_url",
        "penstock has /metrics, and calls no logging services": "callbacks success_callback failure_callback",
        "penstock keeps no answers to give them again": "cache cache_params",
        "penstock has budgets of keys alone: quotas": "max_budget budget_duration",
        "set concurrency for channels, groups, or keys": "max_parallel_requests global_max_parallel_requests",
    }.items()
    for name in names.split()
}
"""Why, by the setting's name; others are only named."""
KEYS = (
    "keys, teams, and users: they are in LiteLLM's own database, keys as plain SHA-256 of themselves. The keys can't "
    "be told from that, and penstock keeps no such hashes, so make new ones: penstock keys create"
)


def read(text: str, env: Mapping[str, str]) -> Moved:
    """Read the text of a `config.yaml`. Keys that it takes from the environment the document takes from there too
    (`env:NAME`); addresses are looked up now. Raises CallerError where it is no such file."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CallerError(f"not YAML: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("model_list"), list):
        raise CallerError("this is no config.yaml of LiteLLM: it has no model_list")
    return _Config(found, env).moved()


@dataclass(slots=True)
class _Deployment:
    """An entry of the model list that can be carried over."""

    model: str
    theirs: str
    prefix: str
    provider: str
    base_url: str
    credentials: tuple[str, ...]
    priority: int
    weight: int
    rpm: int | None
    cost: Mapping[str, Any]
    behind: str
    """The vendor's model, by a name that lists of prices have."""

    @property
    def shared(self) -> tuple[Any, ...]:
        """Deployments that agree in this can be one channel. One with a limit is alone: its limit is for one model."""
        own = self.model if self.rpm else None
        return self.provider, self.base_url, self.credentials, self.priority, self.weight, self.rpm, own


@dataclass(slots=True)
class _Account:
    """A channel while its deployments are gathered."""

    name: str
    of: _Deployment
    models: dict[str, str] = field(default_factory=dict)


class _Config:
    """One reading of it."""

    def __init__(self, found: dict[str, Any], env: Mapping[str, str]) -> None:
        self._found = found
        self._given = {name: str(value) for name, value in _dict(found.get("environment_variables")).items()}
        self._env = {**env, **self._given}
        self._router, self._litellm = _dict(found.get("router_settings")), _dict(found.get("litellm_settings"))
        self._entries = [entry for entry in found["model_list"] if isinstance(entry, dict)]
        self._last = max([_whole(_params(entry).get("order")) for entry in self._entries], default=0)
        self._skipped = Skipped()
        self._used: set[str] = set()

    def moved(self) -> Moved:
        deployments = [each for entry in self._entries if (each := self._deployment(entry))]
        accounts = self._accounts(deployments)
        document = Document(
            channels=tuple(_channel(account) for account, _ in accounts),
            aliases=tuple(self._aliases({each.model for each in deployments})),
            prices=tuple(self._prices(accounts)),
            groups=tuple(self._groups()),
        )
        self._leave_the_rest()
        return Moved(document, (*self._skipped.lines(), KEYS))

    # ── deployments ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _deployment(self, entry: dict[str, Any]) -> _Deployment | None:
        params, info = self._with_credential(_params(entry)), _dict(entry.get("model_info"))
        model, asked = str(entry.get("model_name") or ""), str(params.get("model") or "")
        what = f"{model} ({asked})"
        prefix, theirs = _split(asked, params.get("custom_llm_provider"))
        known = KNOWN.get(prefix)
        if known is None or not model or not theirs:
            self._skip("deployment", what, ELSEWHERE.get(prefix, "penstock has no provider of that name"))
            return None
        if "*" in model + theirs and model != theirs:
            self._skip("deployment", what, "penstock can't change part of a name; add a channel that names its models")
            return None
        if info.get("mode") not in MODES:
            self._skip("deployment", what, f"of mode {info['mode']}, which penstock's providers do not do")
            return None
        address = self._address(prefix, known, params)
        if address is None:
            self._skip("deployment", what, "no address: there is no api_base, or its variable is not set")
            return None
        for name, value in {**params, **info}.items():
            if value not in (None, "", False) and name not in PARAMS | INFO and not _is_cost(name):
                self._skip(f"{name} of deployment", what, LEFT.get(name, "penstock has no such setting"))
        order = _whole(params.get("order"))
        weight = params.get("weight") or params.get("rpm") or params.get("tpm")
        elsewhere = known.provider == "openai" and address and urlsplit(address).hostname != "api.openai.com"
        return _Deployment(
            model=model,
            theirs=theirs,
            prefix=prefix,
            provider="compatible" if elsewhere else known.provider,
            base_url=address,
            credentials=self._credentials(known, params),
            priority=-1 if "*" in model else self._last + 1 - order if order else 0,
            weight=max(_whole(weight), 1),
            rpm=_whole(params.get("rpm")) or None,
            cost={name: value for name, value in {**info, **params}.items() if _is_cost(name) and value is not None},
            behind=str(info.get("base_model") or theirs),
        )

    def _with_credential(self, params: dict[str, Any]) -> dict[str, Any]:
        """`litellm_credential_name` names an entry of `credential_list`, whose values it takes."""
        name = params.get("litellm_credential_name")
        named = (
            each for each in self._found.get("credential_list") or [] if _dict(each).get("credential_name") == name
        )
        return _dict(_dict(next(named, None)).get("credential_values")) | params if name else params

    def _address(self, prefix: str, known: Known, params: Mapping[str, Any]) -> str | None:
        """Empty where our provider knows it, None where there is none to be had."""
        given = str(params.get("api_base") or params.get("base_url") or "")
        if not given and prefix == "azure":
            given = f"{THEIR_ENV}AZURE_API_BASE"
        if given.startswith(THEIR_ENV):
            self._used.add(given.removeprefix(THEIR_ENV))
            given = self._env.get(given.removeprefix(THEIR_ENV), "")
            if not given:
                return None
        if not given:
            return known.base
        ending, ours = ENDS.get(known.provider, (re.compile("/*$"), ""))
        return ending.sub("", given, count=1) + ours

    def _credentials(self, known: Known, params: Mapping[str, Any]) -> tuple[str, ...]:
        key = str(params.get("api_key") or (known.env and THEIR_ENV + known.env))
        if not key.startswith(THEIR_ENV):
            return (key,) if key else ()
        name = key.removeprefix(THEIR_ENV)
        self._used.add(name)
        return (self._given.get(name) or f"{ENV}{name}",)

    def _accounts(self, deployments: list[_Deployment]) -> list[tuple[_Account, list[_Deployment]]]:
        """One for each credential and way to use it, and one more where a model is there twice."""
        names, found = Names("sandbox"), list[tuple[_Account, list[_Deployment]]]()
        for each in deployments:
            fit = (at for at in found if at[0].of.shared == each.shared and each.model not in at[0].models)
            at = next(fit, None)
            if at is None:
                host = urlsplit(each.base_url).hostname if each.base_url else ""
                name = names.of(f"{each.prefix} {host}" if host else each.prefix, len(found) + 1)
                at = _Account(name, each), []
                found.append(at)
            at[0].models[each.model] = each.theirs
            at[1].append(each)
        return found

    # ── the rest ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prices(self, accounts: list[tuple[_Account, list[_Deployment]]]) -> Iterator[Price]:
        """One for all channels of a model where they agree, or nothing else prices the rest; else one for each."""
        found: dict[str, dict[str, Price | None]] = {}
        for account, deployments in accounts:
            for each in deployments:
                found.setdefault(each.model, {})[account.name] = self._price(each) or _list_price(each)
        for model, prices in found.items():
            given = [price for price in prices.values() if price is not None]
            listed = language.find(model) is not None
            if not given and not listed and "*" not in model:
                self._skip("model", model, "without a price; set one: penstock prices set")
            general = (
                given[0] if given and (not listed or all(price == given[0] for price in prices.values())) else None
            )
            if general is not None:
                yield general
            for name, price in prices.items():
                if price is not None and price != general:
                    yield Price(**{**_fields(price), "channel": name})

    def _price(self, each: _Deployment) -> Price | None:
        flat, lines = dict[str, str](), list[Line]()
        for name, value in each.cost.items():
            found = COST.fullmatch(name)
            unit = PER_MILLION.get(name) or (PER_MILLION.get(found["what"]) if found else None)
            cost = number(value)
            if unit is None or cost is None:
                self._skip(f"{name} of model", each.model, "a price that is not carried over; see penstock prices set")
                continue
            above = 0 if name in PER_MILLION or not found else 1000 * int(found["thousands"])
            if not above and unit in ("input_token", "cached_token", "output_token"):
                flat[unit.replace("token", "mtok")] = usd(cost * MILLION)
            else:
                lines.append(Line(unit=unit, usd=usd(cost * MILLION), per=1_000_000, above=above))
        return (
            Price(model=each.model, source="litellm config.yaml", **flat, lines=tuple(lines)) if flat or lines else None
        )

    def _aliases(self, models: set[str]) -> Iterator[Alias]:
        """Other names, and what is tried after a model fails."""
        wanted: dict[str, tuple[str, ...]] = {}
        for name, target in _dict(self._router.get("model_group_alias")).items():
            wanted[name] = (str(target.get("model") if isinstance(target, dict) else target),)
        backed = _backed(self._litellm.get("fallbacks")) | _backed(self._router.get("fallbacks"))
        everyone = _names(backed.pop("*", None)) or _names(self._litellm.get("default_fallbacks"))
        everyone = everyone or _names(self._router.get("default_fallbacks"))
        for model in sorted(each for each in models if "*" not in each) if everyone else ():
            backed.setdefault(model, everyone)
        for name, others in backed.items():
            wanted[name] = tuple(dict.fromkeys((*wanted.get(name, (name,)), *_names(others))))
        yield from (Alias(name=name, targets=targets) for name, targets in wanted.items() if targets != (name,))

    def _groups(self) -> Iterator[Group]:
        strategy = self._router.get("routing_strategy")
        if strategy in POLICIES:
            yield Group(name="default", policy=POLICIES[strategy])
        elif strategy:
            self._skip("routing_strategy", str(strategy), "penstock has weight, latency, and cost; it is by weight now")

    def _leave_the_rest(self) -> None:
        done = {
            "router_settings": {"model_group_alias", "fallbacks", "default_fallbacks", "routing_strategy"},
            "litellm_settings": {"fallbacks", "default_fallbacks"},
        }
        for section in ("router_settings", "litellm_settings", "general_settings"):
            for name, value in _dict(self._found.get(section)).items():
                if name not in done.get(section, ()) and value not in (None, "", False, [], {}):
                    self._skip(section, name, LEFT.get(name, "penstock has no such setting"))
        for name in sorted(self._given.keys() - self._used):
            self._skip("environment_variables", name, "no deployment asks for it")
        known = {"model_list", "credential_list", "environment_variables", *done, "general_settings"}
        for name in sorted(self._found.keys() - known):
            why = "import those files too" if name == "include" else "penstock has no such part"
            self._skip("part", name, why)

    def _skip(self, kind: str, name: str, why: str) -> None:
        self._skipped.add(kind, name, why)


# ── their values ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _channel(account: _Account) -> Channel:
    return Channel(
        name=account.name,
        provider=account.of.provider,
        base_url=account.of.base_url,
        credentials=account.of.credentials,
        models=listed(account.models),
        priority=account.of.priority,
        weight=account.of.weight,
        rpm=account.of.rpm,
    )


def _list_price(each: _Deployment) -> Price | None:
    """What their own list would say: ours has the price of the model behind a name that it does not know."""
    known = language.find(each.behind)
    if known is None or not known.price or language.find(each.model) is not None or "*" in each.model:
        return None
    lines = tuple(
        Line(unit=at.unit.value, usd=usd(Decimal(at.micros) / MILLION), per=at.per, above=at.above)
        for at in known.price
    )
    return Price(model=each.model, source=f"list price of {known.name}", lines=lines)


def _split(asked: str, provider: Any) -> tuple[str, str]:
    """Provider and model. Without a prefix it is the maker's own, if we know the model."""
    prefix, slash, rest = asked.partition("/")
    if provider:
        return str(provider), rest if prefix == provider else asked
    if slash and (prefix in KNOWN or prefix in ELSEWHERE):
        return prefix, rest
    found = None if slash else language.find(asked)
    return (found.vendor, asked) if found else (prefix, rest)


def _is_cost(name: str) -> bool:
    return "cost" in name


def _backed(value: Any) -> dict[str, Any]:
    """`[{"a": ["b"]}]`, as one table."""
    given = value if isinstance(value, list) else []
    return {str(model): others for each in given for model, others in _dict(each).items()}


def _names(value: Any) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else ()


def _params(entry: dict[str, Any]) -> dict[str, Any]:
    return _dict(entry.get("litellm_params"))


def _fields(price: Price) -> dict[str, Any]:
    return {name: getattr(price, name) for name in price.__struct_fields__}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int:
    found = number(value)
    return round(found) if found is not None else 0
