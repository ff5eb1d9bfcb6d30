"""Requests for Google's Gemini models, written from our own words.

Sources: google-genai 3.4.0 and ai.google.dev on thinking, thought signatures, and ways to give files; read 2026-11-21.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from penstock.canonical.chat import (
    ChatRequest,
    HostedTool,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    merged,
)
from penstock.errors import Unsupported
from penstock.formats.gemini_content.reading import STAND_INS, is_youtube
from penstock.formats.gemini_content.schemas import cleaned
from penstock.formats.gemini_content.spelling import without_empty
from penstock.formats.gemini_content.wire import FAMILY, generation
from penstock.formats.gemini_content.wishes import generation_config

Dropped = dict[str, None]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
MAGIC = {
    "iVBORw": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}  # fmt: skip
"""How base64 begins."""
TYPES = {"image": "image/jpeg", "document": "application/pdf", "audio": "audio/mpeg", "video": "video/mp4"}
DETAILS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
TIERS = {
    "flex": "flex",
    "priority": "priority",
    "default": "standard",
    "standard": "standard",
    "standard_only": "standard",
}


def written(request: ChatRequest, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and what it does without. Raises Unsupported."""
    dropped: Dropped = {}
    if request.choices > 1:
        raise Unsupported("More than one choice (n) can't be asked of a Gemini model in another API's words.")
    system, turns = _hoisted(request.messages, dropped)
    body = without_empty(
        contents=list(_contents(turns, model, dropped)),
        systemInstruction=without_empty(parts=[{"text": text} for text in system]),
        tools=_tools(request, dropped),
        toolConfig=_choice(request, dropped),
        generationConfig=generation_config(request, model, dropped),
        serviceTier=TIERS.get(request.service_tier or ""),
        store=request.store,
    )
    if request.service_tier and request.service_tier not in (*TIERS, "auto"):
        dropped["service_tier"] = None
    dropped |= {name: None for name in ("verbosity", "user", "metadata", "cache_key") if getattr(request, name)}
    return body, tuple(dropped)


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _hoisted(messages: Sequence[Message], dropped: Dropped) -> tuple[list[str], tuple[Message, ...]]:
    """(system words, the other turns): all of them at the top, as turns of a user's where nothing else is said."""
    system: list[str] = []
    turns: list[Message] = []
    for place, message in enumerate(messages):
        dropped |= {f"messages[{place}].name": None} if message.name else {}
        if message.role != "system":
            turns.append(Message(message.role, message.content))
            continue
        if turns:
            dropped[f"messages[{place}].role"] = None
        for part in message.content:
            if not isinstance(part, Text):
                raise Unsupported(f"messages[{place}].content: a Gemini model takes only text from the system.")
            system.append(part.text)
    if not turns:
        return [], (Message("user", tuple(Text(text) for text in system)),)
    return system, merged(turns)


