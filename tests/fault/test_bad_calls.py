"""What clients of language models do wrong is refused in the words of the API that they speak: nothing stays held,
nothing is charged, nothing of ours is told, and nobody else waits. Once at the sandbox, once where the request is
translated for a vendor of another format.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.contract.gateways import CHANNELS, PRICE, add, key, operator
from tests.fault.stage import until
from tests.live import Live

WITHIN_S = 5.0
MAX_BODY = 16 << 20
TOPUP_USD = 1000
FUZZ_S = 8.0
SENT_AT_ONCE = 12
NO_WAIT = "A weir? [[slow:0]]"
"""The sandbox takes its time otherwise."""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["a"]}, "days": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/d"}]}},
    "required": ["city"],
    "$defs": {"d": {"type": "array", "items": {"type": "number"}}},
}
Body = dict[str, Any]


@dataclass(frozen=True)
class Surface:
    """One operation of one API. `live` is a model behind another format, `test` one of the sandbox's; `fields` are
    those of a wrong type, by their kind; `rich` is a request that uses much of the format."""

    name: str
    dialect: str
    path: str
    body: Body
    live: str
    fields: Mapping[str, str]
    rich: Body = field(default_factory=dict)
    test: str = "sandbox/instant"

    def __str__(self) -> str:
        return self.name


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────────────

SAID = [{"role": "user", "content": NO_WAIT}]
CONTENTS = [{"role": "user", "parts": [{"text": NO_WAIT}]}]
CALL = {"name": "weather", "arguments": '{"city":"a"}'}
FUNCTION = {"name": "weather", "description": "d", "parameters": SCHEMA}
SYSTEM = "Be brief. [[slow:0]]"
RICH_CHAT = {
    "messages": [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]},
        {"role": "assistant", "content": "Hm.", "tool_calls": [{"id": "c1", "type": "function", "function": CALL}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sunny"}]},
        *SAID,
    ],
    **{"max_tokens": 50, "temperature": 0.5, "n": 1, "stop": ["x"], "seed": 3, "stream": True, "reasoning_effort": "low"},
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": FUNCTION}, {"type": "web_search"}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}},
    "metadata": {"a": "b"},
}
RICH_RESPONSE = {
    "instructions": SYSTEM,
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "c2ln"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hm.", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", **CALL},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        *SAID,
    ],
    **{"max_output_tokens": 50, "temperature": 0.5, "store": True, "stream": True, "include": ["reasoning.encrypted_content"]},
    "tools": [{"type": "function", **FUNCTION, "strict": True}, {"type": "web_search"}],
    "tool_choice": {"type": "function", "name": "weather"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
}
RICH_MESSAGE = {
    "system": [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "a"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}]}, {"type": "text", "text": NO_WAIT}]},
    ],
    **{"max_tokens": 50, "temperature": 0.5, "top_k": 5, "stop_sequences": ["x"], "stream": True},
    "tools": [{"name": "weather", "description": "d", "input_schema": SCHEMA}, {"type": "web_search_20250305", "name": "web_search"}],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
}
RICH_CONTENT = {
    "systemInstruction": {"parts": [{"text": SYSTEM}]},
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]},
        {"role": "model", "parts": [{"text": "hm", "thought": True}, {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "a"}}, "thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "weather", "response": {"output": "sunny"}}}, {"text": NO_WAIT}]},
    ],
    "generationConfig": {
        **{"maxOutputTokens": 50, "temperature": 0.5, "topK": 5, "candidateCount": 1, "stopSequences": ["x"]},
        **{"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"city": {"type": "STRING", "nullable": True}}}},
        "thinkingConfig": {"thinkingBudget": 128, "includeThoughts": True},
    },
    "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": SCHEMA}]}, {"googleSearch": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
}
