"""A client's request, in our own words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    merged,
)
from penstock.errors import InvalidField, InvalidInput, Unsupported
from penstock.formats._base import decoded
from penstock.formats.anthropic_messages.wire import (
    FAMILY,
    Block,
    CacheControl,
    ChoiceWords,
    OutputConfig,
    RequestWords,
    Source,
    ThinkingWords,
    ToolWords,
    Turn,
)

KNOWN = frozenset(field.name for field in msgspec.structs.fields(RequestWords))
_DATED = re.compile(r"_\d{8}\Z")
_HOSTED = re.compile(r"(server_tool_use|mcp_tool_use|container_upload|tool_reference|browser_state|\w+_tool_result)\Z")
"""Blocks that only the vendor's own tools make and understand."""


def request(body: bytes) -> ChatRequest:
    members: Mapping[str, msgspec.Raw] = decoded(body, dict[str, msgspec.Raw])
    words: RequestWords = decoded(body, RequestWords)
    if words.max_tokens == 0:
        raise Unsupported("max_tokens: 0 only warms a cache, which the model behind this request can't do")
    left_out = [name for name, value in members.items() if name not in KNOWN and bytes(value) != b"null"]
    turns = [_turn(turn, f"messages[{at}]", left_out) for at, turn in enumerate(words.messages)]
    if words.system:
        turns.insert(0, _turn(Turn("system", words.system), "system", left_out))
    config = words.output_config or OutputConfig()
    return ChatRequest(
        model=words.model,
        messages=merged(turns),
        stream=bool(words.stream),
        max_tokens=words.max_tokens,
        temperature=words.temperature,
        top_p=words.top_p,
        top_k=words.top_k,
        stop=tuple(words.stop_sequences or ()),
        tools=tuple(_tools(words.tools or (), members)),
        choice=_choice(words.tool_choice, words.tools or ()),
        output=JsonOutput(config.format.schema) if config.format else None,
        thinking=_thinking(words.thinking, config),
        user=words.metadata.user_id if words.metadata else None,
        service_tier=words.service_tier,
        left_out=tuple(dict.fromkeys(left_out)),
    )


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _turn(turn: Turn, path: str, left_out: list[str]) -> Message:
    return Message(turn.role, tuple(_parts(turn.content, path, left_out)))


def _parts(content: str | list[Block], path: str, left_out: list[str]) -> Iterator[Part]:
    for at, block in enumerate([Block("text", content)] if isinstance(content, str) else content):
        if (read := READERS.get(block.type)) is not None:
            yield from read(block, f"{path}.content[{at}]", left_out)
        elif _HOSTED.match(block.type):
            left_out.append(block.type)
        else:
            raise _wrong(f"{path}.content[{at}].type", f"'{block.type}' is no type of block")


