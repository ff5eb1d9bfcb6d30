from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.canonical.chat import (
    ChatRequest,
    HostedTool,
    JsonOutput,
    Media,
    Message,
    Reasoning,
    Refusal,
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
    RefusalDelta,
    Started,
    TextDelta,
    ToolDelta,
    ToolStarted,
    collect,
)
from penstock.canonical.usage import Unit
from penstock.errors import (
    CallerError,
    ContentRefused,
    ContextTooLong,
    InvalidInput,
    PenstockError,
    Unsupported,
    UpstreamBusy,
    UpstreamError,
)
from penstock.formats._base import Asked, Operation
from penstock.formats.openai_input_tokens import OpenAIInputTokens
from penstock.formats.openai_responses import OpenAIResponses, echoed, retelling
from penstock.wire import sse

REPLIES = Path(__file__).parents[2] / "replies" / "openai"
FORMAT = OpenAIResponses()
ASKED = Asked("gpt-5", "id1", 1763650000)
USAGE = {
    Unit.INPUT_TOKEN: 300,
    Unit.CACHED_TOKEN: 600,
    Unit.CACHE_WRITE_TOKEN: 100,
    Unit.OUTPUT_TOKEN: 200,
    Unit.REASONING_TOKEN: 50,
}


def reply(name: str) -> bytes:
    return json.dumps(json.loads((REPLIES / f"responses_{name}.json").read_text())["body"]).encode()


def read(**fields: Any) -> ChatRequest:
    return FORMAT.read_request(json.dumps({"model": "gpt-5", **fields}).encode())


def wrote(request: ChatRequest, model: str = "gpt-5") -> dict[str, Any]:
    return dict(json.loads(FORMAT.write_request(request, model).body))


def told(events: list[Event], asked: Asked = ASKED) -> list[dict[str, Any]]:
    """The stream of these events, a frame each."""
    writer = FORMAT.writer(asked)
    raw = b"".join(writer.write(Frame([event])) for event in events) + writer.end()
    return [json.loads(block.partition(b"data: ")[2]) for block in raw.split(b"\n\n") if block]


def heard(*events: dict[str, Any], size: int = 1 << 20) -> list[Event]:
    raw = b"".join(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events)
    reader = FORMAT.reader()
    frames = [frame for at in range(0, len(raw), size) for frame in reader.feed(raw[at : at + size])]
    return [event for frame in [*frames, *reader.end()] for event in frame.events]


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_peek_reads_what_admission_needs() -> None:
    peeked = FORMAT.peek(b'{"model":"gpt-5","stream":true,"max_output_tokens":99,"input":[{"x":1}]}')
    assert (peeked.model, peeked.stream, peeked.most_tokens) == ("gpt-5", True, 99)
    with pytest.raises(CallerError):
        FORMAT.peek(b"[")
    with pytest.raises(InvalidInput):
        FORMAT.peek(b'{"model":7}')


def test_a_renamed_request_keeps_all_else() -> None:
    body = b'{"model":"ours","input":[{"type":"mcp_call","odd":1.50}],"stream":true}'
    assert FORMAT.renamed(body, "theirs", stream=True) == (
        b'{"model":"theirs","input":[{"type":"mcp_call","odd":1.50}],"stream":true}'
    )


def test_settings_that_a_response_repeats() -> None:
    body = b'{"model":"m","input":"x","temperature":0.5,"tools":[{"type":"custom","name":"a"}],"user":null}'
    assert {name: bytes(raw) for name, raw in echoed(body).items()} == {
        "temperature": b"0.5",
        "tools": b'[{"type":"custom","name":"a"}]',
    }


def test_a_string_is_a_user_turn() -> None:
    request = read(input="Hi", instructions="Be brief.")
    assert request.messages == (Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"),)))


def test_items_become_turns() -> None:
    request = read(
        input=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                    {"type": "input_image", "image_url": "https://x.example/a.png"},
                    {"type": "input_file", "file_data": "data:application/pdf;base64,BBBB", "filename": "a.pdf"},
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "mp3"}},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "So", "annotations": []}],
            },
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}', "id": "fc_1"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "ls"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ]
    )
    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message(
            "user",
            (
                Text("Look"),
                Media("image", "image/png", data="AAAA", detail="low"),
                Media("image", url="https://x.example/a.png"),
                Media("document", "application/pdf", data="BBBB", name="a.pdf"),
                Media("document", file="file-1"),
                Media("audio", "audio/mpeg", data="CCCC"),
            ),
        ),
        Message(
            "assistant",
            (
                Reasoning("Hm", family="openai", id="rs_1"),
                Text("So"),
                ToolCall("c1", "f", '{"a":1}'),
                ToolCall("c2", "g", "ls", custom=True),
            ),
        ),
        Message("user", (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Text("two"),), custom=True))),
        Message("assistant", (Refusal("No."),)),
    )
    assert request.left_out == ("input[8]",)


