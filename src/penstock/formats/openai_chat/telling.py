"""A chat request of ours, written as chat completions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.canonical import chat as c
from penstock.errors import CallerError, Unsupported
from penstock.formats._base import Written, data_url
from penstock.formats.openai_chat.accent import Accent

Json = dict[str, Any]

LOSES = {
    "top_k": "dropped, unless the vendor is known to take it",
    "choices": "more than one is refused: our events tell one answer",
    "speaks": "refused: sound comes with a voice and a coding of which we know nothing",
    "draws": "dropped, unless the vendor is known to draw",
    "metadata": "dropped where nothing is stored: the vendor takes it with `store` alone",
    "service_tier": "dropped where it is another family's word",
    "thinking.budget": "written as the nearest effort; -1 leaves it to the vendor",
    "thinking.visible": "dropped",
    "thinking.summary": "dropped",
    "Text.cache": "dropped; so it is of all else that has it",
    "Media.cache": "dropped",
    "ToolCall.cache": "dropped",
    "ToolResult.cache": "dropped",
    "Tool.cache": "dropped",
    "ToolCall.signature": "dropped silently, unless the vendor is of the family that issued it",
    "ToolResult.failed": "said in the text",
    "ToolResult.name": "dropped silently: the id tells",
    "ToolResult.custom": "dropped silently: the id tells",
    "Reasoning": "dropped silently, unless the vendor takes its thoughts back, and then without seals and signatures",
    "Media": "pictures among results stand in the next user turn, those of the model are a note; documents and sound "
    "by URL, and pictures by a file's id are refused",
    "HostedTool": "`web_search` is written as web_search_options; others are dropped, or refused where forced",
}
SAME = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "verbosity": "verbosity",
    "user": "user",
    "store": "store",
    "cache_key": "prompt_cache_key",
}
TIERS = frozenset({"auto", "default", "flex", "priority", "scale", "fast"})
SOUNDS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
BUDGETS = ((0, "none"), (1280, "low"), (4096, "medium"))
"""Up to so many tokens of thought are this effort."""
PICTURE_MADE = "[image]"
PICTURE_FOLLOWS = "[image: see the next message]"


def written(request: c.ChatRequest, model: str, accent: Accent) -> Written:
    dropped: dict[str, None] = {}
    """The names, each once."""
    if request.choices > 1:
        raise Unsupported("n: this model gives one answer to clients of this API")
    if request.speaks:
        raise Unsupported("modalities: sound can't be asked of this model")
    body: Json = {**accent.adds, "model": model, "messages": list(_messages(request.messages, accent, dropped))}
    body |= {wire: value for ours, wire in SAME.items() if (value := getattr(request, ours)) is not None}
    if request.max_tokens is not None:
        body[accent.cap] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.logprobs is not None:
        body |= {"logprobs": True, **({"top_logprobs": request.logprobs} if request.logprobs else {})}
    if request.output:
        body["response_format"] = _output(request.output)
    body |= _hints(request, accent, dropped)
    body |= _thinking(request.thinking, accent, dropped)
    body |= _tools(request, accent, dropped)
    if request.stream:
        body["stream"] = True
        if accent.counts:
            body["stream_options"] = {"include_usage": True}
    return Written(msgspec.json.encode(body), tuple(dropped))


def _hints(request: c.ChatRequest, accent: Accent, dropped: dict[str, None]) -> Json:
    """What some vendors take, and only at times."""
    hints: Json = {}
    for name, value, takes in (
        ("top_k", request.top_k, accent.top_k),
        ("metadata", dict(request.metadata) or None, request.store is True),
        ("service_tier", request.service_tier, request.service_tier in TIERS),
    ):
        if value is not None and takes:
            hints[name] = value
        elif value is not None:
            dropped[name] = None
    if request.draws and accent.draws:
        hints["modalities"] = ["image", "text"]
    elif request.draws:
        dropped["draws"] = None
    return hints


def _output(output: c.JsonOutput) -> Json:
    if output.schema is None:
        return {"type": "json_object"}
    schema: Json = {"name": output.name, "schema": output.schema}
    if output.description:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"type": "json_schema", "json_schema": schema}


def _thinking(thinking: c.Thinking | None, accent: Accent, dropped: dict[str, None]) -> Json:
    if thinking is None:
        return {}
    if thinking.visible is not None:
        dropped["thinking.visible"] = None
    if thinking.summary is not None:
        dropped["thinking.summary"] = None
    effort = thinking.effort or _effort(thinking.budget)
    if effort is None:
        return {}
    said: Json = {}
    if "switch" in accent.thinks:
        said["thinking"] = {"type": "disabled" if effort == "none" else "enabled"}
    if "effort" in accent.thinks and not (said and effort == "none"):
        said["reasoning_effort"] = effort
    if "allowance" in accent.thinks:
        said["enable_thinking"] = effort != "none"
        said |= {"thinking_budget": thinking.budget} if thinking.budget else {}
    return said


def _effort(budget: int | None) -> str | None:
    if budget is None or budget < 0:
        return None
    return next((effort for most, effort in BUDGETS if budget <= most), "high")


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(request: c.ChatRequest, accent: Accent, dropped: dict[str, None]) -> Json:
    choice = request.choice or c.ToolChoice()
    functions = [tool for tool in request.tools if isinstance(tool, c.Tool)]
    custom = {tool.name for tool in functions if tool.custom}
    if choice.names and not {tool.name for tool in functions}.issuperset(choice.names):
        raise Unsupported("tool_choice: it names a tool that can't be declared to this model")
    single = choice.mode == "required" and len(choice.names) == 1
    if choice.names and not single and not accent.narrows:
        functions = [tool for tool in functions if tool.name in choice.names]
    body = _hosted(request, choice, bool(functions), dropped)
    if not functions:
        return body
    if any(tool.cache for tool in functions):
        dropped["Tool.cache"] = None
    body["tools"] = [_tool(tool) for tool in functions]
    if request.choice and (request.choice.mode != "auto" or choice.names):
        named = [_named(name, custom) for name in choice.names]
        if single:
            body["tool_choice"] = named[0]
        elif named and accent.narrows and choice.mode != "none":
            body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}
        else:
            body["tool_choice"] = choice.mode
    elif request.choice and choice.parallel is None:
        body["tool_choice"] = "auto"
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    return body


def _hosted(request: c.ChatRequest, choice: c.ToolChoice, functions: bool, dropped: dict[str, None]) -> Json:
    hosted = [tool for tool in request.tools if isinstance(tool, c.HostedTool)]
    searches = [tool for tool in hosted if tool.kind == "web_search"]
    others = [tool for tool in hosted if tool.kind != "web_search"]
    if others and choice.mode == "required" and not functions and not searches:
        raise Unsupported(f"tools: {others[0].kind} can't be run by this model")
    dropped |= dict.fromkeys(f"tools.{tool.kind}" for tool in others)
    return {"web_search_options": _search(searches[0])} if searches else {}


def _search(tool: c.HostedTool) -> Json:
    options: Json = {}
    if isinstance(size := tool.raw.get("search_context_size"), str):
        options["search_context_size"] = size
    if isinstance(place := tool.raw.get("user_location"), dict):
        known = {key: place[key] for key in ("country", "city", "region", "timezone") if place.get(key)}
        options["user_location"] = {"type": "approximate", "approximate": known}
    return options


def _tool(tool: c.Tool) -> Json:
    said: Json = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    if tool.custom:
        return {"type": "custom", "custom": {**said, **({"format": tool.grammar} if tool.grammar else {})}}
    if tool.parameters is not None:
        said["parameters"] = tool.parameters
    if tool.strict is not None:
        said["strict"] = tool.strict
    return {"type": "function", "function": said}


def _named(name: str, custom: set[str]) -> Json:
    kind = "custom" if name in custom else "function"
    return {"type": kind, kind: {"name": name}}


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _messages(messages: tuple[c.Message, ...], accent: Accent, dropped: dict[str, None]) -> Iterator[Json]:
    for message in messages:
        dropped |= {f"{type(part).__name__}.cache": None for part in message.content if getattr(part, "cache", None)}
        for turn in TURNS[message.role](message, accent):
            yield turn | ({"name": message.name} if message.name and turn["role"] != "tool" else {})


def _system(message: c.Message, accent: Accent) -> Iterator[Json]:
    if any(not isinstance(part, c.Text) for part in message.content):
        raise Unsupported("messages: a system message can only be text for this model")
    yield {"role": "system", "content": "\n".join(_texts(message.content))}


def _user(message: c.Message, accent: Accent) -> Iterator[Json]:
    """Results first, each a message of its own; the pictures in them follow, where they may stand."""
    results = [part for part in message.content if isinstance(part, c.ToolResult)]
    for result in results:
        yield {"role": "tool", "tool_call_id": _id(result.id, accent), "content": _result(result)}
    shown = [part for result in results for part in result.content if isinstance(part, c.Media)]
    parts = [*shown, *(part for part in message.content if not isinstance(part, c.ToolResult))]
    if len(parts) == 1 and isinstance(parts[0], c.Text):
        yield {"role": "user", "content": parts[0].text}
    elif parts:
        yield {"role": "user", "content": [_part(part) for part in parts]}


def _result(result: c.ToolResult) -> str:
    text = "\n".join(part.text if isinstance(part, c.Text) else PICTURE_FOLLOWS for part in result.content)
    return f"Error: {text}" if result.failed else text


def _assistant(message: c.Message, accent: Accent) -> Iterator[Json]:
    said: Json = {"role": "assistant"}
    thoughts = "\n\n".join(part.text for part in message.content if isinstance(part, c.Reasoning) and part.text)
    words = "".join(_word(part) for part in message.content)
    refused = "".join(part.text for part in message.content if isinstance(part, c.Refusal))
    calls = [_call(part, accent) for part in message.content if isinstance(part, c.ToolCall)]
    if not (words or refused or calls):
        return
    said["content"] = words or None
    if thoughts and accent.recalls:
        said["reasoning_content"] = thoughts
    if refused:
        said["refusal"] = refused
    if calls:
        said["tool_calls"] = calls
    yield said


def _word(part: c.Part) -> str:
    if isinstance(part, c.Text):
        return part.text
    return PICTURE_MADE if isinstance(part, c.Media) else ""


def _id(id: str, accent: Accent) -> str:
    """The same for a call and its result."""
    if not accent.id_size or (len(id) == accent.id_size and id.isascii() and id.isalnum()):
        return id
    return hashlib.sha256(id.encode()).hexdigest()[: accent.id_size]


def _call(call: c.ToolCall, accent: Accent) -> Json:
    id = _id(call.id, accent)
    if call.custom:
        return {"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    said: Json = {"id": id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
    if call.signature and call.family == accent.signs:
        said |= signed(call.signature, call.family)
    return said


def signed(signature: str, family: str) -> Json:
    return {"extra_content": {family: {"thought_signature": signature}}}


TURNS = {"system": _system, "user": _user, "assistant": _assistant}


# ── parts of a user turn ──────────────────────────────────────────────────────────────────────────────────────────────


def _texts(parts: tuple[c.Part, ...]) -> list[str]:
    return [part.text for part in parts if isinstance(part, c.Text)]


def _part(part: c.Part) -> Json:
    match part:
        case c.Text(text) | c.Refusal(text) | c.Reasoning(text):
            return {"type": "text", "text": text}
        case c.Media(kind="image"):
            return {"type": "image_url", "image_url": _located(part, {"detail": part.detail} if part.detail else {})}
        case c.Media(kind="video"):
            return {"type": "video_url", "video_url": _located(part, {})}
        case c.Media(kind="audio", media_type=media_type, data=str(data)):
            coding = SOUNDS.get(media_type, media_type.partition("/")[2])
            return {"type": "input_audio", "input_audio": {"data": data, "format": coding}}
        case c.Media(kind="document"):
            return _document(part)
        case c.Media(kind=kind):
            raise Unsupported(f"messages: {kind} can only be sent as data to this model")
    raise Unsupported("messages: a call of a tool can't stand in a user turn")


def _located(media: c.Media, more: Json) -> Json:
    if media.file:
        raise Unsupported(f"messages: this model knows no {media.kind} by the id of a file")
    return {"url": media.url or data_url(media.media_type, media.data or ""), **more}


def _document(media: c.Media) -> Json:
    if media.file:
        return {"type": "file", "file": {"file_id": media.file}}
    if media.data is None:
        raise Unsupported("messages: this model fetches no documents; send the file itself")
    if media.media_type.startswith("text/"):
        text = _decoded(media.data)
        return {"type": "text", "text": f"{media.name}:\n{text}" if media.name else text}
    file = {"filename": media.name or "document.pdf", "file_data": data_url(media.media_type, media.data)}
    return {"type": "file", "file": file}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except ValueError:
        raise CallerError("messages: a document is not valid base64") from None
