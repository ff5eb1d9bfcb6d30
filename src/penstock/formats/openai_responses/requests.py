"""Requests of the responses API: read into our own words, and written from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, takewhile
from typing import Any, Literal

import msgspec

from penstock.canonical.chat import (
    ChatRequest,
    Effort,
    HostedTool,
    JsonOutput,
    Media,
    MediaKind,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    merged,
)
from penstock.errors import CallerError, InvalidField, InvalidInput, Unsupported
from penstock.formats._base import data_url, decoded, of_data_url

replace = msgspec.structs.replace
FAMILY = "openai"
LEAST_TOKENS = 16
LOSES = {
    "top_k": "dropped",
    "stop": "dropped",
    "seed": "dropped",
    "presence_penalty": "dropped",
    "frequency_penalty": "dropped",
    "logprobs": "dropped: our events carry none",
    "max_tokens": "raised to 16, the least that is taken",
    "choices": "refused if more than one",
    "speaks": "refused",
    "Media.video": "refused",
    "Text.cache": "dropped silently: a hint",
    "Message.name": "dropped",
    "ToolResult.failed": "a word before the text",
    "Reasoning": "kept only where it is sealed by this family",
    "HostedTool": "web_search is translated; others only of this family",
    "Thinking.budget": "the nearest effort",
}

STATEFUL = ("previous_response_id", "conversation", "prompt")
HELD = {
    *("model", "input", "instructions", "stream", "stream_options", "max_output_tokens", "temperature", "top_p"),
    *("top_logprobs", "include", "reasoning", "text", "tools", "tool_choice", "parallel_tool_calls", "metadata"),
    *("user", "safety_identifier", "prompt_cache_key", "service_tier", "store", "background", "truncation"),
    *STATEFUL,
}
"""Fields that are looked at; others that are set are named as left out."""
CARRIED = {"reasoning.encrypted_content", "message.output_text.logprobs"}
"""Of `include`: the first is of use to its family alone, the second is `logprobs`."""
BY_VENDOR = {
    *("web_search_call", "file_search_call", "code_interpreter_call", "mcp_call", "mcp_list_tools"),
    *("tool_search_call", "tool_search_output", "additional_tools"),
}
"""Items of tools that the vendor ran: what came of them is in its words too, so they are left out by name. Those of
tools that the client ran hold what it wants an answer to, so they are refused."""


class AudioSaid(msgspec.Struct):
    data: str
    format: str


class PartSaid(msgspec.Struct):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: AudioSaid | None = None


class ItemSaid(msgspec.Struct):
    """Any kind of item; what is of several shapes is decoded once the kind is known."""

    type: str | None = None
    role: str | None = None
    content: Any = None
    id: str | None = None
    call_id: str | None = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    output: Any = None
    summary: Any = None
    encrypted_content: str | None = None
    result: str | None = None
    output_format: str | None = None


class ReasoningSaid(msgspec.Struct):
    effort: Effort | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: Any = None
    mode: Any = None


class FormatSaid(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "response"
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextSaid(msgspec.Struct):
    format: FormatSaid | None = None
    verbosity: str | None = None


class ToolSaid(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None


class Said(msgspec.Struct):
    model: str | None = None
    input: str | list[ItemSaid] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    reasoning: ReasoningSaid | None = None
    text: TextSaid | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    truncation: str | None = None


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read(body: bytes) -> ChatRequest:
    members: dict[str, msgspec.Raw] = decoded(body, dict[str, msgspec.Raw])
    given = {name for name, value in members.items() if bytes(value) != b"null"}
    for name in STATEFUL:
        if name in given:
            raise Unsupported(f"{name}: there is no such state for this model")
    said: Said = decoded(body, Said)
    turns, skipped = _dialogue(said)
    logprobs = "message.output_text.logprobs" in (said.include or ())
    return ChatRequest(
        model=said.model or "",
        messages=merged(turns),
        stream=bool(said.stream),
        max_tokens=said.max_output_tokens,
        temperature=said.temperature,
        top_p=said.top_p,
        logprobs=said.top_logprobs or (0 if logprobs else None),
        tools=tuple(_tool(tool, number) for number, tool in enumerate(said.tools or ())),
        choice=_choice(said),
        output=_output(said.text),
        thinking=_thinking(said.reasoning),
        verbosity=said.text.verbosity if said.text else None,
        user=said.user or said.safety_identifier,
        metadata=said.metadata or {},
        service_tier=said.service_tier,
        store=said.store,
        cache_key=said.prompt_cache_key,
        left_out=(*sorted(given - HELD), *_hints(said), *skipped),
    )


def _hints(said: Said) -> list[str]:
    """Held fields of which a part was left out."""
    truncates = said.truncation not in (None, "disabled")
    included = any(name not in CARRIED for name in said.include or ())
    reasons = [name for name in ("context", "mode") if said.reasoning and getattr(said.reasoning, name) is not None]
    return ["truncation"] * truncates + ["include"] * included + [f"reasoning.{name}" for name in reasons]


def _dialogue(said: Said) -> tuple[list[Message], list[str]]:
    """The turns, and the names of items that were left out."""
    turns = [Message("system", (Text(said.instructions),))] if said.instructions else []
    skipped: list[str] = []
    if isinstance(said.input, str):
        turns.append(Message("user", (Text(said.input),)))
        return turns, skipped
    for number, item in enumerate(said.input or ()):
        where = f"input[{number}]"
        kind = item.type or "message"
        if kind in BY_VENDOR:
            skipped.append(where)
        elif kind in ITEMS:
            turns.append(ITEMS[kind](item, where))
        else:
            raise Unsupported(f"{where}.type: {kind} items can't be carried to this model")
    return turns, skipped


def _message(item: ItemSaid, where: str) -> Message:
    match item.role:
        case "user" | "assistant":
            return Message(item.role, _parts(item.content, f"{where}.content"))
        case "system" | "developer":
            return Message("system", _parts(item.content, f"{where}.content"))
    raise _wrong(f"{where}.role", "Must be one of user, assistant, system, developer")


def _call(item: ItemSaid, where: str) -> Message:
    name, arguments = _as(item.name, str, f"{where}.name"), _as(item.arguments, str, f"{where}.arguments")
    return Message("assistant", (ToolCall(_call_id(item, where), name, arguments or "{}"),))


def _custom_call(item: ItemSaid, where: str) -> Message:
    name, text = _as(item.name, str, f"{where}.name"), _as(item.input, str, f"{where}.input")
    return Message("assistant", (ToolCall(_call_id(item, where), name, text, custom=True),))


def _result(item: ItemSaid, where: str) -> Message:
    content = tuple(part for part in _parts(item.output, f"{where}.output") if isinstance(part, Text | Media))
    return Message("user", (ToolResult(_call_id(item, where), content, custom=item.type == "custom_tool_call_output"),))


def _reasoning(item: ItemSaid, where: str) -> Message:
    said = _as(item.summary or [], list[PartSaid], f"{where}.summary")
    said = said or _as(item.content or [], list[PartSaid], f"{where}.content")
    text = "\n\n".join(part.text for part in said)
    sealed = item.encrypted_content or ""
    return Message("assistant", (Reasoning(text, sealed=sealed, family=FAMILY, id=item.id or ""),))


def _picture(item: ItemSaid, where: str) -> Message:
    if not item.result:
        return Message("assistant")
    return Message("assistant", (Media("image", f"image/{item.output_format or 'png'}", data=item.result),))


ITEMS = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _result,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _result,
    "reasoning": _reasoning,
    "image_generation_call": _picture,
}


def _call_id(item: ItemSaid, where: str) -> str:
    if not item.call_id:
        raise _wrong(f"{where}.call_id", "Must be given")
    return item.call_id


def _parts(content: Any, where: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    said: list[PartSaid] = _as(content, list[PartSaid], where)
    return tuple(_part(part, f"{where}[{number}]") for number, part in enumerate(said))


def _part(part: PartSaid, where: str) -> Part:
    match part.type:
        case "input_text" | "output_text" | "text" | "summary_text":
            return Text(part.text)
        case "refusal":
            return Refusal(part.refusal)
        case "input_image":
            return _media("image", part, part.image_url, where)
        case "input_file" if part.file_data and part.file_data[:5].lower() != "data:":
            return Media("document", "application/pdf", data=part.file_data, name=part.filename)
        case "input_file":
            return _media("document", part, part.file_data or part.file_url, where)
        case "input_audio" if part.input_audio:
            form = part.input_audio.format
            return Media("audio", "audio/mpeg" if form == "mp3" else f"audio/{form}", data=part.input_audio.data)
    raise _wrong(f"{where}.type", f"{part.type!r} is no part of a message here")


def _media(kind: MediaKind, part: PartSaid, url: str | None, where: str) -> Media:
    media = Media(kind, name=part.filename, detail=part.detail)
    if url:
        try:
            inline = of_data_url(url)
        except CallerError as error:
            raise _wrong(where, str(error)) from None
        if inline:
            return replace(media, media_type=inline[0], data=inline[1])
        return replace(media, url=url)
    if part.file_id:
        return replace(media, file=part.file_id)
    raise _wrong(where, "Must have data, a URL, or a file id")


def _tool(said: dict[str, Any], number: int) -> Tool | HostedTool:
    where = f"tools[{number}]"
    kind = said.get("type")
    if kind in ("function", "custom"):
        tool: ToolSaid = _as(said, ToolSaid, where)
        custom = kind == "custom"
        grammar = tool.format if custom else None
        return Tool(tool.name, tool.description or "", tool.parameters, tool.strict, custom, grammar)
    if not isinstance(kind, str):
        raise _wrong(f"{where}.type", "Must be given")
    return HostedTool(_hosted(kind), FAMILY, said)


def _hosted(kind: str) -> str:
    """`web_search_preview` and dated kinds are one tool."""
    return "web_search" if kind.startswith("web_search") else kind


def _choice(said: Said) -> ToolChoice | None:
    chosen, parallel = said.tool_choice, said.parallel_tool_calls
    match chosen:
        case None:
            return None if parallel is None else ToolChoice(parallel=parallel)
        case "auto" | "none" | "required":
            return ToolChoice(chosen, parallel=parallel)
        case {"type": "function" | "custom", "name": str(name)}:
            return ToolChoice("required", (name,), parallel)
        case {"type": "allowed_tools", "tools": list(tools), **rest}:
            mode: Literal["auto", "required"] = "required" if rest.get("mode") == "required" else "auto"
            return ToolChoice(mode, tuple(filter(None, map(_named, tools))), parallel)
        case {"type": str(kind)}:
            return ToolChoice("required", (_hosted(kind),), parallel)
    raise _wrong("tool_choice", "Must be auto, none, required, or name a tool")


def _named(tool: Any) -> str | None:
    if not isinstance(tool, dict):
        return None
    named = tool.get("name") if tool.get("type") in ("function", "custom") else _hosted(str(tool.get("type")))
    return named if isinstance(named, str) else None


def _output(text: TextSaid | None) -> JsonOutput | None:
    form = text.format if text else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return JsonOutput()
    if form.schema is None:
        raise _wrong("text.format.schema", "Must be given")
    return JsonOutput(form.schema, form.name, form.description or "", form.strict)


def _thinking(said: ReasoningSaid | None) -> Thinking | None:
    if said is None:
        return None
    summary = said.summary or said.generate_summary
    if said.effort is None and summary is None:
        return None
    return Thinking(said.effort, visible=True if summary else None, summary=summary)


def _as(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        words, _, inner = str(error).partition(" - at `$")
        raise _wrong(where + inner.rstrip("`"), words) from None


def _wrong(where: str, words: str) -> InvalidInput:
    return InvalidInput(f"{where}: {words}", (InvalidField(where, "type", words),))


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────

BUDGETS: Sequence[tuple[int, Effort]] = ((0, "none"), (1280, "low"), (4096, "medium"))
"""The effort that a budget of at most so many tokens comes near to; more is high, and -1 is the vendor's to choose."""
UNHEARD = ("top_k", "seed", "presence_penalty", "frequency_penalty", "logprobs")