def test_settings_are_read() -> None:
    schema = {"type": "object", "properties": {}}
    request = read(
        input="x",
        max_output_tokens=50,
        temperature=0.2,
        top_p=0.9,
        reasoning={"effort": "low", "summary": "detailed", "mode": "pro"},
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
        tools=[
            {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": None},
            {"type": "custom", "name": "g", "format": {"type": "text"}},
            {"type": "web_search_preview", "search_context_size": "low"},
            {"type": "mcp", "server_label": "s"},
        ],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        metadata={"a": "b"},
        safety_identifier="u",
        prompt_cache_key="k",
        service_tier="flex",
        store=False,
        truncation="auto",
        include=["reasoning.encrypted_content", "file_search_call.results"],
        max_tool_calls=3,
    )
    assert (request.max_tokens, request.temperature, request.top_p) == (50, 0.2, 0.9)
    assert request.thinking == Thinking("low", visible=True, summary="detailed")
    assert (request.output, request.verbosity) == (JsonOutput(schema, "n", "", True), "low")
    assert request.tools == (
        Tool("f", "d", schema),
        Tool("g", custom=True, grammar={"type": "text"}),
        HostedTool("web_search", "openai", {"type": "web_search_preview", "search_context_size": "low"}),
        HostedTool("mcp", "openai", {"type": "mcp", "server_label": "s"}),
    )
    assert request.choice == ToolChoice("required", ("f",), parallel=False)
    assert (request.metadata, request.user, request.cache_key) == ({"a": "b"}, "u", "k")
    assert (request.service_tier, request.store) == ("flex", False)
    assert request.left_out == ("max_tool_calls", "truncation", "include", "reasoning.mode")


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        (None, None),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "custom", "name": "g"}, ToolChoice("required", ("g",))),
        ({"type": "web_search_preview"}, ToolChoice("required", ("web_search",))),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "mcp"}]},
            ToolChoice("auto", ("f", "mcp")),
        ),
    ],
)
def test_choices_of_tools(said: Any, choice: ToolChoice | None) -> None:
    assert read(input="x", tool_choice=said).choice == choice


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "p"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}}]},
        {"input": [{"type": "compaction", "encrypted_content": "x"}]},
    ],
)
def test_what_would_change_the_meaning_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        read(**fields)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"input": 7}, "input"),
        ({"input": [{"role": "boss", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "song"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 7}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": 7, "arguments": "{}"}]}, "input[0].name"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0]"),
        ({"input": "x", "tools": [{}]}, "tools[0].type"),
        ({"input": "x", "tool_choice": "perhaps"}, "tool_choice"),
        ({"input": "x", "metadata": {"a": 1}}, "metadata[...]"),
        ({"input": "x", "reasoning": {"effort": "wild"}}, "reasoning.effort"),
        ({"input": "x", "text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ],
)
def test_wrong_types_are_told_by_their_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(**fields)
    assert caught.value.fields[0].path == path


def test_a_request_is_written() -> None:
    request = ChatRequest(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Look"), Media("image", "image/png", data="AAAA"))),
            Message("assistant", (Reasoning("Hm", "sig", family="anthropic"), Text("So"), ToolCall("c1", "f"))),
            Message("user", (ToolResult("c1", (Text("broke"),), failed=True), Text("And?"))),
            Message("system", (Text("Now rhyme."),)),
            Message("assistant", (Media("image", "image/webp", data="BBBB"),)),
        ),
        stream=True,
        max_tokens=5,
        stop=("END",),
        seed=7,
        top_k=3,
        tools=(
            Tool("f"),
            HostedTool("web_search", "anthropic", {"allowed_domains": ["a.example"]}),
            HostedTool("code", "x", {}),
        ),
        choice=ToolChoice("required", ("f",)),
        output=JsonOutput(),
        thinking=Thinking(budget=2000, visible=True),
        draws=True,
    )
    written = FORMAT.write_request(request, "theirs")
    assert json.loads(written.body) == {
        "model": "theirs",
        "instructions": "Be brief.",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
                ],
            },
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "So", "annotations": []}],
            },
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "Error: broke"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And?"}]},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Now rhyme."}]},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:image/webp;base64,BBBB", "detail": "auto"}],
            },
        ],
        "stream": True,
        "max_output_tokens": 16,
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False},
            {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}},
            {"type": "image_generation"},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
    }
    assert written.dropped == ("top_k", "seed", "stop", "max_tokens", "tools[2]")


