"""A chat completions request, read into our own words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, get_args

import msgspec

from penstock.canonical import chat as c
from penstock.errors import CallerError, InvalidField, InvalidInput, Unsupported
from penstock.formats._base import decoded, of_data_url
from penstock.formats.openai_chat import shapes as s

KEPT_FOR = {"ephemeral": "5m", "1h": "1h", "5m": "5m", "30m": "5m", "12h": "1h"}
SNIFFED = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lG": "image/gif",
    "UklGR": "image/webp",
    "JVBER": "application/pdf",
}
"""How base64 of these kinds begins."""
PICTURE = re.compile(r"!\[[^\]\n]{0,200}\]\(data:(image/[\w.+-]{1,40});base64,([^()\s]+)\)\n?")
SOUNDS = {"mp3": "audio/mpeg", "wav": "audio/wav"}
LEVELS = {"off": "none", "on": "medium", "default": "medium"}


def read(body: bytes) -> c.ChatRequest:
    asked: s.Body = decoded(body, s.Body)
    members = decoded(body, dict[str, msgspec.Raw])
    if not asked.messages:
        invalid("messages", "must hold at least one message")
    modalities = asked.modalities or ()
    return c.ChatRequest(
        model=asked.model or "",
        messages=c.merged(_messages(asked.messages)),
        stream=bool(asked.stream),
        max_tokens=most(asked.max_tokens, asked.max_completion_tokens),
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        choices=asked.n or 1,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logprobs=asked.top_logprobs or 0 if asked.logprobs or asked.top_logprobs else None,
        tools=tuple(_tools(asked, members)),
        choice=_choice(asked),
        output=_output(asked.response_format),
        thinking=_thinking(asked),
        verbosity=asked.verbosity,
        speaks="audio" in modalities,
        draws="image" in modalities,
        user=asked.user or asked.safety_identifier,
        metadata=asked.metadata or {},
        service_tier=asked.service_tier,
        store=asked.store,
        cache_key=asked.prompt_cache_key,
        left_out=tuple(name for name in members if name not in _KNOWN and bytes(members[name]) != b"null"),
    )


_KNOWN = frozenset(s.Body.__struct_fields__)


def most(*caps: int | None) -> int | None:
    """The larger bound; zero and below bound nothing, as local servers have it."""
    return max((cap for cap in caps if cap is not None and cap > 0), default=None)


def invalid(path: str, words: str, rule: str = "invalid") -> NoReturn:
    raise InvalidInput(f"{path}: {words}", (InvalidField(path, rule, words),))


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _messages(messages: list[s.Message]) -> Iterator[c.Message]:
    custom: set[str] = set()
    """Ids of calls whose results are free text too."""
    legacy = ""
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        match message.role:
            case "system" | "developer":
                yield c.Message("system", tuple(_parts(message, where)), message.name)
            case "user":
                yield c.Message("user", tuple(_parts(message, where)), message.name)
            case "assistant":
                turn = tuple(_said(message, where))
                custom |= {part.id for part in turn if isinstance(part, c.ToolCall) and part.custom}
                if message.function_call:
                    legacy = _legacy_id(where)
                yield c.Message("assistant", turn, message.name)
            case "tool" | "function":
                id = message.tool_call_id or (legacy if message.role == "function" else "")
                if not id:
                    invalid(f"{where}.tool_call_id", "is missing", "required")
                content = tuple(part for part in _parts(message, where) if isinstance(part, c.Text | c.Media))
                yield c.Message("user", (c.ToolResult(id, content, message.name or "", custom=id in custom),))
            case other:
                invalid(f"{where}.role", f"{other!r} is not a role")


def _said(message: s.Message, where: str) -> Iterator[c.Part]:
    """An assistant's turn: thoughts, words, calls."""
    if message.audio:
        raise Unsupported(f"{where}.audio: only the vendor that made this sound knows it")
    if thought := message.reasoning_content or message.reasoning:
        yield c.Reasoning(thought)
    for part in _parts(message, where):
        yield from _shown(part.text) if isinstance(part, c.Text) and "](data:" in part.text else (part,)
    if message.refusal:
        yield c.Refusal(message.refusal)
    for number, call in enumerate(message.tool_calls or ()):
        yield _call(call, f"{where}.tool_calls[{number}]")
    if message.function_call:
        yield c.ToolCall(_legacy_id(where), message.function_call.name, _arguments(message.function_call))


def _shown(text: str) -> Iterator[c.Part]:
    """Pictures that stood in an answer as Markdown come back in the dialogue; their bytes are no text."""
    words, *pictures = PICTURE.split(text)
    if words:
        yield c.Text(words)
    for media_type, data, after in zip(*[iter(pictures)] * 3, strict=True):
        yield c.Media("image", media_type, data)
        if after:
            yield c.Text(after)