def _contents(turns: Iterable[Message], model: str, dropped: Dropped) -> Iterator[dict[str, Any]]:
    calls: list[ToolCall] = []
    for turn in turns:
        if turn.role == "assistant":
            calls = [part for part in turn.content if isinstance(part, ToolCall)] or calls
            parts = model_parts(_signed(turn.content, model), dropped, model)
        else:
            parts = list(_user_parts(turn.content, calls, model, dropped))
        if parts:
            yield {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def _signed(content: Sequence[Part], model: str) -> Iterator[Part]:
    """Since its third generation the first call of a turn needs a signature."""
    needed = generation(model) > 2
    for part in content:
        if isinstance(part, ToolCall):
            own = part.family == FAMILY and part.signature
            if needed and not own:
                part = msgspec.structs.replace(part, signature=STAND_INS[0], family=FAMILY)
            needed = False
        yield part


def model_parts(content: Iterable[Part], dropped: Dropped, model: str = "") -> list[dict[str, Any]]:
    """A turn of the model's: an empty thought is the signature of the part before it, unless that has its own."""
    parts: list[dict[str, Any]] = []
    for part in content:
        match part:
            case Reasoning(text, signature, _, family):
                if family != FAMILY or not (text or signature):
                    continue
                if not text and parts and "thoughtSignature" not in parts[-1] and "functionCall" not in parts[-1]:
                    parts[-1]["thoughtSignature"] = signature
                else:
                    thought = {"thought": True} if text else {}
                    parts.append({"text": text, **thought, **without_empty(thoughtSignature=signature)})
            case ToolCall():
                parts.append(call_part(part))
            case ToolResult():
                raise Unsupported("A tool's result can't stand in a turn of the model's.")
            case _:
                parts += _plain_parts(part, model, dropped)
    return parts


def call_part(call: ToolCall) -> dict[str, Any]:
    said = without_empty(id=call.id, name=call.name) | {"args": arguments(call)}
    signature = call.signature if call.family == FAMILY else ""
    return {"functionCall": said, **without_empty(thoughtSignature=signature)}


def arguments(call: ToolCall) -> dict[str, Any]:
    """As an object, whatever they are: one bad old call must not fail a whole dialogue."""
    if call.custom:
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        return {"_raw": call.arguments}
    return value if isinstance(value, dict) else {"value": value}


def _user_parts(
    content: Sequence[Part], calls: Sequence[ToolCall], model: str, dropped: Dropped
) -> Iterator[dict[str, Any]]:
    """Results in the order of their calls, then all else; pictures that an older model can't take in a result too."""
    places = {call.id: place for place, call in enumerate(calls)}
    names = {call.id: call.name for call in calls}
    results = [part for part in content if isinstance(part, ToolResult)]
    results.sort(key=lambda result: places.get(result.id, len(places)))
    later: list[Part] = []
    for result in results:
        media = [part for part in result.content if isinstance(part, Media)]
        held = [_media_part(part, model, dropped) for part in media] if generation(model) > 2 else []
        later += [] if held else media
        name = result.name or names.get(result.id) or "unknown"
        _cache_dropped(result, dropped)
        yield {"functionResponse": without_empty(id=result.id, name=name, response=_response(result), parts=held)}
    for part in (*later, *(part for part in content if not isinstance(part, ToolResult))):
        yield from _plain_parts(part, model, dropped)


def _response(result: ToolResult) -> dict[str, Any]:
    text = "".join(part.text for part in result.content if isinstance(part, Text))
    if result.failed:
        return {"error": text}
    try:
        value = msgspec.json.decode(text) if text[:1] in ("{", "[") else text
    except (msgspec.DecodeError, RecursionError):
        value = text
    if isinstance(value, list):
        return {"result": value}
    return {"output": text} if not isinstance(value, dict) or value.keys() in RESERVED else value


RESERVED = ({"output"}, {"error"}, {"result"})
"""An object of one of these keys alone would read as what the key holds."""


def _plain_parts(part: Part, model: str, dropped: Dropped) -> Iterator[dict[str, Any]]:
    _cache_dropped(part, dropped)
    if isinstance(part, Text | Refusal):
        if part.text:
            yield {"text": part.text}
    elif isinstance(part, Media):
        yield _media_part(part, model, dropped)


def _cache_dropped(part: Part, dropped: Dropped) -> None:
    if getattr(part, "cache", None):
        dropped["cache"] = None


def _media_part(media: Media, model: str, dropped: Dropped) -> dict[str, Any]:
    level = DETAILS.get(media.detail or "") if generation(model) > 2 else None
    dropped |= {"Media.detail": None} if media.detail in DETAILS and not level else {}
    dropped |= {"Media.name": None} if media.name else {}
    return media_part(media, model) | without_empty(mediaResolution=without_empty(level=level))


def media_part(media: Media, model: str = "") -> dict[str, Any]:
    """Google fetches https URLs itself, since its models 2.5; an id is of use only if it is a URI."""
    if media.data is not None:
        return {"inlineData": {"mimeType": media.media_type or sniffed(media), "data": media.data}}
    uri = media.url or media.file or ""
    if not uri.startswith(("https://", "gs://")):
        raise Unsupported("A Gemini model takes files as base64, or by an https: or gs: URL.")
    own = is_youtube(uri) or uri.startswith(("gs://", "https://generativelanguage.googleapis.com/"))
    if not own and generation(model) in (1, 2) and "gemini-2.5" not in model:
        raise Unsupported("This Gemini model fetches no files by URL: send them as base64.")
    return {"fileData": without_empty(mimeType=media.media_type or _guessed(uri, media), fileUri=uri)}


def sniffed(media: Media) -> str:
    start = media.data or ""
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), TYPES[media.kind])


