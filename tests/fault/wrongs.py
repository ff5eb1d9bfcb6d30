"""Requests of every call surface, and what can be wrong with them: tables for `test_bad_calls`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.canonical import chat as c
from penstock.formats._installed import formats

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SAID = "A weir? [[slow:0]]"
"""The sandbox takes its time otherwise."""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["a"]}}, "required": ["city"]}
RICH = c.ChatRequest(
    messages=(
        c.Message("system", (c.Text(SAID, cache="1h"),)),
        c.Message("user", (c.Text("hi"), c.Media("image", "image/png", PIXEL))),
        c.Message("assistant", (c.Text("Hm."), c.ToolCall("c1", "weather", '{"city":"a"}'))),
        c.Message("user", (c.ToolResult("c1", (c.Text("sunny"),), "weather"), c.Text(SAID))),
    ),
    max_tokens=500,
    temperature=0.5,
    tools=(c.Tool("weather", "d", SCHEMA), c.HostedTool("web_search", "openai", {"type": "web_search"})),
    choice=c.ToolChoice("required", ("weather",), parallel=False),
    output=c.JsonOutput(SCHEMA),
    thinking=c.Thinking("low"),
    user="u",
)
Body = dict[str, Any]
Changes = list[tuple[str, Any]]
"""Where (`messages.0.role`), and what is put there."""


def rich(format: str, model: str) -> Body:
    """A request that uses much of its format."""
    return dict(json.loads(formats()[format].write_request(RICH, model).body))


def table(words: str) -> Mapping[str, Changes]:
    """A surface, a place, and JSON to put there, two spaces or more between them."""
    made: dict[str, Changes] = {}
    for line in words.strip().splitlines():
        surface, place, *values = re.split(r"\s{2,}", line)
        made.setdefault(surface, []).extend((place, json.loads(value)) for value in values)
    return {**made, "stream": made["generate"]}


@dataclass(frozen=True)
class Surface:
    """One operation of one API, and its main field; asked for `test`, a model of the sandbox's, for `live`, one behind
    another format, and for `own`, one behind the same."""

    name: str
    dialect: str
    path: str
    about: str
    live: str
    own: str
    test: str

    def __str__(self) -> str:
        return self.name

    @property
    def body(self) -> Body:
        return {self.about: ABOUT[self.about]} | ({"max_tokens": 20} if self.name == "messages" else {})


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────────────

SURFACES = [
    Surface(*line.split())
    for line in """
chat        openai    /v1/chat/completions      messages  model-anthropic   model-openai      sandbox/instant
responses   openai    /v1/responses             input     model-google      model-responses   sandbox/instant
messages    anthropic /v1/messages              messages  model-openai      model-anthropic   sandbox/instant
generate    gemini    ~:generateContent         contents  model-anthropic   model-google      sandbox/instant
stream      gemini    ~:streamGenerateContent   contents  model-openai      model-google      sandbox/instant
embeddings  openai    /v1/embeddings            input     embedder-google   embedder-openai   text-embedding-3-small
embed       gemini    ~:embedContent            content   embedder-openai   embedder-google   gemini-embedding-001
moderations openai    /v1/moderations           input     moderator-openai  moderator-openai  omni-moderation-latest
count       anthropic /v1/messages/count_tokens messages  model-google      model-anthropic   sandbox/instant
countTokens gemini    ~:countTokens             contents  model-anthropic   model-google      sandbox/instant
""".replace("~", "/v1beta/models/{model}")
    .strip()
    .splitlines()
]
CHATS = SURFACES[:5]
CONTENT = {"parts": [{"text": SAID}]}
ABOUT = {"messages": [{"role": "user", "content": SAID}], "input": SAID, "contents": [CONTENT], "content": CONTENT}
COMMON = "model:text stream:flag temperature:number tools:list"
GENERATE = "contents:list tools:list generationConfig:object toolConfig:object generationConfig.maxOutputTokens:whole"
KINDS = {
    "chat": f"{COMMON} messages:list max_tokens:whole n:whole response_format:object metadata:object",
    "responses": f"{COMMON} max_output_tokens:whole store:flag background:flag previous_response_id:text",
    "messages": f"{COMMON} messages:list max_tokens:whole thinking:object stop_sequences:list",
    "generate": GENERATE,
    "stream": f"{GENERATE} systemInstruction.parts:list",
    "embeddings": "input:given model:text dimensions:whole encoding_format:text",
    "embed": "content:given outputDimensionality:whole",
    "moderations": "input:given",
    "count": "messages:list model:text",
    "countTokens": "contents:list",
}
FULL = {
    "chat": rich("openai_chat", "gpt-5.4"),
    "responses": rich("openai_responses", "gpt-5.4"),
    "messages": rich("anthropic_messages", "claude-sonnet-4-5"),
    **dict.fromkeys(("generate", "stream"), rich("gemini_content", "gemini-2.5-flash")),
}
WRONG = table(r"""
chat       messages.0.role                       "wizard"  ""  "\r\n"  null  7
chat       messages.1.content                    [{"type": "hologram"}]  [{"type": "text"}]  7  [7]
chat       messages.1.content.1.image_url.url    "data:image/png;base64,!!!!"  "data:,"  "data:image/png,abc"  ""
chat       messages                              []  null  {}  [{}]  [null]
chat       messages.3.tool_call_id               ""  7
chat       tools.0.function.parameters           "words"  7  []  [{}]
chat       tools.0.function.name                 null  7
chat       tool_choice                           "maybe"  7  []  {"type": "function"}  {}
chat       n                                     0  -1  1000
chat       reasoning_effort                      "much"  7
chat       response_format.type                  "xml"  7
responses  input.0.role                          "wizard"  ""  "\r\n"  7
responses  input.0.content                       [{"type": "hologram"}]  [{}]  7  [7]
responses  input.0.content.1.image_url           "data:image/png;base64,!!!!"  "data:,"  "data:image/png,abc"
responses  input                                 7  {}  [7]  [null]  [[]]
responses  tools.0.parameters                    "words"  7  []  [{}]
responses  tools.0.name                          null  7
responses  tool_choice                           "maybe"  7  []
responses  previous_response_id                  "resp_nothing"  7
messages   messages.0.role                       "wizard"  ""  "\r\n"  null  7
messages   messages.0.content                    [{"type": "hologram"}]  [{}]  7  [7]
messages   messages.0.content.1.source.data      "!!!!"  "AAA"  ""  7
messages   messages.0.content.1.source.type      "floppy"  7
messages   messages                              []  null  {}  [{}]  [null]
messages   tools.0.input_schema                  "words"  7  []  [{}]
messages   tools.0.name                          null  ""  7
messages   tool_choice                           "auto"  7  {}  {"type": "maybe"}  {"type": "tool"}
messages   max_tokens                            -1  1.5  "many"
generate   contents.0.role                       "wizard"  "tool"  "\r\n"  7
generate   contents.0.parts                      [{}]  [{"hologram": 1}]  [7]
generate   contents.0.parts.1.inlineData.data    "!!!!"  "AAA"  7
generate   contents.2.parts.0.functionResponse   "words"  {"name": 7}  {"response": "words"}
generate   contents                              {}  []  null  [{}]
generate   tools.0.functionDeclarations.0.name   null  7
generate   tools.0.functionDeclarations.0.parameters  "words"  7  []  [{}]
generate   toolConfig.functionCallingConfig.mode  "MAYBE"  7
generate   generationConfig.maxOutputTokens      "NaN"  "1e999"  1.5  "many"  []
generate   generationConfig.candidateCount       1000  "x"  0.5
""")
JUDGED = table(
    r"""