def _call(call: s.Call, where: str) -> c.ToolCall:
    if not call.id:
        invalid(f"{where}.id", "is missing", "required")
    if call.custom:
        return c.ToolCall(call.id, call.custom.name, call.custom.input, custom=True)
    if not call.function:
        invalid(f"{where}.function", "is missing", "required")
    google = call.extra_content.google if call.extra_content else None
    signature = google.thought_signature or "" if google else ""
    return c.ToolCall(
        call.id,
        call.function.name,
        _arguments(call.function),
        signature=signature,
        family="google" if signature else "",
    )


def _arguments(called: s.Called) -> str:
    """JSON text, though some clients send the object itself."""
    if isinstance(called.arguments, dict):
        return msgspec.json.encode(called.arguments).decode()
    return called.arguments or "{}"


def _legacy_id(where: str) -> str:
    """The deprecated calls have no ids."""
    return "call_" + "".join(character for character in where if character.isdigit())


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parts(message: s.Message, where: str) -> Iterator[c.Part]:
    if isinstance(message.content, str):
        if message.content:
            yield c.Text(message.content)
        return
    for number, part in enumerate(message.content or ()):
        if isinstance(part, str):
            part = s.Part(text=part)
        if part.type not in PARTS:
            invalid(f"{where}.content[{number}].type", f"{part.type!r} is not a kind of content")
        yield PARTS[part.type](part, f"{where}.content[{number}].{part.type}")


def _text(part: s.Part, where: str) -> c.Text:
    if part.text is None:
        invalid(where, "is missing", "required")
    return c.Text(part.text, cache=_cache(part.cache_control or part.prompt_cache_breakpoint))


def _refusal(part: s.Part, where: str) -> c.Refusal:
    return c.Refusal(part.refusal or "")


def _image(part: s.Part, where: str) -> c.Media:
    return _located("image", part.image_url, where, part)


def _video(part: s.Part, where: str) -> c.Media:
    return _located("video", part.video_url, where, part)


def _located(kind: c.MediaKind, given: s.Url | str | None, where: str, part: s.Part) -> c.Media:
    if given is None:
        invalid(where, "is missing", "required")
    url, detail = (given, None) if isinstance(given, str) else (given.url, given.detail)
    cache = _cache(part.cache_control or part.prompt_cache_breakpoint)
    if url[:8].lower().startswith(("http://", "https://")):
        return c.Media(kind, url=url, detail=detail, cache=cache)
    media_type, data = _bytes(url, where)
    return c.Media(kind, media_type, data, detail=detail, cache=cache)


def _sound(part: s.Part, where: str) -> c.Media:
    if part.input_audio is None:
        invalid(where, "is missing", "required")
    sound = part.input_audio
    return c.Media("audio", SOUNDS.get(sound.format, f"audio/{sound.format}"), sound.data)


def _file(part: s.Part, where: str) -> c.Media:
    if part.file is None:
        invalid(where, "is missing", "required")
    name, cache = part.file.filename, _cache(part.cache_control or part.prompt_cache_breakpoint)
    if part.file.file_id:
        return c.Media("document", file=part.file.file_id, name=name, cache=cache)
    if not part.file.file_data:
        invalid(where, "needs file_data or file_id", "required")
    media_type, data = _bytes(part.file.file_data, where, "application/pdf")
    return c.Media(_kind(media_type), media_type, data, name=name, cache=cache)


def _kind(media_type: str) -> c.MediaKind:
    kind = media_type.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"  # type: ignore[return-value]


def _bytes(given: str, where: str, otherwise: str = "") -> tuple[str, str]:
    """(media type, base64) of a data: URL, or of base64 alone, which some clients send."""
    try:
        media_type, data = of_data_url(given) or ("", given)
    except CallerError as error:
        invalid(where, str(error))
    media_type = media_type or next((kind for head, kind in SNIFFED.items() if data.startswith(head)), otherwise)
    if not media_type:
        invalid(where, "must be an http(s) or a data: URL")
    return media_type, data


def _cache(kept: s.Kept | None) -> str | None:
    return KEPT_FOR.get(kept.ttl or kept.type or "", "5m") if kept else None


PARTS: dict[str, Callable[[s.Part, str], c.Part]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _sound,
    "file": _file,
}


# ── tools, and how to answer ──────────────────────────────────────────────────────────────────────────────────────────