def _guessed(uri: str, media: Media) -> str:
    """What Google knows itself is left to it."""
    if is_youtube(uri) or uri.startswith("https://generativelanguage.googleapis.com/"):
        return ""
    kind, _ = mimetypes.guess_type(re.split(r"[?#]", uri)[0].rpartition("/")[2])
    return kind or TYPES[media.kind]


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(request: ChatRequest, dropped: Dropped) -> list[dict[str, Any]]:
    functions = [_declaration(tool, dropped) for tool in request.tools if isinstance(tool, Tool)]
    hosted = [tool for tool in request.tools if isinstance(tool, HostedTool)]
    raws = [raw for tool in hosted if (raw := _hosted(tool, request, dropped))]
    return ([{"functionDeclarations": functions}] if functions else []) + raws


def _declaration(tool: Tool, dropped: Dropped) -> dict[str, Any]:
    if not NAME.fullmatch(tool.name):
        raise Unsupported(f"tools: a Gemini model takes no function of the name {tool.name!r}.")
    dropped |= {"Tool.strict": None} if tool.strict else {}
    dropped |= {"Tool.grammar": None} if tool.grammar else {}
    dropped |= {"cache": None} if tool.cache else {}
    parameters = FREE_TEXT if tool.custom else tool.parameters
    said = without_empty(name=tool.name, description=tool.description)
    if not parameters or (parameters.get("type") == "object" and len(parameters) == 1) or _takes_nothing(parameters):
        return said
    made, lost = cleaned(parameters)
    dropped |= {f"Tool.parameters.{keyword}": None for keyword in lost}
    return said | ({"parametersJsonSchema": parameters} if made is None else {"parameters": made})


FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""Stands for the free text that a custom tool takes."""


def _takes_nothing(parameters: dict[str, Any]) -> bool:
    return parameters.get("properties") == {} and not parameters.keys() & {"anyOf", "oneOf", "allOf", "$ref"}


def _hosted(tool: HostedTool, request: ChatRequest, dropped: Dropped) -> dict[str, Any] | None:
    if tool.family == FAMILY:
        return tool.raw
    if tool.kind == "web_search":
        return {"googleSearch": {}}
    choice = request.choice
    alone = not any(isinstance(other, Tool) for other in request.tools)
    if choice and choice.mode == "required" and (tool.kind in choice.names or (alone and not choice.names)):
        raise Unsupported(f"A Gemini model has no tool {tool.kind!r}.")
    dropped[f"tools.{tool.kind}"] = None
    return None


def _choice(request: ChatRequest, dropped: Dropped) -> dict[str, Any] | None:
    choice = request.choice
    if choice is None or not any(isinstance(tool, Tool) for tool in request.tools):
        return None
    if choice.parallel is False:
        dropped["ToolChoice.parallel"] = None
    names = list(choice.names)
    mode = {"auto": "VALIDATED" if names else "AUTO", "none": "NONE", "required": "ANY"}[choice.mode]
    config = {"mode": mode} | without_empty(allowedFunctionNames=names if mode != "NONE" else None)
    return {"functionCallingConfig": config}