def test_system_words_alone_are_something_to_answer() -> None:
    body = wrote(ChatRequest(messages=(Message("system", (Text("Hi"),)),)))
    assert "instructions" not in body
    assert body["input"] == [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Hi"}]}
    ]


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest(choices=2),
        ChatRequest(speaks=True),
        ChatRequest(messages=(Message("user", (Media("video", url="https://x.example/v"),)),)),
        ChatRequest(tools=(HostedTool("code", "gemini", {}),), choice=ToolChoice("required", ("code",))),
        ChatRequest(tools=(HostedTool("code", "gemini", {}),), choice=ToolChoice("required")),
    ],
)
def test_what_this_api_lacks_is_refused(request_: ChatRequest) -> None:
    with pytest.raises(Unsupported):
        FORMAT.write_request(request_, "m")


TEXTS = st.text(min_size=1, max_size=20)
NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
SAID = st.builds(Text, TEXTS)
SHOWN = st.builds(Media, st.just("image"), st.just("image/png"), st.just("AAAA"), detail=st.just("low"))
CALLED = st.one_of(
    st.builds(ToolCall, NAMES, NAMES, st.just('{"a":1}')),
    st.builds(ToolCall, NAMES, NAMES, TEXTS, custom=st.just(True)),
)
RESULTS = st.builds(ToolResult, NAMES, st.tuples(SAID), custom=st.booleans())
TURNS = st.tuples(
    st.builds(Message, st.just("system"), st.tuples(SAID)),
    st.builds(Message, st.just("user"), st.lists(st.one_of(SAID, SHOWN), min_size=1, max_size=3).map(tuple)),
    st.builds(Message, st.just("assistant"), st.lists(st.one_of(SAID, CALLED), min_size=1, max_size=3).map(tuple)),
    st.builds(Message, st.just("user"), st.tuples(RESULTS, SAID)),
)
REQUESTS = st.builds(
    ChatRequest,
    model=st.just("m"),
    messages=TURNS,
    stream=st.booleans(),
    max_tokens=st.none() | st.integers(16, 10**6),
    temperature=st.none() | st.floats(0, 2),
    tools=st.lists(st.builds(Tool, NAMES, TEXTS, st.just({"type": "object"}), strict=st.booleans()), max_size=2).map(
        tuple
    ),
    output=st.none() | st.builds(JsonOutput, st.just({"type": "object"}), NAMES, strict=st.booleans()),
    thinking=st.none() | st.builds(Thinking, st.sampled_from(["none", "low", "xhigh"])),
    metadata=st.dictionaries(NAMES, TEXTS, max_size=2),
    store=st.booleans(),
)


@given(REQUESTS)
def test_what_is_written_is_read_back(request_: ChatRequest) -> None:
    assert FORMAT.read_request(FORMAT.write_request(request_, "m").body) == request_


# ── whole answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_read() -> None:
    assert FORMAT.read_reply(reply("text")) == [
        Started("resp_0a1b2c", "gpt-5.4-2026-03-05"),
        TextDelta("A small red boat."),
        Counted(USAGE),
        Finished(Finish.STOP),
    ]
    assert FORMAT.skim_reply(reply("text")) == [Counted(USAGE), Finished(Finish.STOP)]


def test_thoughts_and_calls_are_read() -> None:
    assert FORMAT.read_reply(reply("tools"))[1:-2] == [
        ReasoningDelta("They want the weather.", opens=True),
        ReasoningDelta("Two towns, two calls.", opens=True),
        ReasoningSealed(sealed="gAAAAABo", family="openai", id="rs_01"),
        ToolStarted(0, "call_1", "weather"),
        ToolDelta(0, '{"town":"Oslo"}'),
        ToolStarted(1, "call_2", "weather"),
        ToolDelta(1, '{"town":"Bergen"}'),
        ToolStarted(2, "call_3", "shell", custom=True),
        ToolDelta(2, "date"),
    ]
    assert FORMAT.read_reply(reply("tools"))[-1] == Finished(Finish.TOOLS)


