"""A request of ours, as this vendor wants it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from penstock.canonical.chat import (
    ChatRequest,
    HostedTool,
    JsonOutput,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    merged,
)
from penstock.errors import CallerError, Unsupported
from penstock.formats.anthropic_messages.wire import FAMILY, MAX_TOKENS

Json = dict[str, Any]

LOSES = {
    "choices": "refused, if more than one",
    "speaks": "refused",
    "draws": "refused",
    "Media.kind": "sound and film are refused",
    "Media.file": "refused: another vendor's file",
    "Media.detail": "dropped",
    "Message.role": "system turns all come first",
    "Message.name": "dropped",
    "Tool.custom": "a function with one text, `input`; its grammar is dropped",
    "HostedTool": "another vendor's is dropped, refused if forced; web search is translated",
    "JsonOutput": "asked for in words, where the model takes no schema; name, description, and strict are dropped",
    "Thinking.summary": "dropped",
    "Reasoning": "another vendor's is dropped",
    "ToolCall.signature": "dropped",
    "Refusal": "plain text",
    "seed": "dropped",
    "presence_penalty": "dropped",
    "frequency_penalty": "dropped",
    "logprobs": "dropped",
    "verbosity": "dropped",
    "metadata": "dropped",
    "store": "dropped",
    "cache_key": "dropped",
    "temperature": "at most 1; dropped where the model thinks or takes none",
    "top_p": "dropped where the model thinks, takes none, or takes only one of temperature and top_p",
    "top_k": "dropped where the model thinks or takes none",
    "service_tier": "only auto and default are known, others are dropped",
}
UNSAID = ("seed", "presence_penalty", "frequency_penalty", "logprobs", "verbosity", "metadata", "store", "cache_key")
TIERS = {"auto": "auto", "default": "standard_only", "standard": "standard_only", "standard_only": "standard_only"}
SEARCH = "web_search_20250305"
SEARCHES = {"low": 1, "medium": 5, "high": 10}
"""How many searches another vendor's `search_context_size` is worth."""
BUDGETS = {"minimal": 1024, "low": 1280, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 8192}
LEAST_BUDGET, MOST_BUDGET = 1024, 32_000
OFF = {"type": "disabled"}
PLACEHOLDER = {"type": "text", "text": "..."}
"""A text may not be empty, and the first turn must be the user's."""
_ID = re.compile(r"[^a-zA-Z0-9_-]")
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)", re.IGNORECASE)
_PICTURE = re.compile(r"!\[([^\[\]]*)\]\(data:[^()]*\)")


@lru_cache(512)
def version(model: str) -> tuple[int, int] | None:
    """(4, 5) of `claude-sonnet-4-5-20250929`, (3, 7) of `anthropic/claude-3.7-sonnet`; None of a name like no Claude's.

    What models take goes by it. Extended thinking came with 3.7 and effort with 4.5; from 4.6 on thinking is adaptive,
    from 4.7 on a budget is refused, and so are temperature, top_p, and top_k.
    """
    found = _CLAUDE.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def request(asked: ChatRequest, model: str) -> tuple[Json, tuple[str, ...]]:
    """(members of the body, what was dropped). Raises Unsupported."""
    _refuse(asked)
    dropped = [
        name for name in UNSAID if getattr(asked, name) or (name in ("seed", "logprobs") and _given(asked, name))
    ]
    system, turns = _conversation(asked, dropped)
    tools, choice = _tools(asked, dropped)
    members: Json = {"model": model, "max_tokens": asked.max_tokens or MAX_TOKENS, "messages": turns}
    if asked.stream:
        members["stream"] = True
    if tools:
        members["tools"] = tools
        members |= {"tool_choice": choice} if choice else {}
    elif used := _used(turns):
        members |= {"tools": used, "tool_choice": {"type": "none"}}
    members |= _thinking(asked, model, members, dropped)
    members |= _sampling(asked, model, members.get("thinking", OFF) != OFF, dropped)
    config = _effort(asked, model) | _output(asked.output, model, system, dropped)
    if config:
        members["output_config"] = config
    if system:
        members["system"] = system
    if asked.user:
        members["metadata"] = {"user_id": asked.user}
    if asked.service_tier in TIERS:
        members["service_tier"] = TIERS[asked.service_tier]
    elif asked.service_tier:
        dropped.append("service_tier")
    return members, tuple(dict.fromkeys(dropped))


def _refuse(asked: ChatRequest) -> None:
    if asked.choices > 1:
        raise Unsupported("choices: the model behind this request gives one answer at a time")
    if asked.speaks:
        raise Unsupported("speaks: the model behind this request can't answer in sound")
    if asked.draws:
        raise Unsupported("draws: the model behind this request can't make pictures")