def _tools(asked: s.Body, members: dict[str, msgspec.Raw]) -> Iterator[c.Tool | c.HostedTool]:
    raws: list[dict[str, Any]] = []
    for number, tool in enumerate(asked.tools or ()):
        if tool.type == "function" and tool.function:
            yield _function(tool.function, _cache(tool.cache_control))
        elif tool.type == "custom" and tool.custom:
            yield c.Tool(tool.custom.name, tool.custom.description or "", custom=True, grammar=tool.custom.format)
        elif tool.type in ("function", "custom"):
            invalid(f"tools[{number}].{tool.type}", "is missing", "required")
        else:
            raws = raws or decoded(members["tools"], list[dict[str, Any]])
            kind = "web_search" if tool.type.startswith("web_search") else tool.type
            yield c.HostedTool(kind, "openai", raws[number])
    for function in asked.functions or ():
        yield _function(function, None)
    if asked.web_search_options:
        yield c.HostedTool("web_search", "openai", _search(asked.web_search_options))


def _function(function: s.Function, cache: str | None) -> c.Tool:
    return c.Tool(function.name, function.description or "", function.parameters, function.strict, cache=cache)


def _search(options: s.Search) -> dict[str, Any]:
    """As the same family's Responses API declares it."""
    raw: dict[str, Any] = {"type": "web_search"}
    if options.search_context_size:
        raw["search_context_size"] = options.search_context_size
    if options.user_location:
        raw["user_location"] = {"type": "approximate", **options.user_location.approximate}
    return raw


def _choice(asked: s.Body) -> c.ToolChoice | None:
    given, parallel = asked.tool_choice, asked.parallel_tool_calls
    if given is None and asked.function_call is not None:
        call = asked.function_call
        given = call if isinstance(call, str) else s.Choice(function=call)
    if given is None:
        return None if parallel is None else c.ToolChoice(parallel=parallel)
    if isinstance(given, str):
        if given not in ("auto", "none", "required", "any"):
            invalid("tool_choice", f"{given!r} is not a choice")
        return c.ToolChoice("required" if given == "any" else given, parallel=parallel)  # type: ignore[arg-type]
    if given.allowed_tools:
        names = tuple(_name(tool) for tool in given.allowed_tools.tools)
        return c.ToolChoice("required" if given.allowed_tools.mode == "required" else "auto", names, parallel)
    return c.ToolChoice("required", (_name(given),), parallel)


def _name(named: s.Named) -> str:
    found = named.function or named.custom
    if found is None:
        raise Unsupported(f"tool_choice: a tool of type {named.type!r} can't be chosen here")
    return found.name


def _output(given: s.Output | None) -> c.JsonOutput | None:
    match given.type if given else "text":
        case "text":
            return None
        case "json_object":
            return c.JsonOutput()
        case "json_schema":
            schema = given.json_schema if given else None
            if schema is None:
                invalid("response_format.json_schema", "is missing", "required")
            return c.JsonOutput(schema.schema or {}, schema.name, schema.description or "", schema.strict)
        case other:
            raise Unsupported(f"response_format.type: {other!r} can't be asked of this model")


def _thinking(asked: s.Body) -> c.Thinking | None:
    """OpenAI's own word first, then OpenRouter's, Google's, and those of GLM, DeepSeek, Doubao, and Qwen."""
    router = asked.reasoning or s.Reasoning()
    google = asked.extra_body.google.thinking_config if asked.extra_body and asked.extra_body.google else None
    google = google or s.GoogleThinking()
    effort = asked.reasoning_effort or router.effort or (google.thinking_level or "").lower() or None
    budget = next(
        (b for b in (router.max_tokens, google.thinking_budget, asked.thinking_budget) if b is not None), None
    )
    visible = not router.exclude if router.exclude is not None else google.include_thoughts
    if asked.thinking:
        budget = budget if asked.thinking.budget_tokens is None else asked.thinking.budget_tokens
    on = next(
        (said for said in (router.enabled, _enabled(asked.thinking), asked.enable_thinking) if said is not None), None
    )
    if effort is None and budget is None and on is not None:
        effort = "medium" if on else "none"
    if effort is None and budget is None and visible is None:
        return None
    return c.Thinking(_effort(effort), budget, visible)


def _enabled(thinking: s.Thinking | None) -> bool | None:
    return {"enabled": True, "disabled": False}.get(thinking.type) if thinking else None


def _effort(word: str | None) -> c.Effort | None:
    word = LEVELS.get(word, word) if word else None
    if word is not None and word not in get_args(c.Effort):
        invalid("reasoning_effort", f"{word!r} is not an effort")
    return word  # type: ignore[return-value]