def test_searches_and_pictures_are_read() -> None:
    searched = FORMAT.read_reply(reply("searched"))
    assert searched[2:] == [
        Cited("https://boats.example/red", "Red boats", "", 0, 9),
        Counted({**USAGE, Unit.SEARCH: 1}),
        Finished(Finish.STOP),
    ]
    assert FORMAT.read_reply(reply("drawn"))[1] == MediaMade(Media("image", "image/webp", data="iVBORw0KGgo="))


def test_a_cut_answer_is_incomplete() -> None:
    assert FORMAT.read_reply(reply("cut"))[-1] == Finished(Finish.LENGTH)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded", "message": "m"}, UpstreamBusy),
        ({"code": "server_error", "message": "m"}, UpstreamError),
        ({"code": "context_length_exceeded", "message": "m"}, ContextTooLong),
        ({"code": "image_content_policy_violation", "message": "m"}, ContentRefused),
        ({"code": "image_too_large", "message": "m"}, CallerError),
        ({"code": None, "message": "m", "type": "odd"}, UpstreamError),
    ],
)
def test_failures_have_their_kinds(error: dict[str, Any], kind: type[PenstockError]) -> None:
    body = json.dumps({"status": "failed", "error": error, "output": []}).encode()
    for ask in (FORMAT.read_reply, FORMAT.skim_reply):
        with pytest.raises(kind, match="m") as caught:
            ask(body)
        assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"output":7}', b'{"output":[{"content":7}]}', b"\xff"])