def _given(asked: ChatRequest, name: str) -> bool:
    """A seed of 0 is one."""
    return getattr(asked, name) is not None


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _conversation(asked: ChatRequest, dropped: list[str]) -> tuple[list[Json], list[Json]]:
    """(system blocks, turns): the first turn is the user's, calls are answered in the turn after them."""
    system: list[Json] = []
    turns: list[Message] = []
    for at, message in enumerate(asked.messages):
        path = f"messages[{at}]"
        if message.name:
            dropped.append(f"{path}.name")
        if message.role == "system":
            system += [block for part in message.content for block in _system(part, path, dropped)]
            dropped += [f"{path}.role"] if turns else []
        else:
            turns.append(_sayable(message, path, dropped))
    blocks = _answered(
        [(turn.role, [block for part in turn.content for block in _block(part)]) for turn in merged(turns)]
    )
    if not blocks or blocks[0]["role"] != "user":
        blocks.insert(0, {"role": "user", "content": [PLACEHOLDER]})
    _trim(blocks[-1])
    return system, blocks


def _system(part: Part, path: str, dropped: list[str]) -> Iterator[Json]:
    if isinstance(part, Text):
        yield from _text(part)
    else:
        dropped.append(f"{path}.content")


def _sayable(message: Message, path: str, dropped: list[str]) -> Message:
    """Without parts that this vendor refuses: empty texts, other vendors' thoughts, pictures made by a model."""
    parts: list[Part] = []
    for part in message.content:
        match part:
            case Text(text) if message.role == "assistant":
                said = _PICTURE.sub(r"![\1](picture left out)", text)
                parts += [Text(said, part.cache)] if said.strip() else []
            case Text(text) | Refusal(text):
                parts += [part] if text.strip() else []
            case Reasoning():
                parts += [part] if part.family == FAMILY and (part.signature or part.sealed) else []
            case Media() if message.role == "assistant":
                parts += [Text(f"![{part.kind}]({part.url})")] if part.url else []
                dropped += [] if part.url else [f"{path}.content"]
            case _:
                parts.append(part)
    return Message(message.role, tuple(parts))


def _answered(turns: Iterable[tuple[str, list[Json]]]) -> list[Json]:
    """Every call has its result in the next turn, made up where there is none; other results become text."""
    made: list[Json] = []
    open_ids: list[str] = []
    for role, blocks in turns:
        results, others = _results(blocks, open_ids) if role == "user" else ([], blocks)
        results += [_no_result(id) for id in open_ids]
        if results and role == "assistant":
            made.append({"role": "user", "content": results})
            results = []
        if results or others:
            made.append({"role": role, "content": results + others})
        open_ids = [block["id"] for block in others if block["type"] == "tool_use"]
    if open_ids:
        made.append({"role": "user", "content": [_no_result(id) for id in open_ids]})
    return made


def _results(blocks: list[Json], open_ids: list[str]) -> tuple[list[Json], list[Json]]:
    """(the results of these calls, which are taken off, and the rest)."""
    results: list[Json] = []
    others: list[Json] = []
    for block in blocks:
        if block["type"] != "tool_result":
            others.append(block)
        elif block["tool_use_id"] in open_ids:
            open_ids.remove(block["tool_use_id"])
            results.append(block)
        else:
            others += block["content"]
    return results, others


def _no_result(id: str) -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": "", "is_error": True}


def _trim(turn: Json) -> None:
    """An answer begun for the model may not end in white space."""
    last = turn["content"][-1]
    if turn["role"] == "assistant" and last["type"] == "text":
        turn["content"][-1] = last | {"text": last["text"].rstrip()}


# ── blocks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _block(part: Part) -> Iterator[Json]:
    yield from WRITERS[type(part)](part)


def _text(part: Text) -> Iterator[Json]:
    if part.text.strip():
        yield {"type": "text", "text": part.text} | _cache(part)


def _refusal(part: Refusal) -> Iterator[Json]:
    yield {"type": "text", "text": part.text}


def _media(part: Media) -> Iterator[Json]:
    if part.kind not in ("image", "document"):
        raise Unsupported(f"Media.kind: the model behind this request takes no {part.kind}")
    if part.file is not None:
        raise Unsupported("Media.file: a file that another vendor keeps can't be used here; send its data or a URL")
    titled = {"title": part.name} if part.name and part.kind == "document" else {}
    yield {"type": part.kind, "source": _source(part)} | titled | _cache(part)


def _source(part: Media) -> Json:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.kind == "document" and part.media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _plain(part.data or "")}
    if part.kind == "document" and part.media_type != "application/pdf":
        raise Unsupported(f"Media.media_type: the model behind this request reads PDF and text, no {part.media_type}")
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except ValueError:
        raise CallerError("Media.data: a document is not valid base64") from None


