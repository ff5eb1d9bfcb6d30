"""Gemini's generateContent, read and written: requests, answers, streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from penstock.canonical.chat import (
    ChatRequest,
    HostedTool,
    JsonOutput,
    Media,
    Message,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from penstock.canonical.events import (
    Cited,
    Counted,
    Event,
    Finish,
    Finished,
    Frame,
    Grew,
    MediaMade,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
    collect,
)
from penstock.canonical.usage import Unit
from penstock.errors import CallerError, InvalidInput, PenstockError, Unsupported, UpstreamBusy, UpstreamError
from penstock.formats._base import Asked
from penstock.formats.gemini_content import GeminiContent
from penstock.formats.gemini_content.schemas import cleaned, json_schema

REPLIES = Path(__file__).parents[2] / "replies" / "gemini"
FORMAT = GeminiContent()
ASKED = Asked("gemini-2.5-flash", "r1", 0)
HELLO = (Message("user", (Text("Hello"),)),)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def body(name: str) -> bytes:
    return json.dumps(json.loads((REPLIES / f"{name}.json").read_text())["body"]).encode()


def read(**members: Any) -> ChatRequest:
    return FORMAT.read_request(json.dumps({"contents": [{"parts": [{"text": "Hello"}]}], **members}).encode())


def turns(*contents: Any) -> tuple[Message, ...]:
    return read(contents=list(contents)).messages


def written(request: ChatRequest, model: str = "gemini-2.5-flash") -> Any:
    return json.loads(FORMAT.write_request(request, model).body)


def ask(**wishes: Any) -> ChatRequest:
    return ChatRequest(**{"messages": HELLO, **wishes})


def dropped(request: ChatRequest, model: str = "gemini-2.5-flash") -> tuple[str, ...]:
    return FORMAT.write_request(request, model).dropped


# ── requests, read ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_peek_reads_the_bounds_in_both_spellings_and_as_strings() -> None:
    peek = FORMAT.peek(b'{"contents":[],"generation_config":{"max_output_tokens":"12","candidateCount":2.0}}')
    assert (peek.model, peek.most_tokens, peek.choices) == ("", 12, 2)
    assert FORMAT.peek(b"{}").most_tokens is None


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b'{"generationConfig":[]}', b'{"generationConfig":{"maxOutputTokens":"x"}}']
)
def test_a_peek_refuses_what_is_no_request(text: bytes) -> None:
    with pytest.raises(CallerError):
        FORMAT.peek(text)


THOUGHTS = {"include_thoughts": True, "thinking_budget": -1}


def test_both_spellings_say_the_same() -> None:
    camel = {
        "contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "aa"}}]}],
        "systemInstruction": {"parts": [{"text": "Brief"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "x_y": 1}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "any", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"includeThoughts": True, "thinkingBudget": -1}},
    }
    snake = {
        "contents": [{"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": "aa"}}]}],
        "system_instruction": {"parts": {"text": "Brief"}},
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object", "x_y": 1}}]}],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "generation_config": {
            "max_output_tokens": "9",
            "thinking_config": {"include_thoughts": True, "thinking_budget": -1},
        },
    }
    one, other = read(**camel), read(**snake)
    assert one == other
    assert one.messages[0] == Message("system", (Text("Brief"),))
    assert one.tools == (Tool("f", "", {"type": "object", "x_y": 1}),)
    assert one.choice == ToolChoice("required", ("f",))
    assert (one.max_tokens, one.thinking) == (9, Thinking(None, -1, True))
    assert one.left_out == ()


def test_calls_without_ids_get_the_same_ones_each_time_and_results_find_them() -> None:
    said = turns(
        {"role": "model", "parts": [
            {"functionCall": {"name": "f", "args": {"a_b": 1}}, "thoughtSignature": "sig"},
            {"functionCall": {"name": "g"}},
            {"functionCall": {"name": "f"}},
        ]},
        {"role": "function", "parts": [
            {"functionResponse": {"name": "g", "response": {"output": "two"}}},
            {"functionResponse": {"name": "f", "response": {"error": "one"}}},
            {"functionResponse": {"name": "f", "response": {"degrees": 3}}},
        ]},
        {"parts": [{"text": "and?"}]},
    )  # fmt: skip
    assert said[0].content == (
        ToolCall("call_0_0", "f", '{"a_b":1}', signature="sig", family="google"),
        ToolCall("call_0_1", "g"),
        ToolCall("call_0_2", "f"),
    )
    assert said[1].content == (
        ToolResult("call_0_1", (Text("two"),), "g"),
        ToolResult("call_0_0", (Text("one"),), "f", failed=True),
        ToolResult("call_0_2", (Text('{"degrees":3}'),), "f"),
        Text("and?"),
    )


def test_thoughts_and_signatures_are_kept_for_google() -> None:
    (turn,) = turns(
        {"role": "model", "parts": [
            {"text": "hm", "thought": True},
            {"text": "Hi", "thoughtSignature": "s1"},
            {"inlineData": {"mimeType": "image/png", "data": "aa"}, "thought_signature": "s2"},
            {"text": "", "thoughtSignature": "s3"},
        ]}
    )  # fmt: skip
    assert turn.content == (
        Reasoning("hm", family="google"),
        Text("Hi"),
        Reasoning(signature="s1", family="google"),
        Media("image", "image/png", "aa"),
        Reasoning(signature="s2", family="google"),
        Reasoning(signature="s3", family="google"),
    )


def test_media_of_all_kinds() -> None:
    (turn,) = turns(
        {"parts": [
            {"fileData": {"fileUri": "https://youtu.be/x"}},
            {"fileData": {"fileUri": "gs://b/a.pdf", "mimeType": "application/pdf"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "bb"}, "media_resolution": {"level": "Low"}},
        ]}
    )  # fmt: skip
    assert turn.content == (
        Media("video", url="https://youtu.be/x"),
        Media("document", "application/pdf", url="gs://b/a.pdf"),
        Media("audio", "audio/wav", "bb", detail="low"),
    )


def test_what_our_words_can_not_hold_is_named() -> None:
    request = read(
        safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT"}],
        labels={"a": "b"},
        contents=[{"parts": [{"text": "x", "videoMetadata": {"fps": 1}}]}],
        generationConfig={
            "speechConfig": {"languageCode": "de"},
            "responseModalities": ["Image", "TEXT"],
            "topK": 40.0,
        },
        tools=[{"googleSearch": {}}, {"codeExecution": {}}],
    )
    assert request.left_out == (
        "safetySettings",
        "labels",
        "contents.parts.videoMetadata",
        "generationConfig.speechConfig",
    )
    assert (request.draws, request.top_k) == (True, 40)
    assert request.tools == (
        HostedTool("web_search", "google", {"googleSearch": {}}),
        HostedTool("code_execution", "google", {"codeExecution": {}}),
    )


@pytest.mark.parametrize(
    "members",
    [
        {"cachedContent": "cachedContents/1"},
        {"generationConfig": {"responseMimeType": "text/x.enum"}},
        {"generationConfig": {"responseFormat": [{}]}},
    ],
)
def test_what_changes_the_meaning_is_refused(members: Any) -> None:
    with pytest.raises(Unsupported):
        read(**members)


@pytest.mark.parametrize(
    "members",
    [
        {"contents": []},
        {"contents": "Hello"},
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        {"contents": [{"parts": [{}]}]},
        {"contents": [{"parts": [{"text": 1}]}]},
        {"contents": [{"parts": ["Hello"]}]},
        {"generationConfig": {"temperature": "warm"}},
        {"generationConfig": {"seed": 1.5}},
        {"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}},
        {"tools": [{"functionDeclarations": [{}]}]},
    ],
)
def test_what_google_would_refuse_is_refused(members: Any) -> None:
    with pytest.raises(InvalidInput):
        read(**members)


def test_depth_is_refused() -> None:
    deep = (
        b'{"contents":[{"parts":[{"functionCall":{"name":"f","args":' + b'{"a":' * 990 + b"1" + b"}" * 990 + b"}}]}]}"
    )
    with pytest.raises(InvalidInput):
        FORMAT.read_request(deep)


def test_a_schema_too_deep_for_the_subset_goes_as_it_is() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    assert cleaned(schema).schema is None


# ── requests, written ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_dialogue_is_written_and_read_back() -> None:
    request = ChatRequest(
        messages=(
            Message("system", (Text("Brief"),)),
            Message("user", (Text("Weather?"), Media("image", "image/png", "iVBORw0"))),
            Message("assistant", (
                Reasoning("hm", family="google"),
                Text("Let me see."),
                ToolCall("c1", "weather", '{"city":"Paris"}', signature="sig", family="google"),
                ToolCall("c2", "weather", '{"city":"Rome"}'),
            )),
            Message("user", (
                ToolResult("c1", (Text("sun"),), "weather"),
                ToolResult("c2", (Text("[1,2]"),), "weather", failed=True),
            )),
        ),
        max_tokens=100, temperature=0.5, top_p=0.9, top_k=40, stop=("END",), seed=1, logprobs=2,
        presence_penalty=0.1, frequency_penalty=0.2,
        tools=(Tool("weather", "The weather", CITY), HostedTool("web_search", "google", {"googleSearch": {}})),
        choice=ToolChoice("required", ("weather",)),
        output=JsonOutput({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}),
        service_tier="flex", store=False,
    )  # fmt: skip
    made = FORMAT.write_request(request, "gemini-2.5-flash")
    assert made.dropped == ()
    assert FORMAT.read_request(made.body) == request


def test_results_follow_the_order_of_their_calls_and_say_what_they_answer() -> None:
    request = ask(
        messages=(
            Message("assistant", (ToolCall("a", "f"), ToolCall("b", "g", "free"), ToolCall("c", "h", "[1]"))),
            Message(
                "user",
                (ToolResult("b", (Text('{"x":1}'),)), ToolResult("a", (Text("[1]"),)), ToolResult("z", (Text(""),))),
            ),
        )
    )
    calls, results = written(request)["contents"]
    assert [part["functionCall"] for part in calls["parts"]] == [
        {"id": "a", "name": "f", "args": {}},
        {"id": "b", "name": "g", "args": {"_raw": "free"}},
        {"id": "c", "name": "h", "args": {"value": [1]}},
    ]
    assert [part["functionResponse"] for part in results["parts"]] == [
        {"id": "a", "name": "f", "response": {"result": [1]}},
        {"id": "b", "name": "g", "response": {"x": 1}},
        {"id": "z", "name": "unknown", "response": {"output": ""}},
    ]


def test_calls_of_others_need_a_stand_in_since_the_third_generation() -> None:
    calls = (ToolCall("a", "f", signature="x", family="anthropic"), ToolCall("b", "f"))
    request = ask(messages=(*HELLO, Message("assistant", calls)))
    parts = written(request, "gemini-3-pro-preview")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None]
    assert all("thoughtSignature" not in part for part in written(request)["contents"][1]["parts"])


def test_signatures_go_back_where_they_came_from_and_foreign_thoughts_nowhere() -> None:
    content = (
        Reasoning("deep", "sealed", family="anthropic"),
        Reasoning("hm", family="google"),
        Text("Hi"),
        Reasoning(signature="s1", family="google"),
        Reasoning(signature="s2", family="google"),
    )
    assert written(ask(messages=(*HELLO, Message("assistant", content))))["contents"][1]["parts"] == [
        {"text": "hm", "thought": True},
        {"text": "Hi", "thoughtSignature": "s1"},
        {"text": "", "thoughtSignature": "s2"},
    ]


def test_system_turns_move_to_the_top_and_alone_they_are_a_users() -> None:
    late = ask(messages=(*HELLO, Message("system", (Text("Now brief"),)), Message("user", (Text("And?"),))))
    assert written(late)["systemInstruction"] == {"parts": [{"text": "Now brief"}]}
    assert [part["text"] for part in written(late)["contents"][0]["parts"]] == ["Hello", "And?"]
    assert dropped(late) == ("messages[1].role",)
    assert written(ask(messages=(Message("system", (Text("Go"),)),))) == {
        "contents": [{"role": "user", "parts": [{"text": "Go"}]}]
    }


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (Media("image", "", "iVBORw0"), {"inlineData": {"mimeType": "image/png", "data": "iVBORw0"}}),
        (Media("video", url="https://youtu.be/x"), {"fileData": {"fileUri": "https://youtu.be/x"}}),
        (
            Media("document", url="gs://b/a.txt"),
            {"fileData": {"mimeType": "text/plain", "fileUri": "gs://b/a.txt"}},
        ),
        (
            Media("image", url="https://e.example/a.png?x=1"),
            {"fileData": {"mimeType": "image/png", "fileUri": "https://e.example/a.png?x=1"}},
        ),
        (
            Media("image", url="https://e.example/a"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://e.example/a"}},
        ),
    ],
)
def test_media_are_written(media: Media, part: Any) -> None:
    assert written(ask(messages=(Message("user", (media,)),)))["contents"][0]["parts"] == [part]


@pytest.mark.parametrize(
    ("wishes", "model"),
    [
        ({"messages": (Message("user", (Media("image", file="file-1"),)),)}, "gemini-2.5-flash"),
        ({"messages": (Message("user", (Media("image", url="http://e.example/a.png"),)),)}, "gemini-2.5-flash"),
        ({"messages": (Message("user", (Media("image", url="https://e.example/a.png"),)),)}, "gemini-2.0-flash"),
        ({"choices": 2}, "gemini-2.5-flash"),
        ({"tools": (Tool("1st"),)}, "gemini-2.5-flash"),
        (
            {"tools": (HostedTool("file_search", "openai", {}),), "choice": ToolChoice("required")},
            "gemini-2.5-flash",
        ),
    ],
)
def test_what_gemini_can_not_do_is_refused(wishes: Any, model: str) -> None:
    with pytest.raises(Unsupported):
        written(ask(**wishes), model)


def test_pictures_in_results_stand_beside_them_in_older_models() -> None:
    result = ToolResult("a", (Text("see"), Media("image", "image/png", "aa")), "look")
    request = ask(messages=(*HELLO, Message("assistant", (ToolCall("a", "look"),)), Message("user", (result,))))
    old = written(request)["contents"][2]["parts"]
    new = written(request, "gemini-3-flash")["contents"][2]["parts"]
    picture = {"inlineData": {"mimeType": "image/png", "data": "aa"}}
    said = {"id": "a", "name": "look", "response": {"output": "see"}}
    assert old == [{"functionResponse": said}, picture]
    assert new == [{"functionResponse": {**said, "parts": [picture]}}]


def test_what_is_only_a_hint_is_dropped_and_named() -> None:
    request = ask(
        messages=(Message("user", (Text("x", cache="5m"), Media("image", "image/png", "aa", detail="low")), "ann"),),
        tools=(Tool("f", strict=True), HostedTool("mcp", "openai", {}), HostedTool("web_search", "openai", {"a": 1})),
        choice=ToolChoice("auto", parallel=False),
        verbosity="low", user="u", cache_key="k", service_tier="scale", metadata={"a": "b"},
    )  # fmt: skip
    assert set(dropped(request)) == {
        "messages[0].name", "cache", "Media.detail", "Tool.strict", "tools.mcp", "ToolChoice.parallel",
        "verbosity", "user", "cache_key", "service_tier", "metadata",
    }  # fmt: skip
    assert written(request)["tools"] == [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]


@pytest.mark.parametrize(
    ("thinking", "model", "config"),
    [
        (Thinking("high"), "gemini-3-pro-preview", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (Thinking("medium"), "gemini-3-pro-preview", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (Thinking("medium"), "gemini-3.5-flash", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (Thinking("none"), "gemini-3-flash-preview", {"thinkingLevel": "MINIMAL"}),
        (Thinking("none"), "gemini-3.1-pro", {"thinkingLevel": "LOW"}),
        (Thinking(budget=1024), "gemini-flash-latest", {"thinkingLevel": "LOW", "includeThoughts": True}),
        (Thinking(budget=-1, visible=False), "gemini-3-flash", {"includeThoughts": False}),
        (Thinking("low"), "gemini-2.5-flash", {"thinkingBudget": 4915, "includeThoughts": True}),
        (Thinking("none"), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (Thinking("none"), "gemini-2.5-pro", {"thinkingBudget": 128}),
        (Thinking("max"), "models/gemini-2.5-pro", {"thinkingBudget": 32768, "includeThoughts": True}),
        (Thinking(budget=9, visible=True), "gemini-2.5-flash-lite", {"thinkingBudget": 512, "includeThoughts": True}),
        (Thinking(budget=-1), "gemini-2.5-flash", {"thinkingBudget": -1, "includeThoughts": True}),
    ],
)
def test_thinking_is_a_level_or_a_budget(thinking: Thinking, model: str, config: Any) -> None:
    assert written(ask(thinking=thinking), model)["generationConfig"]["thinkingConfig"] == config


def test_models_that_do_not_think_are_not_asked_to() -> None:
    request = ask(thinking=Thinking("high"))
    assert "generationConfig" not in written(request, "gemini-2.0-flash")
    assert dropped(request, "gemini-2.0-flash") == ("thinking",)
    assert dropped(ask(thinking=Thinking("none")), "gemini-2.0-flash") == ()
    assert dropped(request, "gemini-2.5-flash-image") == dropped(request, "gemini-3-pro-image-preview") == ("thinking",)


def test_an_effort_is_a_share_of_what_may_be_answered() -> None:
    made = written(ask(thinking=Thinking("medium"), max_tokens=1000))
    assert made["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 500


# ── schemas ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plain_schema_is_cleaned() -> None:
    made = cleaned(
        {
            "$schema": "x",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "city": {"$ref": "#/$defs/City", "description": "where"},
                "kind": {"const": "a"},
                "size": {"enum": [1, 2]},
                "when": {"type": "string", "format": "uri"},
                "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "both": {"type": ["integer", "string"]},
                "list": {"type": "array"},
                "all": {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"required": ["a"]}]},
                "type": {"type": "number", "exclusiveMinimum": 0},
            },
            "$defs": {"City": {"type": "string"}},
        }
    )
    assert made.lost == ("exclusiveMinimum",)
    assert made.schema == {
        "type": "OBJECT",
        "properties": {
            "city": {"type": "STRING", "description": "where"},
            "kind": {"enum": ["a"], "format": "enum", "type": "STRING"},
            "size": {"enum": ["1", "2"], "format": "enum", "type": "STRING"},
            "when": {"type": "STRING"},
            "maybe": {"type": "INTEGER", "nullable": True},
            "both": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
            "list": {"type": "ARRAY", "items": {"type": "STRING"}},
            "all": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]},
            "type": {"type": "NUMBER"},
        },
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"$ref": "https://e.example/schema"},
    ],
)
def test_a_rich_schema_goes_as_it_is(schema: Any) -> None:
    assert cleaned(schema).schema is None
    declared = written(ask(tools=(Tool("f", "", schema),)))["tools"][0]["functionDeclarations"][0]
    assert declared == {"name": "f", "parametersJsonSchema": schema}
    assert written(ask(output=JsonOutput(schema)))["generationConfig"]["responseJsonSchema"] == schema


def test_googles_schemas_are_read() -> None:
    assert json_schema(
        {
            "type": "OBJECT",
            "properties": {"any_of": {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True}},
            "property_ordering": ["any_of"],
            "min_properties": "1",
        }
    ) == {
        "type": "object",
        "properties": {"any_of": {"type": ["string", "null"], "enum": ["a", None]}},
        "minProperties": 1,
    }


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_read() -> None:
    assert FORMAT.read_reply(body("text")) == [
        Started("m91NaoKoNe2_vr0P3vX0iAY", "gemini-3.5-flash"),
        TextDelta("No idea"),
        ReasoningSealed("EuIOCt8wnuepru", family="google"),
        Counted({Unit.INPUT_TOKEN: 86, Unit.OUTPUT_TOKEN: 1, Unit.REASONING_TOKEN: 450}),
        Finished(Finish.STOP),
    ]


def test_calls_are_read_and_tell_that_it_waits() -> None:
    done = collect(FORMAT.read_reply(body("calls")))
    assert done.finish is Finish.TOOLS
    assert done.content == [
        ToolCall("call_rZ9paY_0", "get_weather", '{"city":"Paris"}', signature="U2lnbmF0dXJl", family="google"),
        ToolCall("call_rZ9paY_1", "get_weather", '{"city":"London"}'),
    ]


def test_sources_are_placed_by_characters_and_searches_counted() -> None:
    done = collect(FORMAT.read_reply(body("grounded")))
    assert done.citations == [Cited("https://en.example/zurich", "en.example", "is in Switzerland.", 7, 25)]
    assert done.usage == {Unit.INPUT_TOKEN: 49, Unit.OUTPUT_TOKEN: 8, Unit.SEARCH: 2}


def test_pictures_are_counted_apart() -> None:
    events = FORMAT.read_reply(body("picture"))
    assert MediaMade(Media("image", "image/png", "iVBORw0KGgo=")) in events
    assert collect(events).usage == {
        Unit.INPUT_TOKEN: 6, Unit.IMAGE_INPUT_TOKEN: 258, Unit.OUTPUT_TOKEN: 4, Unit.IMAGE_OUTPUT_TOKEN: 1290,
    }  # fmt: skip


def test_a_blocked_prompt_is_a_refusal() -> None:
    done = collect(FORMAT.read_reply(body("blocked")))
    assert (done.finish, done.words, done.content) == (Finish.REFUSED, "PROHIBITED_CONTENT", [])
    assert done.usage == {Unit.INPUT_TOKEN: 12, Unit.OUTPUT_TOKEN: 0}


def test_the_models_own_fault_is_an_error_to_others_and_passes_to_its_own() -> None:
    with pytest.raises(UpstreamError, match="Malformed function call"):
        FORMAT.read_reply(body("malformed"))
    assert FORMAT.skim_reply(body("malformed"))[-1] == Finished(Finish.STOP)


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b'{"candidates":1}'])
def test_what_is_no_answer_is_an_error(text: bytes) -> None:
    with pytest.raises(UpstreamError):
        FORMAT.read_reply(text)
    with pytest.raises(UpstreamError):
        FORMAT.skim_reply(text or b"x")


@pytest.mark.parametrize("name", ["text", "calls", "grounded", "picture", "blocked"])
def test_a_skim_tells_the_same_usage(name: str) -> None:
    assert collect(FORMAT.skim_reply(body(name))).usage == collect(FORMAT.read_reply(body(name))).usage


def test_an_answer_is_written() -> None:
    events: list[Event] = [
        Started("x", "y"), ReasoningDelta("hm"), ReasoningSealed("sig", family="anthropic"), TextDelta("Zürich!"),
        Cited("https://e.example", "E", "", 0, 6), ToolStarted(0, "a", "f"), ToolDelta(0, '{"a":1}'),
        Counted({Unit.INPUT_TOKEN: 300, Unit.CACHED_TOKEN: 600, Unit.CACHE_WRITE_TOKEN: 100,
                 Unit.OUTPUT_TOKEN: 200, Unit.REASONING_TOKEN: 50}),
        Finished(Finish.TOOLS),
    ]  # fmt: skip
    assert json.loads(FORMAT.write_reply(events, ASKED)) == {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "Zürich!"},
                        {"functionCall": {"id": "a", "name": "f", "args": {"a": 1}}},
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "https://e.example", "title": "E"}}],
                    "groundingSupports": [
                        {"segment": {"startIndex": 0, "endIndex": 7, "text": "Zürich"}, "groundingChunkIndices": [0]}
                    ],
                },
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 1000,
            "cachedContentTokenCount": 600,
            "candidatesTokenCount": 200,
            "thoughtsTokenCount": 50,
            "totalTokenCount": 1250,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 200}],
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }


@pytest.mark.parametrize("name", ["text", "calls", "grounded", "picture"])
def test_an_answer_is_read_back_as_it_was_written(name: str) -> None:
    first = collect(FORMAT.read_reply(body(name)))
    again = collect(FORMAT.read_reply(FORMAT.write_reply(FORMAT.read_reply(body(name)), ASKED)))
    first.usage.pop(Unit.SEARCH, None)
    assert (again.content, again.citations, again.finish) == (first.content, first.citations, first.finish)
    assert again.usage == first.usage


def test_a_refusal_says_why() -> None:
    (candidate,) = json.loads(FORMAT.write_reply([Started(), Finished(Finish.REFUSED, "no")], ASKED))["candidates"]
    assert candidate == {"finishReason": "SAFETY", "finishMessage": "no", "index": 0}


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def chunk(*parts: Any, end: str = "\r\n", **members: Any) -> bytes:
    finish = {"finishReason": members.pop("finish")} if "finish" in members else {}
    content = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    said = {
        "candidates": [{**content, **finish, "index": 0}],
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r9",
        **members,
    }
    return f"data: {json.dumps(said, ensure_ascii=False)}{end}{end}".encode()


USED = {"promptTokenCount": 4, "candidatesTokenCount": 7, "thoughtsTokenCount": 2, "totalTokenCount": 13}
STREAM = [
    chunk({"text": "hm", "thought": True}, usageMetadata={"promptTokenCount": 4, "totalTokenCount": 4}),
    chunk({"text": "Zür"}),
    chunk({"text": "ich"}, {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"}),
    chunk({"functionCall": {"id": "own", "name": "g"}}),
    chunk({"text": ""}, finish="STOP"),
    chunk(
        usageMetadata={"promptTokenCount": 4, "candidatesTokenCount": 7, "thoughtsTokenCount": 2, "totalTokenCount": 13}
    ),
]


def fed(reader: Any, data: bytes, size: int) -> list[Frame]:
    frames = [frame for at in range(0, len(data), size) for frame in reader.feed(data[at : at + size])]
    return frames + reader.end()


def events_of(frames: list[Frame]) -> list[Event]:
    return [event for frame in frames for event in frame.events]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_stream_is_read_whatever_its_portions(size: int, end: str) -> None:
    data = b"".join(STREAM).replace(b"\r\n", end.encode())
    reader = FORMAT.reader()
    frames = fed(reader, data, size)
    assert events_of(frames) == [
        Started("r9", "gemini-2.5-flash"),
        ReasoningDelta("hm"),
        Counted({Unit.INPUT_TOKEN: 4}),
        TextDelta("Zür"),
        TextDelta("ich"),
        ToolStarted(0, "call_r9_0", "f", False, "s", "google"),
        ToolDelta(0, '{"a":1}'),
        ToolStarted(1, "own", "g"),
        ToolDelta(1, "{}"),
        Counted({Unit.INPUT_TOKEN: 4, Unit.OUTPUT_TOKEN: 7, Unit.REASONING_TOKEN: 2}),
        Finished(Finish.TOOLS),
    ]
    assert b"".join(frame.raw for frame in frames) == data
    assert reader.done


@pytest.mark.parametrize("size", [1, 5, 64, 10_000])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_skim_keeps_every_byte_and_counts_the_same(size: int, end: str) -> None:
    data = b"".join(STREAM).replace(b"\r\n", end.encode())[: -len(end)]  # the last blank line is missing
    skimmer = FORMAT.skimmer()
    frames = fed(skimmer, data, size)
    assert b"".join(frame.raw for frame in frames) == data
    done = collect(events_of(frames))
    assert done.usage == {Unit.INPUT_TOKEN: 4, Unit.OUTPUT_TOKEN: 7, Unit.REASONING_TOKEN: 2}
    assert sum(event.tokens for event in events_of(frames) if isinstance(event, Grew)) > 5
    assert events_of(frames)[-1] == Finished(Finish.TOOLS)
    assert skimmer.done


def test_a_stream_that_was_cut_says_no_end() -> None:
    for reader in (FORMAT.reader(), FORMAT.skimmer()):
        events = events_of(fed(reader, STREAM[0] + STREAM[1], 100))
        assert not any(isinstance(event, Finished) for event in events)
        assert not reader.done


@pytest.mark.parametrize(
    ("status", "kind"), [("UNAVAILABLE", UpstreamBusy), ("INVALID_ARGUMENT", CallerError), ("INTERNAL", UpstreamError)]
)
def test_an_error_within_a_stream_is_raised(status: str, kind: type[PenstockError]) -> None:
    data = b'data: {"error":{"code":503,"message":"overloaded","status":"%b"}}\r\n\r\n' % status.encode()
    for reader in (FORMAT.reader(), FORMAT.skimmer()):
        with pytest.raises(kind, match="overloaded"):
            fed(reader, data, 1000)


def test_several_candidates_are_skimmed_and_the_first_is_read() -> None:
    said = {"candidates": [{"content": {"parts": [{"text": "one!"}]}}, {"content": {"parts": [{"text": "two!"}]}}]}
    data = f"data: {json.dumps(said)}\n\n".encode()
    assert collect(events_of(fed(FORMAT.reader(), data, 100))).content == [Text("one!")]
    assert events_of(fed(FORMAT.skimmer(), data, 100)) == [Grew(2.0)]


def frames(*events: Event) -> list[Frame]:
    return [Frame([event]) for event in events]


ANSWER = frames(
    Started("x", "y"), ReasoningDelta("hm"), TextDelta("Hi "), TextDelta("you"), ToolStarted(0, "a", "f"),
    ToolStarted(1, "b", "g"), ToolDelta(0, '{"x":'), ToolDelta(1, ""), ToolDelta(0, "1}"),
    Counted({Unit.INPUT_TOKEN: 3, Unit.OUTPUT_TOKEN: 2}), Finished(Finish.TOOLS),
)  # fmt: skip


def told(asked: Asked, given: list[Frame]) -> list[bytes]:
    writer = FORMAT.writer(asked)
    return [piece for piece in [*(writer.write(frame) for frame in given), writer.end()] if piece]


def test_a_stream_is_written_as_strictly_as_clients_want_it() -> None:
    pieces = told(ASKED, ANSWER)
    assert all(
        piece.startswith(b"data: {") and piece.endswith(b"}\n\n") and piece.count(b"\n") == 2 for piece in pieces
    )
    said = [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]
    assert [one["candidates"][0]["content"]["parts"] for one in said] == [
        [{"text": "hm", "thought": True}],
        [{"text": "Hi "}],
        [{"text": "you"}],
        [
            {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
            {"functionCall": {"id": "b", "name": "g", "args": {}}},
        ],
    ]
    assert all((one["modelVersion"], one["responseId"]) == ("gemini-2.5-flash", "r1") for one in said)
    assert ["finishReason" in one["candidates"][0] for one in said] == [False, False, False, True]
    assert said[-1]["usageMetadata"]["totalTokenCount"] == 5


def test_a_written_stream_is_read_back() -> None:
    given = [event for frame in ANSWER for event in frame.events]
    again = collect(events_of(fed(FORMAT.reader(), b"".join(told(ASKED, ANSWER)), 9)))
    assert (again.content, again.finish, again.usage) == (collect(given).content, Finish.TOOLS, collect(given).usage)


def test_an_end_without_any_news_is_still_an_end() -> None:
    (piece,) = told(ASKED, [])
    assert json.loads(piece.removeprefix(b"data: "))["candidates"] == [{"finishReason": "STOP", "index": 0}]


def test_an_array_is_written_where_no_events_were_asked() -> None:
    array = Asked("m", "r1", 0, stream=True, options={"array": True})
    said = json.loads(b"".join(told(array, ANSWER)))
    assert [one["candidates"][0]["content"]["parts"][0] for one in said][1] == {"text": "Hi "}
    assert len(said) == 4


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_the_vendors_own_events_pass_as_they_are_or_as_an_array(size: int) -> None:
    data = b"".join(STREAM)
    given = fed(FORMAT.skimmer(), data, size)
    events = FORMAT.passing(Asked("m", "r", 0, True))
    assert b"".join(events.write(frame) for frame in given) + events.end() == data
    array = FORMAT.passing(Asked("m", "r", 0, True, {"array": True}))
    assert len(json.loads(b"".join(array.write(frame) for frame in given) + array.end())) == len(STREAM)
    assert FORMAT.passing(Asked("m", "r", 0, True, {"array": True})).end() == b"[]"


# ── whatever comes ────────────────────────────────────────────────────────────────────────────────────────────────────

JUNK = [None, 1, -1.5, True, "x", "", [], {}, [1], {"a": 1}, [None], [[]]]
EVERYTHING = {
    "contents": [
        {"role": "model", "parts": [
            {"text": "x", "thought": True, "thoughtSignature": "s"},
            {"functionCall": {"name": "f", "args": {}, "id": "1"}},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
        ]},
        {"parts": [
            {"functionResponse": {"name": "f", "response": {"output": 1}, "parts": [{"inlineData": {"data": "x"}}]}},
            {"fileData": {"fileUri": "gs://x"}, "mediaResolution": {"level": "x"}},
        ]},
    ],
    "systemInstruction": {"parts": [{"text": "x"}]},
    "tools": [
        {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {
            "a": {"type": "STRING", "enum": ["x"], "nullable": True}, "b": {"anyOf": [{"type": "NULL"}], "items": {}},
        }, "required": ["a"]}}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "temperature": 1, "topK": 1, "stopSequences": ["a"], "candidateCount": 1, "responseLogprobs": True,
        "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}, "responseModalities": ["TEXT"],
        "thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5},
    },
}  # fmt: skip


def spoilt(value: Any) -> Iterator[bytes]:
    """The same JSON, with each of its places taken by each kind of junk."""

    def at(inner: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        yield path
        members = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
        for key, member in members:
            yield from at(member, (*path, key))

    for path in list(at(value, ()))[1:]:
        for junk in JUNK:
            whole = json.loads(json.dumps(value))
            place = whole
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = junk
            yield json.dumps(whole).encode()


def test_a_request_is_taken_or_refused_whatever_stands_in_it() -> None:
    for text in spoilt(EVERYTHING):
        with suppress(PenstockError):
            FORMAT.peek(text)
            request = FORMAT.read_request(text)
            for model in ("gemini-3-pro", "gemini-2.5-flash", "gemini-2.0-flash"):
                with suppress(Unsupported):
                    FORMAT.write_request(request, model)


@pytest.mark.parametrize("name", ["text", "calls", "grounded", "picture", "blocked", "refused_key", "refused_quota"])
def test_an_answer_is_read_or_is_an_error_whatever_stands_in_it(name: str) -> None:
    for text in spoilt(json.loads(body(name))):
        event = b"data: %b\n\n" % text
        for read in (FORMAT.read_reply, FORMAT.skim_reply):
            with suppress(PenstockError):
                read(text)
        for reader in (FORMAT.reader(), FORMAT.skimmer()):
            with suppress(PenstockError):
                fed(reader, event, 1000)