def test_nonsense_is_the_upstream_s(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        FORMAT.read_reply(body)


def test_without_usage_a_guess_is_told() -> None:
    body = b'{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"12345678"}]}]}'
    assert FORMAT.skim_reply(body) == [Grew(2.0), Finished(Finish.STOP)]


def test_a_response_has_what_sdks_read() -> None:
    request = {"temperature": msgspec.Raw(b"0.5"), "tools": msgspec.Raw(b'[{"type":"web_search"}]')}
    asked = Asked("gpt-5", "id1", 1763650000, options={"request": request})
    body = json.loads(FORMAT.write_reply([Started(), TextDelta("Hi"), Counted(USAGE), Finished(Finish.STOP)], asked))
    assert body == {
        "id": "resp_id1",
        "object": "response",
        "created_at": 1763650000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "gpt-5",
        "output": [
            {
                "id": "msg_id100",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "conversation": None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [{"type": "web_search"}],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
            "output_tokens": 250,
            "output_tokens_details": {"reasoning_tokens": 50},
            "total_tokens": 1250,
        },
        "user": None,
        "metadata": {},
    }


@pytest.mark.parametrize("name", ["text", "tools", "drawn", "cut", "searched"])
def test_an_answer_survives_a_round(name: str) -> None:
    events = FORMAT.read_reply(reply(name))
    again = FORMAT.read_reply(FORMAT.write_reply(events, ASKED))
    counted = [each for each in again if not isinstance(each, Started | Counted)]
    assert [_unnamed(each) for each in counted] == [
        _unnamed(each) for each in events if not isinstance(each, Started | Counted)
    ]


def _unnamed(event: Event) -> Event:
    return msgspec.structs.replace(event, id="") if isinstance(event, ReasoningSealed) else event


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────────

LONG: list[Event] = [
    Started("x", "y"),
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    ReasoningDelta("Further.", opens=True),
    ReasoningSealed(sealed="s", family="openai"),
    TextDelta("Red "),
    TextDelta("boats."),
    Cited("https://a.example", "A", start=0, end=3),
    ToolStarted(0, "c1", "f"),
    ToolStarted(1, "c2", "g", custom=True),
    ToolDelta(0, '{"a"'),
    ToolDelta(1, "l"),
    ToolDelta(0, ":1}"),
    ToolDelta(1, "s"),
    TextDelta("More."),
    RefusalDelta("No."),
    MediaMade(Media("image", "image/png", data="AAAA")),
    Counted(USAGE),
    Finished(Finish.TOOLS),
]


def test_the_order_of_a_text_answer() -> None:
    events = told([Started(), TextDelta("Hel"), TextDelta("lo"), Counted(USAGE), Finished(Finish.STOP)])
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert events[0]["response"]["status"] == "in_progress"
    assert events[2]["item"] == {
        "id": "msg_id100",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    where = {"item_id": "msg_id100", "output_index": 0, "content_index": 0}
    assert events[4].items() >= {**where, "delta": "Hel", "logprobs": []}.items()
    assert events[6].items() >= {**where, "text": "Hello"}.items()
    assert events[8]["item"]["content"][0]["text"] == "Hello"
    assert events[9]["response"]["output"] == [events[8]["item"]]
    assert events[9]["response"]["usage"]["total_tokens"] == 1250


def test_thoughts_calls_and_pictures_have_their_events() -> None:
    kinds = [event["type"].removeprefix("response.") for event in told(LONG)]
    assert kinds[2:13] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert "output_text.annotation.added" in kinds
    assert kinds[-5:] == [
        "function_call_arguments.done",
        "output_item.done",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]
    assert kinds.count("image_generation_call.completed") == 1


def test_a_stream_ends_with_the_whole_answer() -> None:
    whole = json.loads(FORMAT.write_reply(LONG, ASKED))
    assert told(LONG)[-1]["response"] == whole
    done = {event["output_index"]: event["item"] for event in told(LONG) if event["type"].endswith("item.done")}
    assert [done[place] for place in sorted(done)] == whole["output"]


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_a_stream_is_read_back(size: int) -> None:
    assert _folded(heard(*told(LONG), size=size)) == _folded(LONG)


def _folded(events: list[Event]) -> Any:
    done = collect(events)
    done.id = done.model = ""
    order = sorted(done.content, key=lambda part: (type(part).__name__, str(part)))
    texts = "".join(part.text for part in done.content if isinstance(part, Text))
    others = [part for part in order if not isinstance(part, Text | Reasoning)]
    return texts, others, done.usage, done.finish, done.citations


def test_free_text_that_came_as_json_is_free_again() -> None:
    request = {"tools": msgspec.Raw(b'[{"type":"custom","name":"note"}]')}
    asked = Asked("gpt-5", "id1", 1763650000, options={"request": request})
    events: list[Event] = [
        Started(),
        ToolStarted(0, "c1", "note"),
        ToolDelta(0, '{"input"'),
        ToolDelta(0, ':"buy milk"}'),
        Finished(Finish.TOOLS),
    ]
    item = told(events, asked)[-1]["response"]["output"][0]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "note", "buy milk")


def test_an_empty_stream_is_closed() -> None:
    assert [event["type"] for event in told([])] == ["response.created", "response.in_progress", "response.completed"]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        (Finish.LENGTH, "incomplete", {"reason": "max_output_tokens"}),
        (Finish.CONTEXT, "incomplete", {"reason": "max_output_tokens"}),
        (Finish.REFUSED, "incomplete", {"reason": "content_filter"}),
        (Finish.PAUSED, "completed", None),
    ],
)
def test_how_it_stopped(reason: Finish, status: str, details: Any) -> None:
    last = told([Started(), TextDelta("x"), Finished(reason)])[-1]
    assert (last["type"], last["response"]["status"]) == (f"response.{status}", status)
    assert last["response"]["incomplete_details"] == details
    assert last["response"]["output"][0]["status"] == status


def test_what_other_families_sealed_is_not_shown() -> None:
    events = told([Started(), ReasoningDelta("Hm"), ReasoningSealed("sig", family="anthropic"), Finished(Finish.STOP)])
    assert events[-1]["response"]["output"] == [
        {
            "id": "rs_id100",
            "type": "reasoning",
            "status": "completed",
            "summary": [{"type": "summary_text", "text": "Hm"}],
        }
    ]


