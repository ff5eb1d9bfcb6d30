"""Requests of Gemini's clients, read into our own words."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

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
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    merged,
)
from penstock.errors import InvalidField, InvalidInput, Unsupported
from penstock.formats.gemini_content.schemas import json_schema
from penstock.formats.gemini_content.spelling import camel, camel_name, taken, whole
from penstock.formats.gemini_content.wire import (
    FAMILY,
    Blob,
    Body,
    Code,
    CodeResult,
    Content,
    Declaration,
    FileData,
    FunctionResponse,
    Generation,
    Resolution,
    ThinkingConfig,
    ToolConfig,
    WirePart,
)

STAND_INS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""Either stands for the signature of a call that no Gemini model made; Google's cloud documents the first alone. Like a
signature they are base64 (URL-safe), so they go as they are."""
ROLES: dict[str, Role] = {"": "user", "user": "user", "model": "assistant", "function": "user", "system": "system"}
DETAILS = {"LOW": "low", "MEDIUM": "auto", "HIGH": "high", "ULTRA_HIGH": "high"}
EFFORTS: dict[str, Effort] = {
    "MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "XHIGH": "xhigh",
}  # fmt: skip
SEARCHES = {"googleSearch", "googleSearchRetrieval"}
Left = dict[str, None]


def read(body: dict[str, Any]) -> ChatRequest:
    """Raises InvalidInput for what Google would refuse, Unsupported for what we can't carry."""
    left: Left = {}
    asked = taken(camel(body), Body, "", left)
    for name in ("cached_content", "continuation_token"):
        if getattr(asked, name):
            raise Unsupported(f"{camel_name(name)} works only with a Gemini model of Google's.")
    contents = _listed(asked.contents)
    messages = [*_system(asked.system_instruction, left), *_messages(contents, left)]
    if not any(message.role != "system" for message in messages) or not any(turn.get("parts") for turn in contents):
        raise _invalid("contents", "contents is not specified")
    config = taken(asked.generation_config or {}, Generation, "generationConfig", left)
    tier = (asked.service_tier or "").lower()
    return ChatRequest(
        messages=merged(messages),
        tools=tuple(_tools(_listed(asked.tools), left)),
        choice=_choice(asked.tool_config, left),
        service_tier=tier if tier not in ("", "unspecified") else None,
        store=asked.store,
        **_generation(config, left),
        left_out=tuple(left),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _invalid(path: str, words: str) -> InvalidInput:
    return InvalidInput(words, (InvalidField(path, "invalid", words),))


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _system(said: Any, left: Left) -> Iterator[Message]:
    """A content, whose role says nothing, or words alone."""
    if said is None:
        return
    content = taken({"parts": [{"text": said}]} if isinstance(said, str) else said, Content, "systemInstruction", left)
    parts = [taken(part, WirePart, "systemInstruction.parts", left) for part in _listed(content.parts)]
    yield Message("system", tuple(Text(part.text) for part in parts if part.text))


class Called(NamedTuple):
    id: str
    name: str


class Waiting:
    """Calls that no result has come for, oldest first. There may be very many, so nobody searches them."""

    def __init__(self) -> None:
        self._lines: defaultdict[str | tuple[str, ...], deque[int]] = defaultdict(deque)
        self._calls: list[Called | None] = []

    def add(self, call: Called) -> None:
        for line in (call.id, (call.name,), ()):
            self._lines[line].append(len(self._calls))
        self._calls.append(call)

    def answered_by(self, said: FunctionResponse) -> Called | None:
        """The call of this id; without an id the oldest of this name, else the oldest of all."""
        for line in (said.id,) if said.id else ((said.name,), ()):
            numbers = self._lines[line]
            while numbers:
                number = numbers.popleft()
                call, self._calls[number] = self._calls[number], None
                if call:
                    return call
        return None


def _messages(contents: list[Any], left: Left) -> Iterator[Message]:
    waiting = Waiting()
    for turn, raw in enumerate(contents):
        content = taken(raw, Content, "contents", left)
        role = ROLES.get(content.role or "")
        if role is None:
            raise _invalid(f"contents[{turn}].role", "Please use a valid role: user, model.")
        parts: list[Part] = []
        for place, part in enumerate(_listed(content.parts)):
            wire = taken(part, WirePart, "contents.parts", left)
            parts += _parts(wire, f"{turn}_{place}", waiting)
        yield Message(role, tuple(parts))


def _parts(part: WirePart, place: str, waiting: Waiting) -> Iterator[Part]:
    """What one of Google's parts says: a signature on anything but a call is an empty thought behind it."""
    signature = part.thought_signature or ""
    if signature in STAND_INS:
        signature = ""
    if part.function_call:
        call = part.function_call
        id = call.id or f"call_{place}"
        waiting.add(Called(id, call.name))
        arguments = msgspec.json.encode(call.args or {}).decode()
        yield ToolCall(id, call.name, arguments, signature=signature, family=FAMILY if signature else "")
        return
    if part.thought:
        yield Reasoning(part.text or "", signature=signature, family=FAMILY)
        return
    if part.function_response:
        yield _result(part.function_response, place, waiting)
    elif part.inline_data or part.file_data:
        yield msgspec.structs.replace(_media(part.inline_data, part.file_data), detail=_detail(part.media_resolution))
    elif part.executable_code or part.code_execution_result:
        yield Text(code_text(part.executable_code, part.code_execution_result))
    elif part.text:
        yield Text(part.text)
    elif part.text is None and not signature:
        raise _invalid(f"contents[{place.replace('_', '].parts[')}]", "A part must have one data field.")
    if signature:
        yield Reasoning(signature=signature, family=FAMILY)


def code_text(code: Code | None, result: CodeResult | None) -> str:
    """What the vendor's own Python tool ran and saw, for formats that have no word for it."""
    if code:
        return f"\n```{(code.language or '').lower()}\n{code.code}\n```\n"
    return f"\n```\n{result.output or ''}\n```\n" if result else ""


def _media(blob: Blob | None, file: FileData | None) -> Media:
    if blob:
        data = blob.data.replace("-", "+").replace("_", "/")  # Google's own clients write base64 for URLs
        return Media(media_kind(blob.mime_type), blob.mime_type or "", data, name=blob.display_name)
    assert file is not None
    kind = media_kind(file.mime_type or ("video/mp4" if is_youtube(file.file_uri) else ""))
    return Media(kind, file.mime_type or "", url=file.file_uri, name=file.display_name)


def media_kind(media_type: str | None) -> MediaKind:
    match (media_type or "").partition("/")[0].lower():
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
    return "document"


def is_youtube(url: str) -> bool:
    return url.startswith(("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"))


def _detail(said: Resolution | str | None) -> str | None:
    level = said.level if isinstance(said, Resolution) else said
    return DETAILS.get((level or "").upper().removeprefix("MEDIA_RESOLUTION_"))


def _result(said: FunctionResponse, place: str, waiting: Waiting) -> ToolResult:
    call = waiting.answered_by(said)
    failed, text = _said(said.response or {})
    media = [
        _media(part.inline_data, part.file_data) for part in said.parts or () if part.inline_data or part.file_data
    ]
    content = ((Text(text),) if text or not media else ()) + tuple(media)
    id = said.id or (call.id if call else f"call_{place}")
    return ToolResult(id, content, said.name or (call.name if call else ""), failed)


def _said(response: dict[str, Any]) -> tuple[bool, str]:
    """(whether the tool failed, its words): an object of one of Google's own keys is what that key holds."""
    if len(response) == 1:
        ((key, value),) = response.items()
        if key in ("output", "error", "result"):
            return key == "error", value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return False, msgspec.json.encode(response).decode() if response else ""


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(tools: list[Any], left: Left) -> Iterator[Tool | HostedTool]:
    for tool in tools:
        for name, value in tool.items():
            if name == "functionDeclarations":
                for raw in _listed(value):
                    declared = taken(raw, Declaration, "tools.functionDeclarations", left)
                    schema = declared.parameters_json_schema or json_schema(declared.parameters)
                    yield Tool(declared.name, declared.description or "", schema)
            elif value is not None and value is not False:
                kind = "web_search" if name in SEARCHES else _snake(name)
                yield HostedTool(kind, FAMILY, {name: value})


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _choice(config: dict[str, Any] | None, left: Left) -> ToolChoice | None:
    said = taken(config or {}, ToolConfig, "toolConfig", left).function_calling_config
    if said is None:
        return None
    names = tuple(said.allowed_function_names or ())
    match (said.mode or "").upper():
        case "ANY":
            return ToolChoice("required", names)
        case "NONE":
            return ToolChoice("none")
        case "" | "MODE_UNSPECIFIED" | "AUTO" | "VALIDATED":
            return ToolChoice("auto", names)
    raise _invalid("toolConfig.functionCallingConfig.mode", f"Unknown mode: {said.mode}")


# ── wishes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _generation(config: Generation, left: Left) -> dict[str, Any]:
    def counted(name: str) -> int | None:
        return whole(getattr(config, name), f"generationConfig.{camel_name(name)}")

    modalities = {modality.upper() for modality in config.response_modalities or ()}
    return {
        "max_tokens": counted("max_output_tokens"),
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": counted("top_k"),
        "stop": tuple(config.stop_sequences or ()),
        "choices": counted("candidate_count") or 1,
        "seed": counted("seed"),
        "presence_penalty": config.presence_penalty,
        "frequency_penalty": config.frequency_penalty,
        "logprobs": (counted("logprobs") or 0) if config.response_logprobs else None,
        "output": _output(config),
        "thinking": _thinking(config.thinking_config, left),
        "speaks": "AUDIO" in modalities,
        "draws": "IMAGE" in modalities,
    }


def _output(config: Generation) -> JsonOutput | None:
    if config.response_format:
        raise Unsupported("generationConfig.responseFormat works only with a Gemini model of Google's.")
    match (config.response_mime_type or "text/plain").lower():
        case "application/json":
            return JsonOutput(config.response_json_schema or json_schema(config.response_schema))
        case "text/plain":
            return None
    raise Unsupported(f"generationConfig.responseMimeType {config.response_mime_type} works only with a Gemini model.")


def _thinking(config: dict[str, Any] | None, left: Left) -> Thinking | None:
    if not config:
        return None
    said = taken(config, ThinkingConfig, "generationConfig.thinkingConfig", left)
    budget = whole(said.thinking_budget, "generationConfig.thinkingConfig.thinkingBudget")
    return Thinking(EFFORTS.get((said.thinking_level or "").upper()), budget, said.include_thoughts)