def _text(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    if block.text:
        yield Text(block.text, _cache(block.cache_control))


def _image(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    yield _media(block, path)


def _document(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    """A document of plain text or of blocks is read as these, below its title."""
    source = _source(block, path)
    if source.type not in ("text", "content"):
        yield _media(block, path)
        return
    header = "\n".join(words for words in (block.title, block.context) if words)
    if header:
        yield Text(f"{header}\n\n")
    yield from _parts(source.data if source.type == "text" else source.content, f"{path}.source", left_out)


def _media(block: Block, path: str) -> Media:
    source, cache = _source(block, path), _cache(block.cache_control)
    kind: Any = block.type
    name = block.title or None
    if source.type == "base64" and source.data and source.media_type:
        return Media(kind, source.media_type, data=source.data, name=name, cache=cache)
    if source.type == "url" and source.url:
        guessed = "application/pdf" if kind == "document" else ""
        return Media(kind, guessed, url=source.url, name=name, cache=cache)
    if source.type == "file" and source.file_id:
        return Media(kind, file=source.file_id, name=name, cache=cache)
    raise _wrong(f"{path}.source", f"a source of type '{source.type}' that lacks what it is made of, or no type at all")


def _source(block: Block, path: str) -> Source:
    if not isinstance(block.source, Source):
        raise _wrong(f"{path}.source", "Field required")
    return block.source


def _search_result(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    found = block.content if isinstance(block.content, list) else []
    header = [words for words in (block.title, block.source) if isinstance(words, str) and words]
    text = "\n".join([*header, "", *(inner.text for inner in found)])
    yield Text(text, _cache(block.cache_control))


def _tool_use(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    if not block.id or not block.name:
        raise _wrong(f"{path}.{'name' if block.id else 'id'}", "Field required")
    arguments = msgspec.json.format(bytes(block.input), indent=-1).decode()
    yield ToolCall(block.id, block.name, arguments, cache=_cache(block.cache_control))


def _tool_result(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    if not block.tool_use_id:
        raise _wrong(f"{path}.tool_use_id", "Field required")
    told = [block.content] if isinstance(block.content, Block) else block.content or ""
    content = tuple(part for part in _parts(told, path, left_out) if isinstance(part, Text | Media))
    failed, cache = bool(block.is_error), _cache(block.cache_control)
    yield ToolResult(block.tool_use_id, content, failed=failed, cache=cache)


def _thought(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    yield Reasoning(block.thinking, block.signature, family=FAMILY)


def _sealed(block: Block, path: str, left_out: list[str]) -> Iterator[Part]:
    yield Reasoning(sealed=block.data, family=FAMILY)


READERS: Mapping[str, Callable[[Block, str, list[str]], Iterator[Part]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thought,
    "redacted_thinking": _sealed,
}


def _cache(control: CacheControl | None) -> str | None:
    return (control.ttl or "5m") if control else None


# ── tools, thinking ───────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(tools: Iterable[ToolWords], members: Mapping[str, msgspec.Raw]) -> Iterator[Tool | HostedTool]:
    raw: list[dict[str, Any]] = []
    for at, tool in enumerate(tools):
        if tool.type not in (None, "custom"):
            raw = raw or msgspec.json.decode(members["tools"])
            yield HostedTool(_kind(tool), FAMILY, raw[at])
        elif tool.name:
            cache = _cache(tool.cache_control)
            yield Tool(tool.name, tool.description or "", tool.input_schema, tool.strict, cache=cache)
        else:
            raise _wrong(f"tools[{at}].name", "Field required")


def _kind(tool: ToolWords) -> str:
    """`web_search_20250305` is a web search, whatever its date."""
    return _DATED.sub("", tool.type or "")


def _choice(choice: ChoiceWords | None, tools: Iterable[ToolWords]) -> ToolChoice | None:
    if choice is None:
        return None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if choice.type in ("auto", "none"):
        return ToolChoice("auto" if choice.type == "auto" else "none", parallel=parallel)
    if choice.type == "any":
        return ToolChoice("required", parallel=parallel)
    if not choice.name:
        raise _wrong("tool_choice.name", "Field required")
    hosted = {tool.name: _kind(tool) for tool in tools if tool.type not in (None, "custom")}
    return ToolChoice("required", (hosted.get(choice.name, choice.name),), parallel)


def _thinking(words: ThinkingWords | None, config: OutputConfig) -> Thinking | None:
    if words is None:
        return Thinking(config.effort) if config.effort else None
    visible = None if words.display is None else words.display != "omitted"
    if words.type == "disabled":
        return Thinking("none")
    if words.type in ("adaptive", "between_tools"):
        return Thinking(config.effort, -1, visible)
    if words.type != "enabled":
        raise _wrong("thinking.type", f"'{words.type}' is none of enabled, adaptive, disabled, between_tools")
    if words.budget_tokens is None:
        raise _wrong("thinking.budget_tokens", "Field required")
    return Thinking(config.effort, words.budget_tokens, visible)


def _wrong(path: str, words: str) -> InvalidInput:
    return InvalidInput(f"{path}: {words}", (InvalidField(path, "value", words),))


# ── a request that goes on as it is ───────────────────────────────────────────────────────────────────────────────────


def without_unsigned(messages: msgspec.Raw) -> Any:
    """Without thinking blocks that have no signature: ones that another vendor's model made, which this one refuses."""
    turns = decoded(bytes(messages), list[dict[str, Any]])
    for turn in turns:
        if isinstance(turn.get("content"), list):
            turn["content"] = [block for block in turn["content"] if not _unsigned(block)]
    return [turn for turn in turns if turn.get("content") != []]


def _unsigned(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "thinking" and not block.get("signature")