chat       max_tokens                            1000000000000000000000000000000  -1  0
chat       temperature                           1000000000000000000000000000000  -7
chat       seed                                  1000000000000000000000000000000  -9223372036854775809
chat       tools.0.function.parameters           {"type": 7}  {"properties": []}  {"$ref": "#/no"}  {"anyOf": 7}
chat       tools.0.function.name                 ""  "a b\n"  "LONG"
chat       tools                                 [{"function": {"name": "f"}}, {"function": {"name": "f"}}]
chat       tool_choice                           {"type": "function", "function": {"name": "nobody"}}
chat       messages.0.content                    "\u0000 [[slow:0]]"  "LONG LONG LONG [[slow:0]]"
chat       messages.0.role                       "LONG"
chat       messages.1.content.1.image_url.url    "http://["  "http://"
chat       messages.2.tool_calls.0.function.arguments  "{no"  "[1]"  ""
chat       LONG                                  1
responses  max_output_tokens                     1000000000000000000000000000000  -1  0
responses  tools.0.name                          "LONG"
messages   max_tokens                            1000000000000000000000000000000  0
messages   tools.0.name                          "LONG"
messages   messages.0.content.0.text             "\u0000"  "LONG"
generate   generationConfig.maxOutputTokens      1000000000000000000000000000000  "1e30"  -1  0
generate   generationConfig.candidateCount       0  -1
generate   tools.0.functionDeclarations.0.name   ""  "LONG"
""".replace("LONG", "a" * 100_000)
)
MANY: Mapping[str, Changes] = {
    "chat": [
        ("tools", [{"type": f"hosted{n}"} for n in range(5000)]),
        ("messages.2.content", "![" * 100_000),
        ("messages.2.content", "![](data:image/png;base64,A" * 10_000),
    ],
    "generate": [
        ("contents.1.parts", [{"functionCall": {"name": f"f{n % 99}"}} for n in range(20_000)]),
        ("contents.2.parts", [{"functionResponse": {"name": "f"}}] * 20_000 + [{"text": SAID}]),
    ],
}
"""What grows faster than it is long."""
OF_A_WRONG_TYPE: Mapping[str, list[Any]] = {
    "list": [True, 7, 1.5, "x", [7], [None], [[]]],
    "whole": [True, 1.5, "x", [], {}],
    "number": [True, "x", [], {}],
    "flag": [7, "x", [], {}],
    "text": [True, 7, [], {}],
    "object": [True, 7, "x", [], [7]],
    "given": [True, 7, 1.5, [[None]]],
}
JUNK = json.loads(r"""[null, true, 0, -1, 0.5, 1000000000000000000000000000000, -9223372036854775808, 1e308, "", "x",
"é", "\u0000", "NaN", "1e30", "{", "[1]", "data:,", "http://[", "data:image/png;base64,!!!", [], {}, [[]], [null],
["x"], [{}], {"": null}, {"type": null}, {"x": [{}]}, {"x\r\ny: z": 1}, {"$ref": "#"}, {"anyOf": 7},
{"type": ["string", 5]}]""")
OPTIONAL = {"responses": ["input"], "moderations": ["model"]}
"""Fields without which it is a request all the same."""
RAW = rb"""|{|nonsense|[]|"x"|null|1|{} x|{'a': 1}""".split(b"|")
UNREADABLE = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\udc00\\ud800", b"\0", b"\n", b"\\x")
TOO_DEEP = (b"[" * 20_000 + b"]" * 20_000, b'{"x":' * 20_000 + b"1" + b"}" * 20_000)
A_LOT = b"[" + b"[]," * 5_000_000 + b"[]]"