def written(request: ChatRequest, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the body, and the names of what was dropped."""
    if request.choices > 1:
        raise Unsupported("choices: this model answers once")
    if request.speaks:
        raise Unsupported("speaks: this model can't answer with sound")
    dropped = [name for name in UNHEARD if getattr(request, name) is not None]
    dropped += ["stop"] * bool(request.stop)
    dropped += ["max_tokens"] * (request.max_tokens is not None and request.max_tokens < LEAST_TOKENS)
    instructions, items = _written_dialogue(request, dropped)
    tools = _written_tools(request, dropped)
    fields: dict[str, Any] = {
        "model": model,
        "input": items,
        "instructions": instructions,
        "stream": request.stream or None,
        "max_output_tokens": None if request.max_tokens is None else max(request.max_tokens, LEAST_TOKENS),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "tools": tools or None,
        **_written_choice(request.choice, request.tools, bool(tools)),
        "text": _written_text(request),
        "reasoning": _written_thinking(request.thinking),
        "user": request.user,
        "metadata": request.metadata or None,
        "service_tier": request.service_tier,
        "prompt_cache_key": request.cache_key,
        "store": bool(request.store),  # its own default keeps what other APIs do not
    }
    return {name: value for name, value in fields.items() if value is not None}, tuple(dropped)


def _written_dialogue(request: ChatRequest, dropped: list[str]) -> tuple[str | None, list[dict[str, Any]]]:
    """Instructions from the system's words at the start, items from all else."""
    leading = list(takewhile(lambda turn: turn.role == "system", request.messages))
    if len(leading) == len(request.messages):
        leading = []  # something must be there to answer
    items: list[dict[str, Any]] = []
    for number, turn in enumerate(request.messages):
        if turn.name:
            dropped.append(f"messages[{number}].name")
        if number >= len(leading):
            items += _items(turn, f"messages[{number}]")
    said = "\n\n".join(_words(turn.content) for turn in leading)
    return said or None, items


def _words(parts: Iterable[Part]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def _items(turn: Message, where: str) -> list[dict[str, Any]]:
    if turn.role == "system":
        return [_spoken("developer", [{"type": "input_text", "text": _words(turn.content)}])]
    items: list[dict[str, Any]] = []
    for role, parts in groupby(turn.content, key=lambda part: _speaker(part, turn.role)):
        if role is None:
            items += [item for part in parts if (item := _apart(part)) is not None]
        else:
            said = [_written_part(part, role, where) for part in parts if part != Text("")]
            items += [_spoken(role, said)] if said else []
    return items


def _speaker(part: Part, role: str) -> str | None:
    """In whose message a part stands; None: it is an item of its own. A picture that the assistant made is shown to it
    as the user's, since its own words can't hold one."""
    if isinstance(part, ToolCall | ToolResult | Reasoning):
        return None
    return "user" if isinstance(part, Media) else role


def _spoken(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _apart(part: Part) -> dict[str, Any] | None:
    match part:
        case ToolCall(custom=True):
            return {"type": "custom_tool_call", "call_id": part.id, "name": part.name, "input": part.arguments}
        case ToolCall():
            arguments = part.arguments or "{}"
            return {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments}
        case ToolResult():
            kind = "custom_tool_call_output" if part.custom else "function_call_output"
            return {"type": kind, "call_id": part.id, "output": _written_result(part)}
        case Reasoning(family="openai") if part.sealed and part.id:
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            return {"type": "reasoning", "id": part.id, "summary": summary, "encrypted_content": part.sealed}
    return None


def _written_result(result: ToolResult) -> str | list[dict[str, Any]]:
    parts: tuple[Text | Media, ...] = (Text("Error: "), *result.content) if result.failed else result.content
    if all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_written_part(part, "user", "a tool's result") for part in parts]


def _written_part(part: Part, role: str, where: str) -> dict[str, Any]:
    match part:
        case Text(text) if role == "assistant":
            return {"type": "output_text", "text": text, "annotations": []}
        case Text(text):
            return {"type": "input_text", "text": text}
        case Refusal(text):
            return {"type": "refusal", "refusal": text}
        case Media("image"):
            url = part.url or (data_url(part.media_type or "image/png", part.data) if part.data else None)
            return _filled(type="input_image", image_url=url, file_id=part.file, detail=part.detail or "auto")
        case Media("document"):
            data = data_url(part.media_type or "application/pdf", part.data) if part.data else None
            name = part.name or ("document" if data else None)
            return _filled(type="input_file", file_data=data, file_url=part.url, file_id=part.file, filename=name)
        case Media("audio") if part.data and (form := _sound(part.media_type)):
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
        case Media(kind):
            raise Unsupported(f"{where}.content: this model takes no {kind} of this kind")
    raise AssertionError(f"{type(part).__name__} is an item of its own")


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _sound(media_type: str) -> str | None:
    return "wav" if "wav" in media_type else "mp3" if media_type in ("audio/mp3", "audio/mpeg") else None


def _written_tools(request: ChatRequest, dropped: list[str]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = []
    for number, tool in enumerate(request.tools):
        declared = _function(tool) if isinstance(tool, Tool) else _declared(tool)
        if declared is not None:
            tools.append(declared)
        elif request.choice and _forces(request.choice, tool, alone=len(request.tools) == 1):
            raise Unsupported(f"tools[{number}]: this model has no such tool")
        else:
            dropped.append(f"tools[{number}]")
    return tools + [{"type": "image_generation"}] * request.draws


def _forces(choice: ToolChoice, tool: Tool | HostedTool, *, alone: bool) -> bool:
    name = tool.name if isinstance(tool, Tool) else tool.kind
    return choice.mode == "required" and (name in choice.names or (alone and not choice.names))


def _function(tool: Tool) -> dict[str, Any]:
    if tool.custom:
        return _filled(type="custom", name=tool.name, description=tool.description or None, format=tool.grammar)
    schema = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "name": tool.name, **described, "parameters": schema, "strict": bool(tool.strict)}


def _declared(tool: HostedTool) -> dict[str, Any] | None:
    """A vendor's tool, if this one has it. Others' searches are told as far as they are the same."""
    if tool.kind == "web_search":
        own = str(tool.raw.get("type", "")) if tool.family == FAMILY else ""
        return tool.raw if own.startswith("web_search") else _search(tool.raw)
    return tool.raw if tool.family == FAMILY and "type" in tool.raw else None


def _search(raw: dict[str, Any]) -> dict[str, Any]:
    where = raw.get("user_location")
    if isinstance(where, dict):
        where = {"type": "approximate", **(where.get("approximate") or where)}
    domains = raw.get("allowed_domains")
    filters = {"allowed_domains": domains} if domains else None
    size = raw.get("search_context_size")
    return _filled(type="web_search", search_context_size=size, user_location=where, filters=filters)


def _written_choice(choice: ToolChoice | None, tools: Sequence[Tool | HostedTool], any_left: bool) -> dict[str, Any]:
    if choice is None or not any_left:
        return {}
    chosen: Any = choice.mode
    if choice.names and choice.mode != "none":
        named = [_reference(name, tools) for name in choice.names]
        alone = choice.mode == "required" and len(named) == 1
        chosen = named[0] if alone else {"type": "allowed_tools", "mode": choice.mode, "tools": named}
    return {"tool_choice": chosen, "parallel_tool_calls": choice.parallel}


def _reference(name: str, tools: Sequence[Tool | HostedTool]) -> dict[str, Any]:
    for tool in tools:
        if isinstance(tool, HostedTool) and tool.kind == name and (declared := _declared(tool)):
            return {"type": declared["type"]}
        if isinstance(tool, Tool) and tool.name == name and tool.custom:
            return {"type": "custom", "name": name}
    return {"type": "function", "name": name}


def _written_text(request: ChatRequest) -> dict[str, Any] | None:
    form: dict[str, Any] | None = None
    wanted = request.output
    if wanted is not None and wanted.schema is None:
        form = {"type": "json_object"}
    elif wanted is not None:
        described = wanted.description or None
        strict = wanted.strict
        form = _filled(type="json_schema", name=wanted.name, schema=wanted.schema, description=described, strict=strict)
    return _filled(format=form, verbosity=request.verbosity) or None


def _written_thinking(thinking: Thinking | None) -> dict[str, Any] | None:
    if thinking is None:
        return None
    effort = thinking.effort
    if effort is None and thinking.budget is not None and thinking.budget >= 0:
        effort = next((effort for most, effort in BUDGETS if thinking.budget <= most), "high")
    summary = thinking.summary or ("auto" if thinking.visible else None)
    return _filled(effort=effort, summary=summary) or None
