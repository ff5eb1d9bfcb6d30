"""A chat completions request as it stands on the wire, as far as we can carry it."""

from __future__ import annotations

from typing import Any

import msgspec


class Url(msgspec.Struct):
    url: str
    detail: str | None = None


class Sound(msgspec.Struct):
    data: str
    format: str = "wav"


class File(msgspec.Struct):
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class Kept(msgspec.Struct):
    type: str | None = None
    ttl: str | None = None


class Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None
    refusal: str | None = None
    image_url: Url | str | None = None
    video_url: Url | str | None = None
    input_audio: Sound | None = None
    file: File | None = None
    cache_control: Kept | None = None
    prompt_cache_breakpoint: Kept | None = None


class Called(msgspec.Struct):
    name: str = ""
    arguments: str | dict[str, Any] | None = None
    input: str = ""


class Google(msgspec.Struct):
    thought_signature: str | None = None


class Extra(msgspec.Struct):
    google: Google | None = None


class Call(msgspec.Struct):
    id: str | None = None
    type: str | None = None
    function: Called | None = None
    custom: Called | None = None
    extra_content: Extra | None = None


class Id(msgspec.Struct):
    id: str


class Message(msgspec.Struct):
    role: str
    content: str | list[Part | str] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Called | None = None
    tool_call_id: str | None = None
    audio: Id | None = None


class Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    type: str = "function"
    function: Function | None = None
    custom: Function | None = None
    cache_control: Kept | None = None


class Name(msgspec.Struct):
    name: str


class Named(msgspec.Struct):
    type: str = "function"
    function: Name | None = None
    custom: Name | None = None


class Allowed(msgspec.Struct):
    mode: str = "auto"
    tools: list[Named] = []


class Choice(Named):
    allowed_tools: Allowed | None = None


class Schema(msgspec.Struct):
    name: str = "response"
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Output(msgspec.Struct):
    type: str = "text"
    json_schema: Schema | None = None


class Reasoning(msgspec.Struct):
    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    exclude: bool | None = None


class Thinking(msgspec.Struct):
    type: str = "enabled"
    budget_tokens: int | None = None


class GoogleThinking(msgspec.Struct):
    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None


class GoogleBody(msgspec.Struct):
    thinking_config: GoogleThinking | None = None


class Extras(msgspec.Struct):
    google: GoogleBody | None = None


class Approximate(msgspec.Struct):
    approximate: dict[str, Any] = {}


class Search(msgspec.Struct):
    search_context_size: str | None = None
    user_location: Approximate | None = None


class Body(msgspec.Struct):
    """All that we can carry; what else a client sends is told to be left out."""

    messages: list[Message]
    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: str | Name | None = None
    web_search_options: Search | None = None
    response_format: Output | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    extra_body: Extras | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    store: bool | None = None
    prompt_cache_key: str | None = None
