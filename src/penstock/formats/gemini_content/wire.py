"""The JSON of requests and answers, as far as it is read, and which generation of models speaks it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

FAMILY = "google"
GENERATION = re.compile(r"gemini-(\d+)")


def generation(model: str) -> int:
    """Of a Gemini model, by its name; the newest where it is named `gemini-flash-latest`, 0 where it is none."""
    bare = model.rpartition("/")[2]
    found = GENERATION.match(bare)
    return int(found[1]) if found else 3 if re.fullmatch(r"gemini-.*-latest", bare) else 0


class Wire(msgspec.Struct, rename="camel"):
    pass


class Blob(Wire):
    data: str = ""
    mime_type: str | None = None
    display_name: str | None = None


class FileData(Wire):
    file_uri: str = ""
    mime_type: str | None = None
    display_name: str | None = None


class FunctionCall(Wire):
    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class ResultPart(Wire):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Wire):
    name: str = ""
    response: dict[str, Any] | None = None
    id: str | None = None
    parts: list[ResultPart] | None = None


class Code(Wire):
    language: str | None = None
    code: str = ""


class CodeResult(Wire):
    outcome: str | None = None
    output: str | None = None


class Resolution(Wire):
    level: str | None = None


class WirePart(Wire):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Code | None = None
    code_execution_result: CodeResult | None = None
    media_resolution: Resolution | str | None = None


class Content(Wire):
    role: str | None = None
    parts: list[dict[str, Any]] | dict[str, Any] | None = None


class Declaration(Wire):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class Calling(Wire):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(Wire):
    function_calling_config: Calling | None = None


class ThinkingConfig(Wire):
    include_thoughts: bool | None = None
    thinking_budget: int | float | None = None
    thinking_level: str | None = None


class Generation(Wire):
    temperature: float | None = None
    top_p: float | None = None
    top_k: Any = None
    candidate_count: Any = None
    max_output_tokens: Any = None
    stop_sequences: list[str] | None = None
    seed: Any = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: Any = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_format: Any = None
    response_modalities: list[str] | None = None
    thinking_config: dict[str, Any] | None = None


class Body(Wire):
    contents: list[dict[str, Any]] | dict[str, Any] | None = None
    system_instruction: Any = None
    tools: list[dict[str, Any]] | dict[str, Any] | None = None
    tool_config: dict[str, Any] | None = None
    generation_config: dict[str, Any] | None = None
    cached_content: str | None = None
    continuation_token: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    model: Any = None


class AnswerPart(Wire):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    executable_code: Code | None = None
    code_execution_result: CodeResult | None = None


class AnswerContent(Wire):
    parts: list[AnswerPart] | None = None


class Page(Wire):
    uri: str | None = None
    title: str | None = None


class Chunk(Wire):
    web: Page | None = None


class Segment(Wire):
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class Support(Wire):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Grounding(Wire):
    web_search_queries: list[str] | None = None
    grounding_chunks: list[Chunk] | None = None
    grounding_supports: list[Support] | None = None


class Candidate(Wire):
    content: AnswerContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    grounding_metadata: Grounding | None = None


class Tokens(Wire):
    modality: str | None = None
    token_count: int = 0


class WireUsage(Wire):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[Tokens] | None = None
    cache_tokens_details: list[Tokens] | None = None
    candidates_tokens_details: list[Tokens] | None = None


class Feedback(Wire):
    block_reason: str | None = None
    block_reason_message: str | None = None


class Failure(Wire):
    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: list[Any] | None = None


class Answer(Wire):
    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Failure | None = None