def _tool_use(part: ToolCall) -> Iterator[Json]:
    arguments = {"input": part.arguments} if part.custom else object_of(part.arguments)
    yield {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": arguments} | _cache(part)


def _tool_result(part: ToolResult) -> Iterator[Json]:
    content = [block for inner in part.content for block in _block(inner)]
    failed = {"is_error": True} if part.failed else {}
    yield {"type": "tool_result", "tool_use_id": _id(part.id), "content": content or ""} | failed | _cache(part)


def _reasoning(part: Reasoning) -> Iterator[Json]:
    if part.sealed:
        yield {"type": "redacted_thinking", "data": part.sealed}
    else:
        yield {"type": "thinking", "thinking": part.text, "signature": part.signature}


WRITERS: Mapping[type[Part], Callable[[Any], Iterator[Json]]] = {
    Text: _text,
    Refusal: _refusal,
    Media: _media,
    ToolCall: _tool_use,
    ToolResult: _tool_result,
    Reasoning: _reasoning,
}


def _cache(part: Text | Media | ToolCall | ToolResult | Tool) -> Json:
    if part.cache is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": part.cache} if part.cache != "5m" else {})}


def _id(id: str) -> str:
    """The vendor's pattern allows less than others' ids hold."""
    return _ID.sub("_", id) or "_"


def object_of(arguments: str) -> Any:
    """A call's arguments as an object, spelt as they are: one bad old call shall not fail a whole dialogue."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {"_raw": arguments}
    return msgspec.Raw(arguments.encode() or b"{}") if isinstance(value, dict) else {"value": value}


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(asked: ChatRequest, dropped: list[str]) -> tuple[list[Json], Json | None]:
    choice = asked.choice or ToolChoice()
    tools: list[Json] = []
    for at, tool in enumerate(asked.tools):
        kind = tool.kind if isinstance(tool, HostedTool) else tool.name
        if choice.names and kind not in choice.names:
            continue
        if isinstance(tool, Tool):
            tools.append(_function(tool))
            dropped += [f"tools[{at}].grammar"] if tool.grammar else []
        elif tool.family == FAMILY:
            tools.append(tool.raw)
        elif tool.kind == "web_search":
            tools.append(_search(tool.raw))
        elif choice.mode == "required" and choice.names:
            raise Unsupported(f"tools[{at}]: the model behind this request has no tool '{tool.kind}'")
        else:
            dropped.append(f"tools[{at}]")
    if choice.mode == "required" and not tools:
        raise Unsupported("choice: a tool must be used, but the model behind this request has none of those")
    return tools, _choice(choice, tools)


def _function(tool: Tool) -> Json:
    taken = {"input": {"type": "string"}}
    schema = {"type": "object", "properties": taken, "required": ["input"]} if tool.custom else tool.parameters
    made: Json = {"name": tool.name, "input_schema": {"type": "object", "properties": {}} | (schema or {})}
    if tool.description:
        made["description"] = tool.description
    if tool.strict:
        made["strict"] = True
    return made | _cache(tool)


def _search(raw: Json) -> Json:
    made: Json = {"type": SEARCH, "name": "web_search"}
    if (uses := SEARCHES.get(str(raw.get("search_context_size")))) is not None:
        made["max_uses"] = uses
    where = raw.get("user_location")
    if isinstance(where, dict):
        told = where["approximate"] if isinstance(where.get("approximate"), dict) else where
        known = {name: told[name] for name in ("city", "region", "country", "timezone") if told.get(name)}
        made["user_location"] = {"type": "approximate"} | known
    filters = raw.get("filters")
    if isinstance(filters, dict) and filters.get("allowed_domains"):
        made["allowed_domains"] = filters["allowed_domains"]
    return made


def _choice(choice: ToolChoice, tools: list[Json]) -> Json | None:
    if choice.mode == "none":
        return {"type": "none"}
    alone = {"disable_parallel_tool_use": True} if choice.parallel is False else {}
    if choice.mode == "required":
        forced = {"type": "tool", "name": tools[0]["name"]} if len(choice.names) == 1 else {"type": "any"}
        return forced | alone
    return {"type": "auto"} | alone if alone else None


def _used(turns: list[Json]) -> list[Json]:
    """The tools that were called: calls in a dialogue without any declaration are refused."""
    blocks = (block for turn in turns for block in turn["content"])
    names = dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use")
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in names]


# ── thinking, sampling, output ────────────────────────────────────────────────────────────────────────────────────────


def _thinking(asked: ChatRequest, model: str, members: Json, dropped: list[str]) -> Json:
    """`thinking`, and `max_tokens` where its budget wants more of them."""
    wish, known = asked.thinking, version(model)
    if wish is None:
        return {}
    dropped += ["thinking.summary"] if wish.summary else []
    if wish.effort == "none" or wish.budget == 0:
        return {} if known and known < (5, 0) else {"thinking": OFF}
    adaptive = known is not None and known >= (4, 6)
    forced = members.get("tool_choice", {}).get("type") in ("any", "tool")
    if (known and known < (3, 7)) or forced or (not adaptive and _loop_without_thoughts(members["messages"])):
        dropped.append("thinking")
        return {}
    shown = {} if wish.visible is None else {"display": "summarized" if wish.visible else "omitted"}
    if adaptive:
        return {"thinking": {"type": "adaptive"} | shown}
    budget, most = _budget(asked, members["max_tokens"]), members["max_tokens"]
    raised = {"max_tokens": budget + most} if budget >= most else {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget} | shown} | raised


def _loop_without_thoughts(turns: list[Json]) -> bool:
    """Tools have just answered a turn that begins with no thought, as those of other vendors do: with a budget set,
    that is refused."""
    if len(turns) < 2 or turns[-1]["content"][0]["type"] != "tool_result":
        return False
    return turns[-2]["content"][0]["type"] not in ("thinking", "redacted_thinking")


def _budget(asked: ChatRequest, most: int) -> int:
    assert asked.thinking is not None
    if asked.thinking.budget is not None and asked.thinking.budget > 0:
        return max(LEAST_BUDGET, asked.thinking.budget)
    effort = asked.thinking.effort or "medium"
    if effort in ("xhigh", "max"):
        return max(BUDGETS[effort], min(MOST_BUDGET, most - 1024))
    return BUDGETS[effort]


def _effort(asked: ChatRequest, model: str) -> Json:
    """`effort`, for models whose thinking is adaptive; what a budget comes to, where that was given."""
    wish, known = asked.thinking, version(model)
    if wish is None or known is None or known < (4, 6) or wish.effort == "none" or wish.budget == 0:
        return {}
    effort: str | None = wish.effort
    if effort is None and wish.budget and wish.budget > 0:
        effort = "low" if wish.budget <= BUDGETS["low"] else "medium" if wish.budget <= BUDGETS["high"] else "high"
    if effort == "xhigh" and known < (4, 7):
        effort = "high"
    return {"effort": "low" if effort == "minimal" else effort} if effort else {}


def _sampling(asked: ChatRequest, model: str, thinks: bool, dropped: list[str]) -> Json:
    known = version(model)
    given = {name: getattr(asked, name) for name in ("temperature", "top_p", "top_k") if _given(asked, name)}
    refused = set(given) if thinks or (known and known >= (4, 7)) else set()
    if known and known >= (4, 1) and {"temperature", "top_p"} <= given.keys():
        refused.add("top_p")  # "cannot both be specified for this model"
    if given.get("temperature", 0) > 1:
        dropped.append("temperature")
        given["temperature"] = 1.0
    stop = [words for words in asked.stop if words.strip()]
    dropped += [name for name in given if name in refused] + (["stop"] if len(stop) < len(asked.stop) else [])
    sampling = {name: value for name, value in given.items() if name not in refused}
    return sampling | ({"stop_sequences": stop} if stop else {})


def _output(output: JsonOutput | None, model: str, system: list[Json], dropped: list[str]) -> Json:
    """A schema where the model takes one; else the wish in words, below the system's."""
    if output is None:
        return {}
    if output.schema is not None and (version(model) or (0, 0)) >= (4, 5):
        return {"format": {"type": "json_schema", "schema": _closed(output.schema)}}
    words = "Answer with one JSON object and nothing else: no words around it, no code fence."
    if output.schema is not None:
        words += f" It must match this JSON schema: {msgspec.json.encode(output.schema).decode()}"
        dropped.append("output.schema")
    system.append({"type": "text", "text": words})
    return {}


UNKNOWN_RULES = re.compile(
    r"((exclusive)?M(in|ax)imum|multipleOf|(min|max)Length|maxItems|uniqueItems)\Z", re.IGNORECASE
)
"""Rules that the vendor refuses within a schema for output; its SDK takes them out as well."""


def _closed(schema: Any) -> Any:
    """With every object closed, as the vendor demands, and without the rules that it refuses."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _member(name, inner) for name, inner in schema.items() if not UNKNOWN_RULES.match(name)}
    return made | ({"additionalProperties": False} if schema.get("type") == "object" else {})


def _member(name: str, inner: Any) -> Any:
    if name in ("properties", "$defs", "definitions") and isinstance(inner, dict):
        return {key: _closed(schema) for key, schema in inner.items()}
    return inner if name in ("enum", "const", "default", "required") else _closed(inner)
