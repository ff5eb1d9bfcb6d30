"""Anthropic's messages: requests and answers in both directions, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
    ContextTooLong,
    InvalidInput,
    PenstockError,
    Unsupported,
    UpstreamBusy,
    UpstreamError,
)
from penstock.formats._base import Asked
from penstock.formats.anthropic_count import AnthropicCount
from penstock.formats.anthropic_messages import AnthropicMessages, replies
from penstock.wire import sse

MS = AnthropicMessages()
ASKED = Asked("lake-1", "01Pen", 1_795_000_000)
OLD, BUDGETED, ADAPTIVE, NEWEST = "claude-3-5-haiku", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5"
PIXEL = "iVBORw0KGgo="
STREAM = b"".join(
    sse.event(name, None, json.dumps({"type": name, **members}))
    for name, members in (
        ("message_start", {"message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 412}}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        ("ping", {}),
        ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "Wéather."}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "Checking."}}),
        ("content_block_stop", {"index": 1}),
        (
            "content_block_start",
            {"index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}}},
        ),
        ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}}),
        ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": "1}"}}),
        ("content_block_stop", {"index": 2}),
        (
            "message_delta",
            {"delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 87}},
        ),
        ("message_stop", {}),
    )
)


def read(**members: Any) -> ChatRequest:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **members}
    return MS.read_request(json.dumps(body).encode())


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    return read(messages=[{"role": role, "content": list(blocks)}]).messages[0].content


def written(model: str = BUDGETED, **fields: Any) -> dict[str, Any]:
    return told(model, **fields)[0]


def told(model: str = BUDGETED, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    fields.setdefault("messages", (Message("user", (Text("Hi"),)),))
    made = MS.write_request(ChatRequest(**fields), model)
    return json.loads(made.body), made.dropped


def turns(*messages: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(messages=messages)["messages"]
    return found


def said(role: Any, *content: Part) -> Message:
    return Message(role, content)


def stream(*events: Event, ends: bool = True) -> list[dict[str, Any]]:
    writer = MS.writer(ASKED)
    raw = b"".join(writer.write(Frame([event])) for event in events) + (writer.end() if ends else b"")
    pieces = sse.Reader().feed(raw)
    decoded = [json.loads(piece.data) for piece in pieces]
    assert [piece.name for piece in pieces] == [data["type"] for data in decoded]
    return decoded


def outline(told: list[dict[str, Any]]) -> list[str]:
    """Blocks as they open, grow, and close."""
    lines = []
    for data in told:
        match data["type"]:
            case "content_block_start":
                lines.append(f"{data['index']} {data['content_block']['type']}")
            case "content_block_delta":
                kind, value = list(data["delta"].items())[:2]
                lines.append(f"{data['index']} {kind[1]} {value[1]}")
            case "content_block_stop":
                lines.append(f"{data['index']} stop")
    return lines


# ── a client's request ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_peek() -> None:
    found = MS.peek(b'{"model":"m","max_tokens":9,"stream":true,"messages":[]}')
    assert (found.model, found.stream, found.most_tokens) == ("m", True, 9)
    assert MS.peek(b"{}").most_tokens is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", CallerError),
        (b"[]", InvalidInput),
        (b'{"messages":[]}', InvalidInput),
        (b'{"messages":[{"role":"tool","content":"x"}]}', InvalidInput),
        (b'{"messages":[{"role":"user","content":[{"type":"hologram"}]}]}', InvalidInput),
        (b'{"messages":[{"role":"user","content":[{"type":"image"}]}]}', InvalidInput),
        (b'{"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}', InvalidInput),
        (b'{"messages":[{"role":"user","content":"x"}],"max_tokens":"9"}', InvalidInput),
        (b'{"messages":[{"role":"user","content":"x"}],"max_tokens":0}', Unsupported),
        (b'{"messages":[{"role":"user","content":"x"}],"thinking":{"type":"enabled"}}', InvalidInput),
        (b'{"messages":[{"role":"user","content":"x"}],"tools":[{"description":"x"}]}', InvalidInput),
        (b'{"messages":' + b"[" * 100_000, CallerError),
    ],
)
def test_what_is_wrong_is_told(body: bytes, error: type[PenstockError]) -> None:
    with pytest.raises(error):
        MS.read_request(body)


def test_scalars() -> None:
    found = read(
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["x"],
        metadata={"user_id": "u"},
        service_tier="auto",
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        speed="fast",
        container=None,
        cache_control={"type": "ephemeral"},
    )
    assert (found.max_tokens, found.stream, found.temperature, found.top_p, found.top_k) == (9, True, 0.5, 0.9, 4)
    assert (found.stop, found.user, found.service_tier) == (("x",), "u", "auto")
    assert (found.output, found.thinking) == (JsonOutput({"type": "object"}), Thinking("low"))
    assert found.left_out == ("speed",)


@pytest.mark.parametrize(
    ("words", "thinking"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, Thinking(budget=2000)),
        ({"type": "enabled", "budget_tokens": 2000, "display": "omitted"}, Thinking(budget=2000, visible=False)),
        ({"type": "adaptive", "display": "summarized"}, Thinking(budget=-1, visible=True)),
        ({"type": "between_tools"}, Thinking(budget=-1)),
        ({"type": "disabled"}, Thinking("none")),
    ],
)
def test_thinking_is_read(words: dict[str, Any], thinking: Thinking) -> None:
    assert read(thinking=words).thinking == thinking


def test_system_turns_keep_their_place() -> None:
    found = read(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[{"role": "user", "content": "Hi"}, {"role": "system", "content": "Rhyme."}],
    )
    assert found.messages == (
        said("system", Text("Be brief.", "1h")),
        said("user", Text("Hi")),
        said("system", Text("Rhyme.")),
    )


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "Hi", "cache_control": None}, Text("Hi")),
        ({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}, Text("Hi", "5m")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            Media("image", "image/png", data=PIXEL),
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://a/b"}}, Media("image", url="https://a/b")),
        ({"type": "image", "source": {"type": "file", "file_id": "f1"}}, Media("image", file="f1")),
        (
            {"type": "document", "title": "T", "source": {"type": "url", "url": "https://a/b"}},
            Media("document", "application/pdf", url="https://a/b", name="T"),
        ),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}}, Text("Hi")),
        ({"type": "document", "source": {"type": "content", "content": "Hi"}}, Text("Hi")),
        (
            {"type": "search_result", "source": "https://a", "title": "T", "content": [{"type": "text", "text": "x"}]},
            Text("T\nhttps://a\n\nx"),
        ),
        ({"type": "tool_result", "tool_use_id": "t1"}, ToolResult("t1")),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True},
            ToolResult("t1", (Text("no"),), failed=True),
        ),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [{"type": "image", "source": {"type": "url", "url": "u"}}],
            },
            ToolResult("t1", (Media("image", url="u"),)),
        ),
    ],
)
def test_a_users_block_is_read(block: dict[str, Any], part: Part) -> None:
    assert parts(block) == (part,)


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, 2]}}, ToolCall("t1", "f", '{"a":[1,2]}')),
        ({"type": "thinking", "thinking": "Hm", "signature": "s"}, Reasoning("Hm", "s", family="anthropic")),
        ({"type": "redacted_thinking", "data": "d"}, Reasoning(sealed="d", family="anthropic")),
    ],
)
def test_a_models_block_is_read(block: dict[str, Any], part: Part) -> None:
    assert parts(block, role="assistant") == (part,)


def test_a_title_stands_above_a_plain_document() -> None:
    source = {"type": "content", "content": [{"type": "text", "text": "Hi"}]}
    assert parts({"type": "document", "title": "T", "context": "C", "source": source}) == (Text("T\nC\n\n"), Text("Hi"))


def test_what_the_vendors_own_tools_made_is_left_out() -> None:
    found = read(
        messages=[
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "srvtoolu_1",
                        "content": [{"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e"}],
                    },
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "srvtoolu_2",
                        "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
                    },
                    {"type": "text", "text": "Found.", "citations": [{"type": "char_location"}]},
                ],
            },
        ]
    )
    assert found.messages[1].content == (Text("Found."),)
    assert found.left_out == ("server_tool_use", "web_search_tool_result")


def test_tools_and_their_choice() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    editor = {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}
    found = read(
        tools=[{"name": "f", "input_schema": {"type": "object"}, "strict": True}, search, editor],
        tool_choice={"type": "tool", "name": editor["name"], "disable_parallel_tool_use": True},
    )
    assert found.tools == (
        Tool("f", parameters={"type": "object"}, strict=True),
        HostedTool("web_search", "anthropic", search),
        HostedTool("text_editor", "anthropic", editor),
    )
    assert found.choice == ToolChoice("required", ("text_editor",), parallel=False)
    assert read(tool_choice={"type": "any"}).choice == ToolChoice("required")
    assert read(tool_choice={"type": "none"}).choice == ToolChoice("none")


# ── a request that passes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_passing_request_is_only_renamed() -> None:
    body = b'{"model":"x","max_tokens":5,"messages":[{"role":"user","content":"Hi"}],"speed":"fast","seed":1.50}'
    made = MS.renamed(body, BUDGETED, stream=True)
    assert json.loads(made) == json.loads(body) | {"model": BUDGETED, "stream": True}
    assert b"1.50" in made


@pytest.mark.parametrize("given", [b'{"messages":[]}', b'{"messages":[],"max_tokens":null}'])
def test_a_missing_bound_is_filled_in(given: bytes) -> None:
    assert json.loads(MS.renamed(given, BUDGETED, stream=False))["max_tokens"] == 8192


def test_thoughts_without_a_signature_do_not_reach_the_vendor() -> None:
    thought, text = {"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "Hi"}
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [thought, text]}]
    talk += [{"role": "user", "content": "So?"}, {"role": "assistant", "content": [thought]}]
    body = json.dumps({"messages": talk}).encode()
    made = json.loads(MS.renamed(body, BUDGETED, stream=False))
    assert made["messages"] == [talk[0], {"role": "assistant", "content": [text]}, talk[2]]
    assert json.loads(MS.renamed(body, "other", stream=False))["messages"] == talk


# ── a request to the vendor ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_least_request() -> None:
    assert written() == {
        "model": BUDGETED,
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }


def test_system_turns_come_first_and_a_moved_one_is_named() -> None:
    made, dropped = told(
        messages=(
            said("system", Text("Be brief.", "1h")),
            said("user", Text("Hi")),
            said("system", Text("Rhyme.")),
            said("user", Text("Now.")),
        )
    )
    assert made["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "Rhyme."},
    ]
    assert made["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Now."}]}
    ]
    assert dropped == ("messages[2].role",)


def test_the_first_turn_is_the_users_and_empty_texts_are_dropped() -> None:
    assert turns(said("assistant", Text("Hello")), said("user", Text(" "))) == [
        {"role": "user", "content": [{"type": "text", "text": "..."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
    ]
    assert turns() == [{"role": "user", "content": [{"type": "text", "text": "..."}]}]


def test_a_prefill_stays_without_white_space_at_its_end() -> None:
    assert turns(said("user", Text("Hi")), said("assistant", Text("{ \n")))[-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "{"}],
    }


def test_calls_and_results_find_each_other() -> None:
    made = turns(
        said("user", Text("Hi")),
        said("assistant", Text("Wait."), ToolCall("call:1", "f", '{"a":1}'), ToolCall("c2", "g", "")),
        said("user", ToolResult("call:1", (Text("one"),)), ToolResult("gone", (Text("lost"),)), Text("Go on.")),
    )
    assert made[1]["content"][1:] == [
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
    ]
    assert made[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "one"}]},
        {"type": "tool_result", "tool_use_id": "c2", "content": "", "is_error": True},
        {"type": "text", "text": "lost"},
        {"type": "text", "text": "Go on."},
    ]


def test_a_call_that_nobody_answered_is_answered() -> None:
    made = turns(said("user", Text("Hi")), said("assistant", ToolCall("c1", "f")))
    assert made[-1] == {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "", "is_error": True}],
    }


def test_tools_that_were_used_are_declared() -> None:
    made = written(messages=(said("assistant", ToolCall("c1", "f")), said("user", ToolResult("c1"))))
    assert made["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert made["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("arguments", "object"), [("", {}), ("[1]", {"value": [1]}), ('{"a":', {"_raw": '{"a":'}), ('{"a":1}', {"a": 1})]
)
def test_one_bad_old_call_fails_no_dialogue(arguments: str, object: dict[str, Any]) -> None:
    made = turns(said("user", Text("Hi")), said("assistant", ToolCall("c1", "f", arguments)))
    assert made[1]["content"][0]["input"] == object


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            Media("image", "image/png", data=PIXEL, cache="5m"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                "cache_control": {"type": "ephemeral"},
            },
        ),
        (Media("image", url="https://a/b"), {"type": "image", "source": {"type": "url", "url": "https://a/b"}}),
        (
            Media("document", "application/pdf", data=PIXEL, name="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL},
                "title": "a.pdf",
            },
        ),
        (
            Media("document", "text/markdown", data="SGk="),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}},
        ),
    ],
)
def test_media_are_written(part: Media, block: dict[str, Any]) -> None:
    assert turns(said("user", part))[0]["content"] == [block]


@pytest.mark.parametrize(
    "part",
    [
        Media("audio", "audio/wav", data=PIXEL),
        Media("video", url="https://a"),
        Media("image", file="file-1"),
        Media("document", "application/zip", data=PIXEL),
        Media("document", "text/plain", data="é"),
    ],
)
def test_media_that_the_vendor_does_not_take(part: Media) -> None:
    with pytest.raises(CallerError, match="Media"):
        turns(said("user", part))


def test_only_our_own_thoughts_are_written() -> None:
    made = turns(
        said("user", Text("Hi")),
        said(
            "assistant",
            Reasoning("a", "s", family="anthropic"),
            Reasoning("b", "s", family="gemini"),
            Reasoning("c", family="anthropic"),
            Reasoning(sealed="d", family="anthropic"),
            Text("![x](data:image/png;base64,AAAA) done"),
            Media("image", url="https://a/b"),
        ),
        said("user", Text("Go on.")),
    )
    assert made[1]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "![x](picture left out) done"},
        {"type": "text", "text": "![image](https://a/b)"},
    ]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (None, None),
        (ToolChoice("none"), {"type": "none"}),
        (ToolChoice("required"), {"type": "any"}),
        (ToolChoice("required", ("f",)), {"type": "tool", "name": "f"}),
        (ToolChoice("auto", parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("required", parallel=False), {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("none", parallel=False), {"type": "none"}),
    ],
)
def test_choices_are_written(choice: ToolChoice | None, words: dict[str, Any] | None) -> None:
    assert written(tools=(Tool("f"), Tool("g")), choice=choice).get("tool_choice") == words


def test_a_choice_among_some_leaves_the_others_out() -> None:
    made = written(tools=(Tool("f"), Tool("g"), Tool("h")), choice=ToolChoice("auto", ("f", "g")))
    assert [tool["name"] for tool in made["tools"]] == ["f", "g"]


def test_tools_are_written() -> None:
    made, dropped = told(
        tools=(
            Tool("f", "d", {"properties": {}}, strict=True, cache="1h"),
            Tool("w", custom=True, grammar={"syntax": "lark"}),
            HostedTool(
                "web_search",
                "openai",
                {"search_context_size": "low", "user_location": {"approximate": {"city": "Oslo"}}},
            ),
            HostedTool("code_interpreter", "openai", {}),
        )
    )
    assert made["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {
            "name": "w",
            "input_schema": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
        },
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 1,
            "user_location": {"type": "approximate", "city": "Oslo"},
        },
    ]
    assert dropped == ("tools[1].grammar", "tools[3]")


def test_a_forced_tool_that_the_vendor_lacks_is_refused() -> None:
    with pytest.raises(Unsupported, match="file_search"):
        written(tools=(HostedTool("file_search", "openai", {}),), choice=ToolChoice("required", ("file_search",)))


@pytest.mark.parametrize("fields", [{"choices": 2}, {"speaks": True}, {"draws": True}])
def test_what_changes_the_meaning_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        written(**fields)


def test_hints_are_dropped_and_named() -> None:
    made, dropped = told(
        seed=0, presence_penalty=0.0, frequency_penalty=1.0, logprobs=0, service_tier="flex", stop=("a", " ")
    )
    assert made["stop_sequences"] == ["a"]
    assert set(dropped) == {"seed", "frequency_penalty", "logprobs", "service_tier", "stop"}


@pytest.mark.parametrize(
    ("model", "wish", "most", "expected"),
    [
        (BUDGETED, Thinking("low"), 4000, {"thinking": {"type": "enabled", "budget_tokens": 1280}, "max_tokens": 4000}),
        (BUDGETED, Thinking("high"), 100, {"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 4196}),
        (BUDGETED, Thinking("max"), 20000, {"thinking": {"type": "enabled", "budget_tokens": 18976}}),
        (BUDGETED, Thinking(budget=5), 4000, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (BUDGETED, Thinking("none"), 4000, {"thinking": None, "output_config": None}),
        ("glm-5", Thinking(budget=0), 4000, {"thinking": {"type": "disabled"}}),
        (ADAPTIVE, Thinking("minimal"), 4000, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (ADAPTIVE, Thinking("xhigh"), 4000, {"output_config": {"effort": "high"}}),
        (NEWEST, Thinking("xhigh"), 4000, {"output_config": {"effort": "xhigh"}}),
        (
            NEWEST,
            Thinking(budget=3000, visible=True),
            4000,
            {"thinking": {"type": "adaptive", "display": "summarized"}},
        ),
        (NEWEST, Thinking(budget=3000), 4000, {"output_config": {"effort": "medium"}}),
        (NEWEST, Thinking(budget=-1), 4000, {"thinking": {"type": "adaptive"}, "output_config": None}),
        (OLD, Thinking("high"), 4000, {"thinking": None}),
    ],
)
def test_thinking_is_written(model: str, wish: Thinking, most: int, expected: dict[str, Any]) -> None:
    made = written(model, thinking=wish, max_tokens=most)
    assert {name: made.get(name) for name in expected} == expected


def test_who_does_not_think_samples() -> None:
    made = written("glm-5", thinking=Thinking("none"), temperature=0.2)
    assert (made["thinking"], made["temperature"]) == ({"type": "disabled"}, 0.2)


def test_what_is_nested_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InvalidInput, match="deep"):
        written(output=JsonOutput(schema))


def test_who_thinks_samples_as_the_vendor_likes() -> None:
    made, dropped = told(thinking=Thinking("low"), temperature=0.2, top_p=0.5, top_k=3)
    assert not {"temperature", "top_p", "top_k"} & made.keys()
    assert set(dropped) == {"temperature", "top_p", "top_k"}


def test_a_forced_tool_goes_before_thinking() -> None:
    made, dropped = told(thinking=Thinking("low"), tools=(Tool("f"),), choice=ToolChoice("required"))
    assert ("thinking" in made, dropped) == (False, ("thinking",))


def test_tools_in_a_dialogue_without_thoughts_go_before_a_budget() -> None:
    talk = (said("user", Text("Hi")), said("assistant", ToolCall("c", "f")), said("user", ToolResult("c")))
    assert told(thinking=Thinking("low"), messages=talk, tools=(Tool("f"),))[1] == ("thinking",)
    assert "thinking" in written(ADAPTIVE, thinking=Thinking("low"), messages=talk, tools=(Tool("f"),))


@pytest.mark.parametrize(
    ("model", "given", "kept", "dropped"),
    [
        (OLD, {"temperature": 1.5, "top_p": 0.5}, {"temperature": 1.0, "top_p": 0.5}, {"temperature"}),
        (BUDGETED, {"temperature": 0.5, "top_p": 0.5, "top_k": 2}, {"temperature": 0.5, "top_k": 2}, {"top_p"}),
        (BUDGETED, {"top_p": 0.5}, {"top_p": 0.5}, set()),
        ("claude-opus-4-7", {"temperature": 0.5, "top_k": 2}, {}, {"temperature", "top_k"}),
    ],
)
def test_sampling_is_what_the_model_takes(
    model: str, given: dict[str, Any], kept: dict[str, Any], dropped: set[str]
) -> None:
    made, named = told(model, **given)
    assert {name: made[name] for name in ("temperature", "top_p", "top_k") if name in made} == kept
    assert set(named) == dropped


def test_a_schema_for_the_answer() -> None:
    inner = {"type": "object", "properties": {"minimum": {"type": "integer", "minimum": 1}}}
    made = written(output=JsonOutput({"type": "array", "items": inner}))
    closed = {"type": "object", "properties": {"minimum": {"type": "integer"}}, "additionalProperties": False}
    assert made["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "array", "items": closed}}}


def test_json_is_asked_for_in_words() -> None:
    made, dropped = told(output=JsonOutput())
    assert "one JSON object" in made["system"][-1]["text"]
    assert dropped == ()
    made, dropped = told(OLD, output=JsonOutput({"type": "object"}))
    assert '{"type":"object"}' in made["system"][-1]["text"]
    assert dropped == ("output.schema",)


def test_what_is_read_is_written_again() -> None:
    body = {
        "model": BUDGETED,
        "max_tokens": 2000,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hi"}, {"type": "image", "source": {"type": "url", "url": "u"}}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "s"},
                    {"type": "text", "text": "Wait."},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "1"}]},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
        "stop_sequences": ["x"],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1500},
        "metadata": {"user_id": "u"},
    }
    made = MS.write_request(MS.read_request(json.dumps(body).encode()), BUDGETED)
    assert (json.loads(made.body), made.dropped) == (body, ())


# ── an answer of the vendor's ─────────────────────────────────────────────────────────────────────────────────────────


def reply(**members: Any) -> bytes:
    base = {"id": "msg_1", "type": "message", "model": "m", "content": [{"type": "text", "text": "Hi"}]}
    return json.dumps(base | {"stop_reason": "end_turn", **members}).encode()


def test_an_answer_is_read() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Hi", "citations": [{"type": "web", "url": "https://a", "title": "A"}]},
        {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ]
    events = MS.read_reply(reply(content=content, stop_reason="tool_use"))
    done = collect(events)
    assert events[0] == Started("msg_1", "m")
    assert done.content == [
        Reasoning("Hm", "s", family="anthropic"),
        Reasoning(sealed="d", family="anthropic"),
        Text("Hi"),
        ToolCall("t1", "f", '{"a": 1}'),
        ToolCall("t2", "g"),
    ]
    assert (done.citations, done.finish, done.usage) == ([Cited("https://a", "A")], Finish.TOOLS, {})


def test_usage_is_told_apart() -> None:
    usage = {
        "input_tokens": 300,
        "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 70, "ephemeral_1h_input_tokens": 30},
        "output_tokens": 250,
        "output_tokens_details": {"thinking_tokens": 50},
        "server_tool_use": {"web_search_requests": 2},
    }
    units = {
        Unit.INPUT_TOKEN: 300,
        Unit.CACHED_TOKEN: 600,
        Unit.CACHE_WRITE_TOKEN: 70,
        Unit.CACHE_WRITE_HOUR_TOKEN: 30,
        Unit.OUTPUT_TOKEN: 200,
        Unit.REASONING_TOKEN: 50,
        Unit.SEARCH: 2,
    }
    assert Counted(units) in MS.read_reply(reply(usage=usage))
    assert Counted(units) in MS.skim_reply(reply(usage=usage))
    made = json.loads(MS.write_reply([Counted(units)], ASKED))["usage"]
    assert made == usage | {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}}


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("overloaded_error", "Overloaded", UpstreamBusy),
        ("rate_limit_error", "slow", UpstreamBusy),
        ("invalid_request_error", "prompt is too long: 9 tokens > 8", ContextTooLong),
        ("invalid_request_error", "no", CallerError),
        ("api_error", "oh", UpstreamError),
    ],
)
def test_errors_in_place_of_answers(kind: str, message: str, error: type[PenstockError]) -> None:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    raw = sse.event("error", None, json.dumps(body))
    for failing in (
        lambda: MS.read_reply(json.dumps(body).encode()),
        lambda: MS.reader().feed(raw),
        lambda: MS.skimmer().feed(raw),
    ):
        with pytest.raises(error) as caught:
            failing()
        assert type(caught.value) is error


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"content":3}'])
def test_an_answer_of_another_shape(body: bytes) -> None:
    for failing in (MS.read_reply, MS.skim_reply):
        with pytest.raises(UpstreamError):
            failing(body)


EVENTS: list[Event] = [
    Started("msg_1", "m"),
    Counted({Unit.INPUT_TOKEN: 412}),
    ReasoningDelta("Wéather.", opens=True),
    ReasoningSealed(signature="EqQB", family="anthropic"),
    TextDelta("Checking."),
    ToolStarted(0, "t1", "f"),
    ToolDelta(0, '{"a":'),
    ToolDelta(0, "1}"),
    Counted({Unit.INPUT_TOKEN: 412, Unit.OUTPUT_TOKEN: 87}),
    Finished(Finish.TOOLS),
]


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
def test_a_stream_is_read_in_any_portions(size: int) -> None:
    reader = MS.reader()
    frames = [frame for at in range(0, len(STREAM), size) for frame in reader.feed(STREAM[at : at + size])]
    assert [event for frame in frames + reader.end() for event in frame.events] == EVENTS
    assert reader.done


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
def test_a_stream_is_skimmed_in_any_portions(size: int) -> None:
    skimmer = MS.skimmer()
    frames = [frame for at in range(0, len(STREAM), size) for frame in skimmer.feed(STREAM[at : at + size])]
    frames += skimmer.end()
    events = [event for frame in frames for event in frame.events]
    assert b"".join(frame.raw for frame in frames) == STREAM
    assert [event for event in events if not isinstance(event, Grew)] == [*EVENTS[1:2], *EVENTS[-2:]]
    assert sum(event.tokens for event in events if isinstance(event, Grew)) == pytest.approx(7, abs=3)
    assert skimmer.done


def test_later_counts_replace_earlier_ones_and_keep_the_split() -> None:
    start = {
        "input_tokens": 9,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 70, "ephemeral_1h_input_tokens": 30},
        "output_tokens": 1,
    }
    reader = MS.reader()
    reader.feed(sse.event("message_start", None, json.dumps({"type": "message_start", "message": {"usage": start}})))
    ended = {"usage": {"input_tokens": 0, "cache_creation_input_tokens": 120, "output_tokens": 0}}
    events = reader.feed(sse.event("message_delta", None, json.dumps(ended)))[0].events
    assert events == [
        Counted(
            {
                Unit.INPUT_TOKEN: 9,
                Unit.CACHE_WRITE_TOKEN: 90,
                Unit.CACHE_WRITE_HOUR_TOKEN: 30,
                Unit.OUTPUT_TOKEN: 0,
            }
        )
    ]


def test_arguments_that_come_at_once() -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    raw = sse.event("content_block_start", None, json.dumps({"index": 3, "content_block": block}))
    raw += sse.event("content_block_stop", None, '{"index":3}')
    assert MS.reader().feed(raw)[0].events == [Started(), ToolStarted(0, "t", "f"), ToolDelta(0, '{"a": 1}')]


def test_unknown_events_are_ignored() -> None:
    raw = b'data:\n\nevent: news\ndata: {"type":"news"}\n\ndata: [DONE]\n\n: hush\n\n'
    raw += b'data: {"type":"content_block_delta","index":0,"delta":{"type":"new_delta"}}\n\n'
    assert MS.reader().feed(raw) == []
    assert [frame.events for frame in MS.skimmer().feed(raw)] == [[]]


# ── an answer to a client ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_written() -> None:
    made = json.loads(
        MS.write_reply(
            [
                Started("chatcmpl-9", "other"),
                ReasoningDelta("Hm"),
                ReasoningSealed(signature="s", family="gemini"),
                TextDelta("Hi"),
                Cited("https://a", "A"),
                ToolStarted(0, "c1", "f"),
                MediaMade(Media("image", url="https://a/b")),
                Counted({Unit.INPUT_TOKEN: 5, Unit.OUTPUT_TOKEN: 2}),
                Finished(Finish.STOP),
            ],
            ASKED,
        )
    )
    cited = {
        "type": "web_search_result_location",
        "url": "https://a",
        "title": "A",
        "cited_text": "",
        "encrypted_index": "",
    }
    assert (made["id"], made["type"], made["role"], made["model"]) == ("msg_01Pen", "message", "assistant", "lake-1")
    assert made["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": ""},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        {"type": "text", "text": "![image](https://a/b)", "citations": [cited]},
    ]
    assert (made["stop_reason"], made["stop_sequence"]) == ("tool_use", None)


@pytest.mark.parametrize(
    ("finished", "words"),
    [
        (Finished(Finish.STOP_SEQUENCE, "x"), {"stop_reason": "stop_sequence", "stop_sequence": "x"}),
        (Finished(Finish.LENGTH), {"stop_reason": "max_tokens", "stop_sequence": None}),
        (Finished(Finish.CONTEXT), {"stop_reason": "model_context_window_exceeded", "stop_sequence": None}),
        (Finished(Finish.PAUSED), {"stop_reason": "pause_turn", "stop_sequence": None}),
        (
            Finished(Finish.REFUSED, "no"),
            {
                "stop_reason": "refusal",
                "stop_sequence": None,
                "stop_details": {"type": "refusal", "category": None, "explanation": "no"},
            },
        ),
    ],
)
def test_why_it_stopped(finished: Finished, words: dict[str, Any]) -> None:
    whole = json.loads(MS.write_reply([TextDelta("x"), finished], ASKED))
    assert {name: whole[name] for name in words} == words
    assert stream(TextDelta("x"), finished)[-2]["delta"] == words


def test_a_stream_is_written_as_it_was_read() -> None:
    made = stream(*EVENTS)
    assert outline(made) == [
        "0 thinking",
        "0 thinking_delta Wéather.",
        "0 signature_delta EqQB",
        "0 stop",
        "1 text",
        "1 text_delta Checking.",
        "1 stop",
        "2 tool_use",
        '2 input_json_delta {"a":',
        "2 input_json_delta 1}",
        "2 stop",
    ]
    assert [data["type"] for data in (made[0], *made[-2:])] == ["message_start", "message_delta", "message_stop"]
    assert made[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert (made[-2]["usage"]["input_tokens"], made[-2]["usage"]["output_tokens"]) == (412, 87)


def test_what_the_first_frame_counts_is_in_the_messages_start() -> None:
    first = MS.writer(ASKED).write(Frame([Started(), Counted({Unit.INPUT_TOKEN: 7})]))
    assert json.loads(sse.Reader().feed(first)[0].data)["message"]["usage"]["input_tokens"] == 7


def test_a_guess_stands_until_the_vendor_counts() -> None:
    writer = MS.writer(Asked("m", "1", 0, options={"input_tokens": 9}))
    raw = writer.write(Frame([Started(), TextDelta("x")]))
    raw += writer.write(Frame([Counted({Unit.INPUT_TOKEN: 7, Unit.OUTPUT_TOKEN: 1})])) + writer.end()
    made = [json.loads(piece.data) for piece in sse.Reader().feed(raw)]
    assert (made[0]["message"]["usage"]["input_tokens"], made[-2]["usage"]["input_tokens"]) == (9, 7)


def test_calls_that_alternate_are_told_one_after_the_other() -> None:
    made = stream(
        ToolStarted(0, "a", "f"),
        ToolStarted(1, "b", "g"),
        ToolDelta(0, '{"x"'),
        ToolDelta(1, '{"y"'),
        ToolDelta(0, ":1}"),
        ToolDelta(1, ":2}"),
        ToolStarted(2, "c", "h"),
    )
    assert outline(made) == [
        "0 tool_use",
        '0 input_json_delta {"x"',
        "0 input_json_delta :1}",
        "0 stop",
        "1 tool_use",
        '1 input_json_delta {"y":2}',
        "1 stop",
        "2 tool_use",
        "2 input_json_delta {}",
        "2 stop",
    ]
    assert made[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_text_within_a_call_comes_after_it() -> None:
    made = stream(
        ToolStarted(0, "a", "f"),
        ToolDelta(0, "{"),
        TextDelta("So"),
        TextDelta("..."),
        ToolDelta(0, "}"),
        ToolStarted(1, "b", "g"),
        ReasoningDelta("Hm"),
    )
    assert outline(made) == [
        "0 tool_use",
        "0 input_json_delta {",
        "0 input_json_delta }",
        "0 stop",
        "1 text",
        "1 text_delta So",
        "1 text_delta ...",
        "1 stop",
        "2 tool_use",
        "2 input_json_delta {}",
        "2 stop",
        "3 thinking",
        "3 thinking_delta Hm",
        "3 signature_delta ",
        "3 stop",
    ]


def test_a_name_may_come_later() -> None:
    made = stream(ToolStarted(0, "a", ""), ToolDelta(0, "{"), ToolStarted(0, "", "f"), ToolDelta(0, "}"))
    assert made[1]["content_block"] == {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    assert outline(made)[1:] == ["0 input_json_delta {", "0 input_json_delta }", "0 stop"]


def test_thoughts_of_others_are_told_without_proof() -> None:
    made = stream(
        ReasoningDelta("a"),
        ReasoningDelta("b", opens=True),
        ReasoningSealed(signature="s", sealed="x", family="openai"),
        ReasoningSealed(sealed="d", family="anthropic"),
        RefusalDelta("No."),
        Cited("https://a"),
        Finished(Finish.REFUSED),
    )
    assert outline(made) == [
        "0 thinking",
        "0 thinking_delta a",
        "0 signature_delta ",
        "0 stop",
        "1 thinking",
        "1 thinking_delta b",
        "1 signature_delta ",
        "1 stop",
        "2 redacted_thinking",
        "2 stop",
        "3 text",
        "3 text_delta No.",
        "3 citations_delta {}".format(replies.citation_words(Cited("https://a"))),
        "3 stop",
    ]


def test_an_answer_without_content_ends_well() -> None:
    made = stream(Started(), Finished(Finish.STOP))
    assert [data["type"] for data in made] == ["message_start", "message_delta", "message_stop"]


def test_nothing_at_all_is_an_error() -> None:
    assert [data["type"] for data in stream(Started())] == ["message_start", "error"]
    assert stream(TextDelta("x"))[-2]["delta"]["stop_reason"] == "end_turn"


def test_a_stream_and_a_whole_answer_say_the_same() -> None:
    reader = MS.reader()
    writer = MS.writer(ASKED)
    raw = b"".join(writer.write(frame) for frame in reader.feed(STREAM)) + writer.end()
    again = [event for frame in MS.reader().feed(raw) for event in frame.events]
    assert collect(again).content == collect(EVENTS).content


# ── counting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_counting() -> None:
    count = AnthropicCount()
    body = b'{"model":"x","max_tokens":5,"stream":true,"system":"s","messages":[{"role":"user","content":"Hi"}]}'
    assert json.loads(count.renamed(body, "m", stream=False)).keys() == {"model", "system", "messages"}
    made = json.loads(count.write_request(count.read_request(body), "m").body)
    assert made.keys() == {"model", "system", "messages"}
    assert count.peek(body).model == "x"
    assert count.read_reply(b'{"input_tokens":412}') == [Counted({Unit.INPUT_TOKEN: 412})]
    assert count.write_reply([Counted({Unit.INPUT_TOKEN: 412, Unit.CACHED_TOKEN: 8})], ASKED) == b'{"input_tokens":420}'
