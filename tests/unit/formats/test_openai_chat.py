"""Chat completions: requests, answers, and streams, both ways."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.canonical import chat as c
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
    ChannelRejected,
    ContentRefused,
    ContextTooLong,
    InvalidInput,
    PenstockError,
    Unsupported,
    UpstreamBusy,
    UpstreamError,
)
from penstock.formats._base import Asked, StreamReader
from penstock.formats.openai_chat import OpenAIChat, usage
from penstock.formats.openai_chat.accent import Accent
from penstock.formats.openai_chat.faults import fault
from tests.unit.providers.talks import reply

FORMAT = OpenAIChat()
ASKED = Asked("gpt-4o", "9", 1763650000)
PNG = "iVBORw0KGgo="
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def asked(**fields: Any) -> c.ChatRequest:
    return FORMAT.read_request(json.dumps(HELLO | fields).encode())


def said(*messages: dict[str, Any]) -> tuple[c.Message, ...]:
    return asked(messages=list(messages)).messages


def sent(request: c.ChatRequest, accent: Accent | None = None) -> dict[str, Any]:
    format = OpenAIChat(accent) if accent else FORMAT
    return dict(json.loads(format.write_request(request, "up").body))


def turns(*messages: c.Message, accent: Accent | None = None) -> list[dict[str, Any]]:
    return list(sent(c.ChatRequest(messages=messages), accent)["messages"])


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "x", "model": "v", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def called(*, index: int | None = None, id: str | None = None, **function: str) -> dict[str, Any]:
    call: dict[str, Any] = {"function": function} | ({"id": id} if id else {})
    return chunk({"tool_calls": [call if index is None else call | {"index": index}]})


def stream(*chunks: dict[str, Any], done: bool = True) -> bytes:
    lines = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def fed(reader: StreamReader, data: bytes, size: int = 1 << 20) -> list[Frame]:
    portions = [data[at : at + size] for at in range(0, len(data), size)]
    return [frame for portion in portions for frame in reader.feed(portion)] + reader.end()


def heard(*chunks: dict[str, Any]) -> list[Event]:
    return [event for frame in fed(FORMAT.reader(), stream(*chunks)) for event in frame.events]


def calls(*chunks: dict[str, Any]) -> list[tuple[str, str, str]]:
    content = collect(heard(*chunks, chunk({}, "stop"))).content
    return [(part.id, part.name, part.arguments) for part in content if isinstance(part, c.ToolCall)]


def written(*events: Event, **options: Any) -> list[Any]:
    """The chunks of a stream, decoded; the end mark as a string."""
    writer = FORMAT.writer(Asked("gpt-4o", "9", 1763650000, stream=True, options=options))
    data = b"".join(writer.write(Frame([event])) for event in events) + writer.end()
    lines = [line.removeprefix("data: ") for line in data.decode().strip().split("\n\n")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def deltas(*events: Event, **options: Any) -> list[dict[str, Any]]:
    chunks = [chunk for chunk in written(*events, **options) if chunk != "[DONE]" and chunk["choices"]]
    return [chunk["choices"][0]["delta"] for chunk in chunks]


# ── requests, read ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_peek_sees_what_admission_needs() -> None:
    body = {**HELLO, "stream": True, "max_tokens": 5, "max_completion_tokens": 9, "n": 2, "functions": []}
    seen = FORMAT.peek(json.dumps({**body, "stream_options": {"include_usage": True}}).encode())
    assert (seen.model, seen.stream, seen.most_tokens, seen.choices) == ("m", True, 9, 2)
    assert seen.options == {"include_usage": True, "functions": True}
    tools = [{"type": "custom", "custom": {"name": "note"}}, {"type": "function", "function": {"name": "f"}}]
    assert FORMAT.peek(json.dumps({**HELLO, "tools": tools}).encode()).options == {"custom": ["note"]}
    assert FORMAT.peek(b'{"model":"m","max_tokens":-1,"stream":null}').most_tokens is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", CallerError),
        (b"[]", InvalidInput),
        (b'{"model":3}', InvalidInput),
        (b'{"model":"m","n":0}', InvalidInput),
        (b'{"max_tokens":"many"}', InvalidInput),
    ],
)
def test_a_peek_refuses_what_no_vendor_takes(body: bytes, kind: type[CallerError]) -> None:
    with pytest.raises(kind):
        FORMAT.peek(body)


def test_scalars() -> None:
    request = asked(
        max_tokens=5,
        temperature=0.5,
        stop="END",
        n=2,
        seed=7,
        logprobs=True,
        top_logprobs=3,
        user="u",
        metadata={"a": "b"},
        store=True,
        prompt_cache_key="k",
        verbosity="low",
        modalities=["text", "audio", "image"],
        stream=True,
    )
    assert (request.max_tokens, request.stop, request.choices, request.logprobs) == (5, ("END",), 2, 3)
    assert (request.user, request.metadata, request.cache_key) == ("u", {"a": "b"}, "k")
    assert (request.speaks, request.draws, request.stream, request.left_out) == (True, True, True, ())


def test_what_our_words_cant_hold_is_named() -> None:
    assert asked(logit_bias={"5": 1}, prediction={"type": "content"}, audio=None, x=1).left_out == (
        "logit_bias",
        "prediction",
        "x",
    )


def test_all_roles() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}}
    assert said(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi", "name": "Ann"},
        {"role": "assistant", "content": None, "reasoning": "Hm.", "tool_calls": [call, custom]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "12"}]},
        {"role": "tool", "tool_call_id": "c2", "content": "ok"},
        {"role": "system", "content": "Now in French."},
        {"role": "assistant", "refusal": "No."},
    ) == (
        c.Message("system", (c.Text("Be brief."),)),
        c.Message("user", (c.Text("Hi"),), "Ann"),
        c.Message("assistant", (c.Reasoning("Hm."), c.ToolCall("c1", "f"), c.ToolCall("c2", "g", "x", custom=True))),
        c.Message("user", (c.ToolResult("c1", (c.Text("12"),)), c.ToolResult("c2", (c.Text("ok"),), custom=True))),
        c.Message("system", (c.Text("Now in French."),)),
        c.Message("assistant", (c.Refusal("No."),)),
    )


def test_deprecated_functions() -> None:
    request = asked(
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a":1}'}},
            {"role": "function", "name": "f", "content": "1"},
        ],
    )
    assert request.tools == (c.Tool("f", parameters={"type": "object"}),)
    assert request.choice == c.ToolChoice("required", ("f",))
    assert request.messages[1].content == (c.ToolCall("call_1", "f", '{"a":1}'),)
    assert request.messages[2].content == (c.ToolResult("call_1", (c.Text("1"),), "f"),)


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            c.Media("image", "image/png", PNG, detail="low"),
        ),
        ({"type": "image_url", "image_url": "https://e.org/a.png"}, c.Media("image", url="https://e.org/a.png")),
        ({"type": "image_url", "image_url": {"url": PNG}}, c.Media("image", "image/png", PNG)),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
            c.Media("audio", "audio/mpeg", "UklG"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBER", "filename": "a.pdf"}},
            c.Media("document", "application/pdf", "JVBER", name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, c.Media("document", file="file-1")),
        (
            {"type": "video_url", "video_url": {"url": "https://e.org/a.mp4"}},
            c.Media("video", url="https://e.org/a.mp4"),
        ),
        ({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, c.Text("Hi", "1h")),
        ("Hi", c.Text("Hi")),
    ],
)
def test_parts(part: Any, media: c.Part) -> None:
    assert said({"role": "user", "content": [part]})[0].content == (media,)


def test_pictures_that_we_wrote_into_an_answer_come_back_as_pictures() -> None:
    picture = c.Media("image", "image/png", PNG)
    events = [TextDelta("Look: "), MediaMade(picture), TextDelta("Nice?"), MediaMade(picture)]
    message = json.loads(FORMAT.write_reply(events, ASKED))["choices"][0]["message"]
    assert said(message)[0].content == (c.Text("Look: "), picture, c.Text("Nice?"), picture)


@pytest.mark.parametrize(
    ("thinks", "thinking", "body"),
    [
        (("effort",), c.Thinking("none"), {"reasoning_effort": "none"}),
        (("effort",), c.Thinking(budget=-1), {}),
        (("switch",), c.Thinking(budget=0), {"thinking": {"type": "disabled"}}),
        (("switch", "effort"), c.Thinking("low"), {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}),
        (("switch", "effort"), c.Thinking("none"), {"thinking": {"type": "disabled"}}),
        (("allowance",), c.Thinking(budget=500), {"enable_thinking": True, "thinking_budget": 500}),
        (("allowance",), c.Thinking("none"), {"enable_thinking": False}),
    ],
)
def test_thinking_in_the_vendors_words(thinks: tuple[str, ...], thinking: c.Thinking, body: dict[str, Any]) -> None:
    made = sent(c.ChatRequest(thinking=thinking), Accent(thinks=thinks))
    assert {name: said for name, said in made.items() if name not in ("model", "messages")} == body


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"messages": []}, InvalidInput),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, InvalidInput),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, InvalidInput),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "ftp://x"}]}]}, InvalidInput),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, InvalidInput),
        ({"messages": [{"role": "tool", "content": "x"}]}, InvalidInput),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, Unsupported),
        ({"messages": "Hi"}, InvalidInput),
        ({"tools": [{"type": "function"}]}, InvalidInput),
        ({"tool_choice": "maybe"}, InvalidInput),
        ({"tool_choice": {"type": "file_search"}}, Unsupported),
        ({"reasoning_effort": "huge"}, InvalidInput),
        ({"response_format": {"type": "json_schema"}}, InvalidInput),
        ({"response_format": {"type": "grammar"}}, Unsupported),
    ],
)
def test_what_is_refused(fields: dict[str, Any], kind: type[CallerError]) -> None:
    with pytest.raises(kind):
        asked(**fields)


def test_tools_and_choices() -> None:
    grammar = {"type": "grammar", "grammar": {"definition": "x", "syntax": "lark"}}
    request = asked(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True}},
            {"type": "custom", "custom": {"name": "g", "format": grammar}},
            {"type": "web_search", "search_context_size": "low"},
        ],
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]},
        },
        parallel_tool_calls=False,
        web_search_options={"user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}},
    )
    place = {"type": "approximate", "city": "Oslo"}
    assert request.tools == (
        c.Tool("f", "d", {}, True),
        c.Tool("g", custom=True, grammar=grammar),
        c.HostedTool("web_search", "openai", {"type": "web_search", "search_context_size": "low"}),
        c.HostedTool("web_search", "openai", {"type": "web_search", "user_location": place}),
    )
    assert request.choice == c.ToolChoice("auto", ("f",), False)


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, None),
        ({"reasoning_effort": "low"}, c.Thinking("low")),
        ({"reasoning": {"max_tokens": 2000, "exclude": True}}, c.Thinking(budget=2000, visible=False)),
        ({"reasoning": {"enabled": True}}, c.Thinking("medium")),
        ({"thinking": {"type": "disabled"}}, c.Thinking("none")),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, c.Thinking(budget=5000)),
        ({"enable_thinking": True, "thinking_budget": 100}, c.Thinking(budget=100)),
        (
            {"extra_body": {"google": {"thinking_config": {"thinking_level": "LOW", "include_thoughts": True}}}},
            c.Thinking("low", visible=True),
        ),
    ],
)
def test_how_much_to_think(fields: dict[str, Any], thinking: c.Thinking | None) -> None:
    assert asked(**fields).thinking == thinking


# ── requests, handed on and written ───────────────────────────────────────────────────────────────────────────────────


def test_a_renamed_request_keeps_all_else() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"h\\u00e9"}],"x":1.50}'
    assert FORMAT.renamed(body, "up", stream=False) == body.replace(b'"m"', b'"up"')


def test_a_renamed_stream_asks_to_count() -> None:
    body = json.dumps(HELLO | {"stream": True, "stream_options": {"include_obfuscation": False}}).encode()
    renamed = json.loads(FORMAT.renamed(body, "up", stream=True))
    assert renamed["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert "stream_options" not in json.loads(OpenAIChat(Accent(counts=False)).renamed(body, "up", stream=True))
    assert "stream_options" not in json.loads(FORMAT.renamed(body, "up", stream=False))


def test_a_renamed_request_bounds_the_answer_in_the_vendors_word() -> None:
    body = json.dumps(HELLO | {"max_tokens": 5}).encode()
    assert json.loads(FORMAT.renamed(body, "up", stream=False))["max_completion_tokens"] == 5
    assert json.loads(OpenAIChat(Accent(cap="max_tokens")).renamed(body, "up", stream=False))["max_tokens"] == 5


def test_a_written_request() -> None:
    request = c.ChatRequest(
        messages=(c.Message("user", (c.Text("Hi"),)),),
        stream=True,
        max_tokens=9,
        stop=("a",),
        logprobs=0,
        output=c.JsonOutput({"type": "object"}, "n", "d", True),
        thinking=c.Thinking(budget=2000, visible=True),
        top_k=5,
        metadata={"a": "b"},
        service_tier="standard_only",
    )
    made = FORMAT.write_request(request, "up")
    assert json.loads(made.body) == {
        "model": "up",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 9,
        "stop": ["a"],
        "logprobs": True,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "description": "d", "strict": True},
        },
        "reasoning_effort": "medium",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert made.dropped == ("top_k", "metadata", "service_tier", "thinking.visible")


def test_results_come_before_the_rest_of_their_turn_and_pictures_follow() -> None:
    picture = c.Media("image", "image/png", PNG)
    results = (
        c.ToolResult("c1", (c.Text("12"),), failed=True),
        c.ToolResult("c2", (c.Text("see"), picture)),
    )
    assert turns(c.Message("user", (*results, c.Text("And?")), "Ann")) == [
        {"role": "tool", "tool_call_id": "c1", "content": "Error: 12"},
        {"role": "tool", "tool_call_id": "c2", "content": "see\n[image: see the next message]"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "text", "text": "And?"},
            ],
            "name": "Ann",
        },
    ]


def test_an_assistants_turn_has_words_and_calls() -> None:
    signed = c.ToolCall("c1", "f", "{}", signature="s", family="google")
    turn = c.Message("assistant", (c.Reasoning("Hm."), c.Text("a"), signed, c.Text("b"), c.Media("image", url="u")))
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert turns(turn) == [{"role": "assistant", "content": "ab[image]", "tool_calls": [call]}]
    kept = turns(turn, accent=Accent(recalls=True, signs="google"))[0]
    assert kept["reasoning_content"] == "Hm."
    assert kept["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "s"}}
    assert turns(c.Message("assistant", (c.Reasoning("Hm."),))) == []


def test_ids_of_calls_fit_the_vendor() -> None:
    call, result = turns(
        c.Message("assistant", (c.ToolCall("toolu_01", "f"),)),
        c.Message("user", (c.ToolResult("toolu_01"),)),
        accent=Accent(id_size=9),
    )
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9


@pytest.mark.parametrize(
    ("choice", "said", "names"),
    [
        (c.ToolChoice("auto"), "auto", ["f", "g"]),
        (c.ToolChoice("none"), "none", ["f", "g"]),
        (c.ToolChoice("required", ("f",)), {"type": "function", "function": {"name": "f"}}, ["f", "g"]),
        (
            c.ToolChoice("required", ("f", "g")),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "g"}},
                    ],
                },
            },
            ["f", "g"],
        ),
    ],
)
def test_choices_are_written(choice: c.ToolChoice, said: Any, names: list[str]) -> None:
    body = sent(c.ChatRequest(tools=(c.Tool("f"), c.Tool("g", custom=True)), choice=choice))
    assert body["tool_choice"] == said
    assert [tool[tool["type"]]["name"] for tool in body["tools"]] == names


def test_tools_that_may_not_be_chosen_are_left_out_where_the_vendor_cant_narrow() -> None:
    request = c.ChatRequest(tools=(c.Tool("f"), c.Tool("g")), choice=c.ToolChoice("auto", ("g",)))
    body = sent(request, Accent(narrows=False))
    assert ([tool["function"]["name"] for tool in body["tools"]], body["tool_choice"]) == (["g"], "auto")


def test_hosted_tools() -> None:
    search = c.HostedTool("web_search", "anthropic", {"user_location": {"type": "approximate", "city": "Oslo"}})
    made = FORMAT.write_request(c.ChatRequest(tools=(search, c.HostedTool("code", "x", {}))), "up")
    assert json.loads(made.body)["web_search_options"] == {
        "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}
    }
    assert made.dropped == ("tools.code",)


@pytest.mark.parametrize(
    "request_",
    [
        c.ChatRequest(choices=2),
        c.ChatRequest(speaks=True),
        c.ChatRequest(tools=(c.HostedTool("code", "x", {}),), choice=c.ToolChoice("required")),
        c.ChatRequest(tools=(c.HostedTool("code", "x", {}),), choice=c.ToolChoice("required", ("code",))),
        c.ChatRequest(messages=(c.Message("user", (c.Media("document", url="https://e.org"),)),)),
        c.ChatRequest(messages=(c.Message("user", (c.Media("image", file="f1"),)),)),
        c.ChatRequest(messages=(c.Message("system", (c.Media("image", url="u"),)),)),
    ],
)
def test_what_cant_be_said_is_refused(request_: c.ChatRequest) -> None:
    with pytest.raises(Unsupported):
        FORMAT.write_request(request_, "up")


def test_plain_documents_are_text() -> None:
    part = c.Media("document", "text/plain", "SGVq", name="a.txt")
    assert turns(c.Message("user", (part, c.Text("?"))))[0]["content"][0] == {"type": "text", "text": "a.txt:\nHej"}
    with pytest.raises(CallerError):
        turns(c.Message("user", (c.Media("document", "text/plain", "S"),)))


texts = st.builds(c.Text, st.text(min_size=1, max_size=8))
pictures = st.builds(
    c.Media, st.just("image"), st.just("image/png"), st.just(PNG), detail=st.sampled_from([None, "low"])
)
results = st.builds(c.ToolResult, st.sampled_from(["c1", "c2"]), st.tuples(texts))
tool_calls = st.builds(c.ToolCall, st.sampled_from(["c1", "c2"]), st.just("f"), st.just('{"a":1}'))
users = st.lists(texts | pictures | results, min_size=1, max_size=4).map(lambda parts: c.Message("user", tuple(parts)))
assistants = st.builds(
    lambda text, calls: c.Message("assistant", (text, *calls)), texts, st.lists(tool_calls, max_size=2)
)
systems = st.builds(lambda text: c.Message("system", (text,)), texts)
requests = st.builds(
    c.ChatRequest,
    model=st.just("up"),
    messages=st.lists(users | assistants | systems, min_size=1, max_size=5)
    .map(c.merged)
    .filter(lambda turns: all(len(turn.content) == 1 for turn in turns if turn.role == "system"))
    .filter(
        lambda turns: all(isinstance(p, c.ToolCall) for t in turns if t.role == "assistant" for p in t.content[1:])
    ),
    max_tokens=st.none() | st.integers(1, 99),
    temperature=st.none() | st.floats(0, 1),
    stop=st.lists(st.text(min_size=1, max_size=3), max_size=3).map(tuple),
    tools=st.lists(st.builds(c.Tool, st.sampled_from("fg"), st.text(max_size=3), st.just({})), max_size=2).map(tuple),
    thinking=st.none() | st.builds(c.Thinking, st.sampled_from(["none", "low", "high"])),
    output=st.none() | st.just(c.JsonOutput()) | st.just(c.JsonOutput({"type": "object"}, "n")),
)


@given(requests)
def test_what_is_written_is_read_back(request: c.ChatRequest) -> None:
    assert FORMAT.read_request(FORMAT.write_request(request, "up").body) == request


# ── answers, read ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_answer() -> None:
    events = FORMAT.read_reply(json.dumps(reply("openai", "chat_text")).encode())
    assert events == [
        Started("chatcmpl-7Qm2kWz", "gpt-4o-2024-11-20"),
        TextDelta("It is 12 °C in Oslo."),
        Cited("https://example.org/oslo", "Oslo", start=0, end=19),
        Finished(Finish.STOP),
        Counted(
            {
                Unit.INPUT_TOKEN: 300,
                Unit.CACHED_TOKEN: 600,
                Unit.CACHE_WRITE_TOKEN: 100,
                Unit.AUDIO_INPUT_TOKEN: 0,
                Unit.OUTPUT_TOKEN: 200,
                Unit.REASONING_TOKEN: 50,
                Unit.AUDIO_OUTPUT_TOKEN: 0,
            }
        ),
    ]


def test_a_whole_answer_with_calls() -> None:
    done = collect(FORMAT.read_reply(json.dumps(reply("openai", "chat_calls")).encode()))
    assert done.content == [
        c.ToolCall("call_A1", "get_weather", '{"city":"Oslo"}'),
        c.ToolCall("call_B2", "note", "cold", custom=True),
    ]
    assert (done.finish, done.usage) == (Finish.TOOLS, {Unit.INPUT_TOKEN: 31, Unit.OUTPUT_TOKEN: 20})


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", ["chat_stream", "chat_stream_calls"])
def test_streams_in_any_portions(name: str, size: int) -> None:
    data = reply("openai", name).encode()
    for reader in (FORMAT.reader(), FORMAT.skimmer()):
        frames = fed(reader, data, size)
        assert b"".join(frame.raw for frame in frames) == data
        assert reader.done
    done = collect(event for frame in fed(FORMAT.reader(), data, size) for event in frame.events)
    if name == "chat_stream":
        assert (done.id, done.content, done.finish) == ("chatcmpl-9", [c.Text("Hej på dig")], Finish.STOP)
    else:
        assert done.content == [
            c.ToolCall("call_A1", "get_weather", '{"city":"Oslo"}'),
            c.ToolCall("call_B2", "get_time", "{}"),
        ]
        assert (done.finish, done.usage) == (Finish.TOOLS, {Unit.INPUT_TOKEN: 31, Unit.OUTPUT_TOKEN: 20})


def test_thoughts_by_any_of_their_names() -> None:
    pieces = [
        {"reasoning_content": "a"},
        {"reasoning": "b"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "c"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "d"}]}, {"type": "text", "text": "e"}]},
        {"reasoning": "f", "reasoning_details": [{"text": "f"}]},
    ]
    assert heard(*map(chunk, pieces))[1:] == [
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        ReasoningDelta("c"),
        ReasoningDelta("d"),
        TextDelta("e"),
        ReasoningDelta("f"),
    ]


def test_refusals_and_pictures() -> None:
    picture = {"image_url": {"url": f"data:image/png;base64,{PNG}"}}
    assert heard(chunk({"refusal": "No.", "images": [picture]}))[1:] == [
        RefusalDelta("No."),
        MediaMade(c.Media("image", "image/png", PNG)),
    ]
    images = FORMAT.read_reply(b'{"created":1,"data":[{"url":"https://e.org/a.png"},{"b64_json":"iVBOR"}]}')
    assert [event.media.kind for event in images if isinstance(event, MediaMade)] == ["image", "image"]


@pytest.mark.parametrize(
    "chunks",
    [
        [
            called(index=0, id="a", name="f", arguments=""),
            called(index=0, arguments='{"x"'),
            called(index=0, arguments=":1}"),
        ],
        [called(id="a", name="f", arguments='{"x"'), called(arguments=":1}")],
        [called(index=0, id="a", name="f", arguments='{"x"'), called(index=0, id="a", name="f", arguments=":1}")],
        [called(index=0, id="a", name="f", arguments='{"x"'), called(index=0, id="b", name="f", arguments=":1}")],
        [called(index=0, id="a", name="f", arguments='{"x":1}'), called(index=0, id="b", name="f", arguments="")],
        [called(index=0, id="a"), called(index=0, name="f"), called(index=0, arguments='{"x":1}')],
    ],
    ids=["usual", "no index", "repeated", "fresh ids", "a fresh id at the end", "name later"],
)
def test_one_call_in_many_ways(chunks: list[dict[str, Any]]) -> None:
    assert calls(*chunks) == [("a", "f", '{"x":1}')]


def test_a_name_in_pieces() -> None:
    pieces = [called(index=0, id="a", name="get_"), called(index=0, name="time"), called(index=0, arguments="{}")]
    assert calls(*pieces) == [("a", "get_time", "{}")]
    growing = [called(index=0, id="a", name="get_"), called(index=0, name="get_time", arguments="{}")]
    assert calls(*growing) == [("a", "get_time", "{}")]


@pytest.mark.parametrize(
    "chunks",
    [
        [called(index=0, id="a", name="f", arguments="{}"), called(index=1, id="b", name="g", arguments="{}")],
        [called(index=0, id="a", name="f", arguments="{}"), called(index=0, id="b", name="g", arguments="{}")],
        [called(id="a", name="f"), called(id="b", name="g", arguments="{}"), called(id="a", arguments="{}")],
        [called(index=1, id="a", name="f"), called(index=2, id="b", name="g")],
    ],
    ids=["by index", "all at 0", "by id, in turns", "without arguments, from 1"],
)
def test_two_calls_in_many_ways(chunks: list[dict[str, Any]]) -> None:
    assert calls(*chunks) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_calls_without_ids_get_some() -> None:
    found = calls(called(name="f", arguments="{}"), called(name="f", arguments="{}"))
    assert [name for _, name, _ in found] == ["f", "f"]
    assert len({id for id, _, _ in found}) == 2


def test_signatures_of_google_are_kept() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    events = heard(chunk({"tool_calls": [call | {"extra_content": {"google": {"thought_signature": "s"}}}]}))
    assert events[1] == ToolStarted(0, "a", "f", signature="s", family="google")


def test_a_stop_with_calls_waits_for_tools_and_comes_once() -> None:
    events = heard(called(index=0, id="a", name="f", arguments="{}"), chunk({}, "stop"), chunk({}, "stop"))
    assert [event for event in events if isinstance(event, Finished)] == [Finished(Finish.TOOLS)]


@pytest.mark.parametrize(
    "where",
    [
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2}),
        {"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]},
    ],
)
def test_usage_wherever_it_stands(where: dict[str, Any]) -> None:
    units = {Unit.INPUT_TOKEN: 3, Unit.OUTPUT_TOKEN: 2}
    assert Counted(units) in heard(chunk({"content": "Hi"}), where)
    assert Counted(units) in [event for frame in fed(FORMAT.skimmer(), stream(where)) for event in frame.events]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "busy", "code": "rate_limit_exceeded"}, UpstreamBusy),
        ({"message": "x", "code": 429}, UpstreamBusy),
        ({"message": "x", "type": "overloaded_error"}, UpstreamBusy),
        ({"message": "x", "code": "insufficient_quota"}, ChannelRejected),
        ({"message": "x", "code": "content_filter"}, ContentRefused),
        ({"message": "its maximum context length is 10", "code": 400}, ContextTooLong),
        ({"message": "x", "type": "invalid_request_error"}, CallerError),
        ({"message": "x"}, UpstreamError),
        ("x", UpstreamError),
    ],
)
def test_errors_within_a_stream(error: Any, kind: type[PenstockError]) -> None:
    assert type(fault(error)) is kind
    for reader in (FORMAT.reader(), FORMAT.skimmer()):
        with pytest.raises(kind):
            fed(reader, stream({"error": error}))
    with pytest.raises(kind):
        FORMAT.skim_reply(json.dumps({"error": error}).encode())


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"choices":[]}', b'{"choices":3}', b'{"choices":[{"message":3}]}']
)
def test_an_answer_that_makes_no_sense(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        FORMAT.read_reply(body)


def test_an_answer_that_broke_off_is_an_error() -> None:
    with pytest.raises(UpstreamBusy):
        heard(chunk({"content": "Hi"}), chunk({}, "insufficient_system_resource"))


# ── answers, skimmed and handed on ────────────────────────────────────────────────────────────────────────────────────


def test_a_skim_tells_what_the_meter_needs() -> None:
    answer = reply("openai", "chat_calls")
    counted, finished = FORMAT.skim_reply(json.dumps(answer).encode())
    assert counted == Counted({Unit.INPUT_TOKEN: 31, Unit.OUTPUT_TOKEN: 20})
    assert finished == Finished(Finish.TOOLS)
    grew, finished = FORMAT.skim_reply(json.dumps(answer | {"usage": None}).encode())
    assert isinstance(grew, Grew)
    assert grew.tokens > 5


def test_a_portion_is_one_frame() -> None:
    frames = FORMAT.skimmer().feed(stream(chunk({"content": "Hi"}), chunk({"content": " you"}), done=False))
    assert [frame.events for frame in frames] == [[Grew(1.5)]]


@pytest.mark.parametrize("size", [1, 50, 1 << 20])
def test_usage_is_hidden_from_clients_who_did_not_ask(size: int) -> None:
    first, last = stream(chunk({"content": "Hi"}), done=False), stream(chunk({}, "stop"), done=False)
    data = first + last + stream({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    frames = fed(FORMAT.skimmer(), data, size)
    hiding, showing = FORMAT.passing(ASKED), FORMAT.passing(Asked("m", "9", 1, options={"include_usage": True}))
    assert b"".join(map(hiding.write, frames)) == first + last + b"data: [DONE]\n\n"
    assert b"".join(map(showing.write, frames)) == data


def test_usage_beside_a_choice_is_never_hidden() -> None:
    data = stream(chunk({}, usage={"prompt_tokens": 1, "completion_tokens": 1}), done=False)
    assert b"".join(map(FORMAT.passing(ASKED).write, FORMAT.skimmer().feed(data))) == data


def test_a_skimmer_hands_on_what_it_does_not_understand() -> None:
    data = b': hello\n\ndata: what?\n\ndata: {"choices":"odd"}\n\n'
    assert b"".join(frame.raw for frame in FORMAT.skimmer().feed(data)) == data


# ── usage ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "units"),
    [
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 4,
                "total_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            {Unit.INPUT_TOKEN: 10, Unit.OUTPUT_TOKEN: 4, Unit.REASONING_TOKEN: 6},
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 9, "prompt_cache_hit_tokens": 8},
            {Unit.INPUT_TOKEN: 2, Unit.CACHED_TOKEN: 8, Unit.OUTPUT_TOKEN: 9},
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"audio_tokens": 3, "cached_tokens": 8}},
            {Unit.INPUT_TOKEN: 0, Unit.CACHED_TOKEN: 8, Unit.AUDIO_INPUT_TOKEN: 3},
        ),
        ({}, {}),
    ],
)
def test_units_are_disjoint(said: dict[str, Any], units: dict[Unit, float]) -> None:
    assert usage.read(msgspec.convert(said, usage.Reported)) == units


def test_usage_is_written_as_it_was_read() -> None:
    units = {
        Unit.INPUT_TOKEN: 300,
        Unit.CACHED_TOKEN: 600,
        Unit.CACHE_WRITE_TOKEN: 40,
        Unit.CACHE_WRITE_HOUR_TOKEN: 60,
        Unit.OUTPUT_TOKEN: 200,
        Unit.REASONING_TOKEN: 50,
    }
    assert usage.written(units) == {
        "prompt_tokens": 1000,
        "completion_tokens": 250,
        "total_tokens": 1250,
        "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0, "cache_write_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 50, "audio_tokens": 0},
    }
    assert usage.written({}) is None


# ── answers, written ──────────────────────────────────────────────────────────────────────────────────────────────────

ANSWER: list[Event] = [
    Started("msg_1", "claude"),
    ReasoningDelta("Hm."),
    TextDelta("Hej"),
    TextDelta(" då"),
    ToolStarted(0, "c1", "f"),
    ToolDelta(0, '{"a"'),
    ToolStarted(1, "c2", "g"),
    ToolDelta(0, ":1}"),
    Finished(Finish.TOOLS),
    Counted({Unit.INPUT_TOKEN: 3, Unit.OUTPUT_TOKEN: 2}),
]


def test_a_whole_answer_is_written() -> None:
    body = json.loads(FORMAT.write_reply(ANSWER, ASKED))
    assert (body["id"], body["object"], body["model"]) == ("chatcmpl-9", "chat.completion", "gpt-4o")
    assert body["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hej då",
                "refusal": None,
                "reasoning_content": "Hm.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert body["usage"]["total_tokens"] == 5


def test_a_stream_is_written() -> None:
    *chunks, counted, done = written(*ANSWER, include_usage=True)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm."},
        {"content": "Hej"},
        {"content": " då"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-2:] == [None, "tool_calls"]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (counted["choices"], counted["usage"]["total_tokens"], done) == ([], 5, "[DONE]")
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        ("chatcmpl-9", 1763650000, "gpt-4o")
    }


def test_a_stream_without_usage_for_those_who_did_not_ask() -> None:
    chunks = written(*ANSWER)
    assert all("usage" not in chunk for chunk in chunks[:-1])


def test_a_stream_that_never_finished_is_closed() -> None:
    assert written()[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["finish_reason"] for chunk in written(TextDelta("Hi"))[:-1]] == [None, None, "stop"]
    assert written(ToolStarted(0, "a", "f"))[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_answer_of_calls_alone_has_null_content() -> None:
    assert deltas(ToolStarted(0, "a", "f"))[0] == {"role": "assistant", "content": None}


def test_deprecated_calls_for_those_who_asked_so() -> None:
    events: list[Event] = [ToolStarted(0, "a", "f"), ToolDelta(0, "{}"), Finished(Finish.TOOLS)]
    assert deltas(*events, functions=True)[1:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    body = json.loads(FORMAT.write_reply(events, Asked("m", "9", 1, options={"functions": True})))
    assert body["choices"][0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert body["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize(("arguments", "input"), [('{"input":"a \\"b\\""}', 'a "b"'), ("{", "{"), ("[1]", "[1]")])
def test_free_text_comes_out_of_the_function_that_stood_for_its_tool(arguments: str, input: str) -> None:
    called: list[Event] = [ToolStarted(0, "a", "note"), *(ToolDelta(0, piece) for piece in arguments)]
    wanted = [
        {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "note", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": input}}]},
        {},
    ]
    for events in (called, [*called, Finished(Finish.TOOLS)]):
        assert deltas(*events, custom=["note"])[1:] == wanted
        body = json.loads(FORMAT.write_reply(events, Asked("m", "9", 1, options={"custom": ["note"]})))
        call = {"id": "a", "type": "custom", "custom": {"name": "note", "input": input}}
        assert body["choices"][0]["message"]["tool_calls"] == [call]


def test_custom_calls_pictures_and_sources() -> None:
    picture = f"![image](data:image/png;base64,{PNG})\n"
    assert deltas(
        RefusalDelta("No."),
        MediaMade(c.Media("image", "image/png", PNG)),
        Cited("u", "t", start=1, end=2),
        ToolStarted(0, "a", "f", custom=True),
        ToolDelta(0, "x"),
    )[1:-1] == [
        {"refusal": "No."},
        {"content": picture},
        {
            "annotations": [
                {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}}
            ]
        },
        {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "x"}}]},
    ]


def test_a_stream_comes_to_what_the_whole_answer_is() -> None:
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in written(*ANSWER, include_usage=True)[:-1]).encode()
    streamed = collect(event for frame in fed(FORMAT.reader(), data) for event in frame.events)
    assert streamed == collect(FORMAT.read_reply(FORMAT.write_reply(ANSWER, ASKED)))