ITEM = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
CALL = {"type": "function_call", "id": "f", "call_id": "c1", "name": "f", "arguments": "{}"}
END = {"type": "response.completed", "response": {"status": "completed", "output": [ITEM, CALL]}}


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "response.output_item.done", "output_index": 0, "item": ITEM},
         {"type": "response.output_item.done", "output_index": 1, "item": CALL}, END],
        [END],
        [{"type": "response.output_text.delta", "item_id": "m", "delta": "Hi"},
         {"type": "response.output_item.done", "item": ITEM},
         {"type": "response.output_item.added", "item": {**CALL, "arguments": ""}},
         {"type": "response.function_call_arguments.done", "item_id": "f", "arguments": "{}"},
         {"type": "response.output_item.done", "item": CALL}, END],
        [{"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi"},
         {"type": "response.something.new", "delta": {"odd": 1}},
         {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"},
         {"type": "response.output_item.done", "output_index": 1, "item": CALL}, END],
    ],
)  # fmt: skip
def test_streams_that_lack_something(events: list[dict[str, Any]]) -> None:
    assert heard(*events) == [
        TextDelta("Hi"),
        ToolStarted(0, "c1", "f"),
        ToolDelta(0, "{}"),
        Finished(Finish.TOOLS),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down"},
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "slow down"}},
        {"error": {"type": "overloaded", "message": "slow down"}},
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "slow_down", "message": "slow down"}},
        },
    ],
)
def test_an_error_comes_after_what_was_said(event: dict[str, Any]) -> None:
    delta = {"type": "response.output_text.delta", "delta": "Hi"}
    raw = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (delta, event))
    for reader in (FORMAT.reader(), FORMAT.skimmer()):
        assert len(reader.feed(raw)) == 1
        assert not reader.done
        with pytest.raises(UpstreamBusy, match="slow down"):
            reader.end()


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_skimmer_hands_on_every_byte(size: int) -> None:
    writer = FORMAT.writer(ASKED)
    raw = b": hello\n\n" + b"".join(writer.write(Frame([event])) for event in LONG) + writer.end()
    skimmer = FORMAT.skimmer()
    frames = [frame for at in range(0, len(raw), size) for frame in skimmer.feed(raw[at : at + size])]
    frames += skimmer.end()
    assert b"".join(frame.raw for frame in frames) == raw
    events = [event for frame in frames for event in frame.events]
    assert sum(event.tokens for event in events if isinstance(event, Grew)) > 8
    assert [event for event in events if isinstance(event, Counted)] == [Counted(USAGE)]
    assert skimmer.done


# ── counting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tokens_are_counted() -> None:
    count = OpenAIInputTokens()
    assert count.operation is Operation.COUNT
    assert count.read_reply(b'{"object":"response.input_tokens","input_tokens":12}') == [
        Counted({Unit.INPUT_TOKEN: 12})
    ]
    assert json.loads(count.write_reply([Counted({Unit.INPUT_TOKEN: 12})], ASKED)) == {
        "object": "response.input_tokens",
        "input_tokens": 12,
    }
    request = ChatRequest(messages=(Message("user", (Text("Hi"),)),), max_tokens=99, store=True)
    assert set(json.loads(count.write_request(request, "m").body)) == {"model", "input"}


# ── told again ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_is_numbered_on_under_our_own_id() -> None:
    writer = FORMAT.writer(ASKED)
    raw = b"".join(writer.write(Frame([event])) for event in LONG) + writer.end()
    again = retelling.Retelling({"id": "resp_ours", "background": True}, number=2)
    told_again = [json.loads(data) for data in again.again(raw)]
    originals = [event for event in told(LONG) if event["type"] != "response.created"]
    assert [event["sequence_number"] for event in told_again] == list(range(2, len(originals) + 2))
    assert [event["type"] for event in told_again] == [event["type"] for event in originals]
    assert {event["response"]["id"] for event in told_again if "response" in event} == {"resp_ours"}
    assert again.ended
    assert again.response is not None
    assert json.loads(again.response)["background"] is True


def test_events_of_several_lines_stay_whole() -> None:
    raw = b'data: {"type":"response.output_text.delta",\ndata: "delta":"Hi","sequence_number":7}\n\n'
    (data,) = retelling.Retelling().again(raw)
    (found,) = sse.Reader().feed(retelling.event(data))
    assert json.loads(found.data) == {"type": "response.output_text.delta", "delta": "Hi", "sequence_number": 0}


def test_an_answer_is_replayed_without_what_others_can_t_look_up() -> None:
    output = json.loads(reply("tools"))["output"]
    output += [{"type": "web_search_call", "id": "ws_1"}, {"type": "reasoning", "id": "rs_9", "summary": []}]
    kept = retelling.replayed(output)
    assert [item["type"] for item in kept] == ["reasoning", "function_call", "function_call", "custom_tool_call"]
    assert ["id" in item for item in kept] == [True, False, False, False]
    assert kept[0]["encrypted_content"] == "gAAAAABo"


def test_input_items_are_listed_with_ids() -> None:
    items = [*retelling.input_of(b'{"input":"Hi"}'), {"type": "function_call_output", "call_id": "c", "output": "x"}]
    listed = retelling.listed(json.loads(msgspec.json.encode(items)), "resp_1")
    assert listed[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert [item["id"] for item in listed] == ["msg_100", "fco_101"]
    assert retelling.input_of(b'{"input":7}') == []
