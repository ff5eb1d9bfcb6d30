"""What clients of language models do wrong is refused in the words of the API that they speak: nothing stays held,
nothing is charged, nothing of ours is told, and nobody else waits. At the sandbox, and translated for another vendor.
"""

from __future__ import annotations

import copy
import json
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from penstock.canonical import chat as c
from penstock.formats._installed import formats
from tests.asking import Reply, ask
from tests.contract.gateways import CHANNELS, add, key, operator
from tests.fault.stage import until
from tests.live import Live

WITHIN_S = 5.0
FUZZED_S, AT_ONCE, PATIENT_S = 4.0, 10, 15.0
MAX_BODY = 16 << 20
TOPUP_USD = 1000
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
JUNK = json.loads(r"""[null, true, 0, -1, 0.5, 1000000000000000000000000000000, -9223372036854775808, 1e308, "", "x", "é",
"\u0000", "NaN", "1e30", "{", "[1]", "data:,", "http://[", "data:image/png;base64,!!!", [], {}, [[]], [null], ["x"], [{}],
{"": null}, {"type": null}, {"x": [{}]}, {"x\r\ny: z": 1}, {"$ref": "#"}, {"anyOf": 7}, {"type": ["string", 5]}]""")
BOTH = pytest.mark.parametrize("way", ["test", "live"])
ALL = pytest.mark.parametrize("surface", SURFACES, ids=str)


# ── two gateways ──────────────────────────────────────────────────────────────────────────────────────────────────────

CREDENTIALS: Mapping[str, list[Mapping[str, str]]] = {
    "openai": [{"authorization": "Bearer {}"}, {"authorization": "{}"}, {"api_key": "{}"}],
    "anthropic": [{"x_api_key": "{}"}, {"authorization": "Bearer {}"}],
    "gemini": [{"x_goog_api_key": "{}"}, {"authorization": "Bearer {}"}],
}
ALWAYS = {"anthropic": {"anthropic_version": "2023-06-01"}}


@dataclass
class World:
    """The one whose sandbox answers, and one before it, to which the first is a vendor of each format."""

    behind: Live
    before: Live
    live_key: str
    revoked: str
    answered: Counter[str] = field(default_factory=Counter)

    def ask(self, live: Live, path: str, method: str = "POST", *, timeout_s: float = WITHIN_S, **more: Any) -> Reply:
        reply = ask(live.url + path, method, timeout_s=timeout_s, content_type="application/json", **more)
        told = reply.body + str(reply.headers).encode()
        assert not [secret for secret in self.secrets() if secret.encode() in told]
        self.answered[live.url] += reply.status == 200
        return reply

    def send(self, surface: Surface, way: str, body: Any = None, *, model: str = "", **more: Any) -> Reply:
        live, secret = (self.behind, self.behind.test_key) if way == "test" else (self.before, self.live_key)
        model = model or getattr(surface, way)
        raw = body if isinstance(body, bytes) else json.dumps(body or self.good(surface, way)).encode()
        credential = {name: words.format(secret) for name, words in CREDENTIALS[surface.dialect][0].items()}
        sent = ALWAYS.get(surface.dialect, {}) | credential | more
        return self.ask(live, surface.path.format(model=model), body=raw, **sent)

    def named(self, surface: Surface, way: str) -> Body:
        return {} if "{model}" in surface.path else {"model": getattr(surface, way)}

    def good(self, surface: Surface, way: str) -> Body:
        return surface.body | self.named(surface, way)

    def secrets(self) -> list[str]:
        return [self.behind.test_key, self.live_key, self.revoked, f"127.0.0.1:{self.behind.port}"]

    def charges(self, live: Live) -> tuple[int, int]:
        """How many, and what they come to where money is real."""
        query = "SELECT count(*), sum(CASE mode WHEN 'live' THEN amount ELSE 0 END) FROM charges"
        with sqlite3.connect(f"file:{live.data}/penstock.db?mode=ro", uri=True, timeout=10) as database:
            count, total = database.execute(query).fetchone()
        return count, total or 0

    def balance(self) -> int:
        """What can be spent: what is held can't."""
        return int(operator(self.before, "accounts.list")[0]["live"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("bad-calls")
    with Live(folder / "behind") as behind, Live(folder / "before") as before:
        revoked = operator(before, "keys.create", name="gone", mode="live", account="default")
        made = World(behind, before, key(before, "live"), revoked["key"])
        operator(before, "keys.revoke", key=revoked["id"])
        operator(before, "accounts.topup", name="default", usd=str(TOPUP_USD), mode="live")
        for name, channel in CHANNELS.items():
            add(before, behind, name, channel)
        vendor = {"provider": "openai", "base_url": f"{behind.url}/v1", "credential": behind.test_key, "options": {}}
        operator(before, "channels.add", name="unpriced", models={"unpriced": "gpt-5.4"}, **vendor)
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_charged_and_others_are_served(world: World) -> Iterator[None]:
    lives = (world.before, world.behind)
    before = [world.charges(live)[0] for live in lives]
    world.answered.clear()
    yield
    more = [world.charges(live)[0] - count for live, count in zip(lives, before, strict=True)]
    assert more[0] <= world.answered[world.before.url]
    assert more[1] <= world.answered.total()
    for way in ("test", "live"):
        assert world.send(SURFACES[0], way).status == 200


OF_OPENAI = {
    400: {"invalid_request_error/invalid_request", "invalid_request_error/unsupported_value"},
    401: {"authentication_error/invalid_api_key"},
    403: {"permission_error/model_price_error"},
    404: {"invalid_request_error/model_not_found", "invalid_request_error/not_found"},
    405: {"invalid_request_error/invalid_request"},
    413: {"invalid_request_error/request_too_large"},
}
STATUSES = tuple(OF_OPENAI)
OF_ANTHROPIC = "invalid_request_error authentication_error permission_error not_found_error invalid_request_error"
OF_GOOGLE = "INVALID_ARGUMENT UNAUTHENTICATED PERMISSION_DENIED NOT_FOUND UNIMPLEMENTED INVALID_ARGUMENT"
WORDS: Mapping[str, Mapping[int, set[str]]] = {
    "openai": OF_OPENAI,
    "anthropic": {s: {word} for s, word in zip(STATUSES, f"{OF_ANTHROPIC} request_too_large".split(), strict=True)},
    "gemini": {s: {word} for s, word in zip(STATUSES, OF_GOOGLE.split(), strict=True)},
}


def refused(dialect: str, reply: Reply, status: int, what: object = "") -> None:
    """In the shape and the words of this dialect."""
    where = (what, reply.status, reply.body[:500])
    assert reply.status == status, where
    assert reply.headers["content-type"] == "application/json", where
    said, fault = reply.json, reply.json["error"]
    if dialect == "openai":
        assert (said.keys(), fault.keys()) == ({"error"}, {"message", "type", "param", "code"}), where
        word = f"{fault['type']}/{fault['code']}"
    elif dialect == "anthropic":
        assert (said["type"], fault.keys()) == ("error", {"type", "message"}), where
        assert said.get("request_id") == reply.headers.get("request-id"), where
        word = fault["type"]
    else:
        assert (said.keys(), fault.keys() - {"details"}) == ({"error"}, {"code", "message", "status"}), where
        assert fault["code"] == status, where
        word = fault["status"]
    assert word in WORDS[dialect][status], where
    assert fault["message"], where
    assert b"Traceback" not in reply.body


def put(body: Body, path: str, value: Any) -> Body:
    """A copy, changed there; what leads there is made."""
    made = copy.deepcopy(body)
    node: Any = made
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        node = node[step] if isinstance(node, list) else node.setdefault(step, {})
    node[last] = value
    return made


# ── bodies ────────────────────────────────────────────────────────────────────────────────────────────────────────────


RAW = rb"""|{|nonsense|[]|"x"|null|1|{} x|{'a': 1}""".split(b"|")
UNREADABLE = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\udc00\\ud800", b"\0", b"\n", b"\\x")
TOO_DEEP = (b"[" * 20_000 + b"]" * 20_000, b'{"x":' * 20_000 + b"1" + b"}" * 20_000)
A_LOT = b"[" + b"[]," * 5_000_000 + b"[]]"


@BOTH
@ALL
def test_what_is_no_request(world: World, surface: Surface, way: str) -> None:
    good = json.dumps(world.good(surface, way)).encode()
    within = [good.replace(b"A weir", words) for words in UNREADABLE]
    behind = [good[:-1] + b',"x":' + value + b"}" for value in (b"NaN", b"-Infinity", b"01", *TOO_DEEP)]
    for body in (*RAW, b"[" * 20_000, good[:-1], b"\xef\xbb\xbf" + good, *within, *behind):
        refused(surface.dialect, world.send(surface, way, body), 400, body[:200])


@ALL
def test_too_much(world: World, surface: Surface) -> None:
    good = json.dumps(world.good(surface, "live")).encode()
    much = good[:-1] + b',"%b":%b}' % (surface.about.encode(), A_LOT)
    refused(surface.dialect, world.send(surface, "live", much), 400)
    refused(surface.dialect, world.send(surface, "live", b" " * (MAX_BODY + 1)), 413)


OPTIONAL = {"responses": ["input"], "moderations": ["model"]}


@BOTH
@ALL
def test_fields_that_are_missing_or_of_a_wrong_type(world: World, surface: Surface, way: str) -> None:
    good = world.good(surface, way)
    for path, kind in [one.split(":") for one in KINDS[surface.name].split()]:
        for wrong in OF_A_WRONG_TYPE[kind]:
            refused(surface.dialect, world.send(surface, way, put(good, path, wrong)), 400, (path, wrong))
    for name in good.keys() - {"max_tokens", *OPTIONAL.get(surface.name, ())}:
        less = {other: given for other, given in good.items() if other != name}
        refused(surface.dialect, world.send(surface, way, json.dumps(less).encode()), 400, f"no {name}")


@BOTH
@pytest.mark.parametrize("surface", CHATS, ids=str)
def test_nonsense_within(world: World, surface: Surface, way: str) -> None:
    full = FULL[surface.name] | world.named(surface, way)
    assert world.send(surface, way, full).status == 200
    for path, wrong in WRONG[surface.name]:
        refused(surface.dialect, world.send(surface, way, put(full, path, wrong)), 400, (path, str(wrong)[:80]))


@BOTH
@pytest.mark.parametrize("surface", CHATS, ids=str)
def test_what_vendors_may_judge(world: World, surface: Surface, way: str) -> None:
    """Some take it, some refuse it; it is no fault of ours, and it is soon over."""
    for path, odd in (*JUDGED[surface.name], *MANY.get(surface.name, ()), ("x\r\nset-cookie: a=b", 1)):
        reply = world.send(surface, way, put(FULL[surface.name] | world.named(surface, way), path, odd))
        assert reply.status in (200, 400), (path, str(odd)[:80], reply.body[:300])
        assert "set-cookie" not in reply.headers
        assert len(reply.headers.get("x-penstock-dropped", "")) <= 2000


# ── who asks, for what, where ─────────────────────────────────────────────────────────────────────────────────────────


@ALL
def test_keys(world: World, surface: Surface) -> None:
    path = surface.path.format(model=surface.live)
    body, always = world.good(surface, "live"), ALWAYS.get(surface.dialect, {})
    refused(surface.dialect, world.ask(world.before, path, body=body, **always), 401, "no key")
    wrong = (
        world.revoked,
        world.behind.test_key,
        "sk-live-wrong",
        "Bearer",
        "é" * 10,
        "sk-live-" + "x" * 20_000,
        "a b",
    )
    for place in CREDENTIALS[surface.dialect]:
        for one in wrong:
            given = always | {name: words.format(one) for name, words in place.items()}
            refused(surface.dialect, world.ask(world.before, path, body=body, **given), 401, (place, one[:30]))
        given = always | {name: words.format(world.live_key) for name, words in place.items()}
        assert world.ask(world.before, path, body=body, **given).status == 200
    for query in (f"key={world.revoked}", "key=x&key=y", "key=", "key=%00", "key=%FF", "alt=foo&key=x"):
        refused(surface.dialect, world.ask(world.before, f"{path}?{query}", body=body, **always), 401, query)


@ALL
def test_models(world: World, surface: Surface) -> None:
    in_path = "{model}" in surface.path
    names = ("nobody", "a/b/c", "\0", "é", "..", "x\r\ny: z", "a" * 5000, "sandbox/nothing")
    for way, model in [("test", name) for name in names] + [("live", name) for name in (*names, "sandbox/instant")]:
        model = quote(model) if in_path else model
        reply = world.send(surface, way, world.good(surface, way) | ({} if in_path else {"model": model}), model=model)
        refused(surface.dialect, reply, 404, (way, model[:50]))
    if surface in CHATS:
        named = {} if in_path else {"model": "unpriced"}
        refused(surface.dialect, world.send(surface, "live", surface.body | named, model="unpriced"), 403)


@ALL
def test_paths_methods_and_queries(world: World, surface: Surface) -> None:
    path, always = surface.path.format(model=surface.live), ALWAYS.get(surface.dialect, {})
    given = {name: words.format(world.live_key) for name, words in CREDENTIALS[surface.dialect][0].items()} | always
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        reply = world.ask(world.before, path, method, **given)
        refused(surface.dialect, reply, 405, method)
        assert "POST" in reply.headers["allow"]
    for method in ("GET", "HEAD"):
        reply = world.ask(world.before, path, method, **given)
        assert (reply.status, method == "HEAD") in {(404 if surface.dialect == "gemini" else 405, not reply.body)}
    below = world.ask(world.before, f"{path}/nonsense", body={}, **given)
    refused(surface.dialect, below, 405 if surface.name == "responses" else 404)
    for query in ("beta=true", "alt=foo", "alt=json&alt=sse", "%zz=%&&=;", "x=" + "a" * 5000):
        reply = world.ask(world.before, f"{path}?{query}", body=world.good(surface, "live"), **given)
        assert reply.status == 200, (query, reply.body)
    junk = {"user_agent": "\xff" * 100, "openai_beta": "é", "anthropic_beta": "é,\x7f", "x": "y" * 5000}
    for way in ("live", "own", "test"):
        assert world.send(surface, way, **junk).status in (200, 400)
    assert world.send(surface, "live", content_encoding="gzip", expect="x").status in (200, 400, 415, 417)


LISTS = {
    "openai": ("/v1/models", []),
    "anthropic": ("/v1/models", ["limit=x", "limit=0", "limit=-1", "limit=9999", "after_id=no", "before_id=no"]),
    "gemini": ("/v1beta/models", ["pageSize=x", "pageSize=-1", "pageToken=no", "pageToken=1e9", "pageSize=%D9%A3"]),
}


@pytest.mark.parametrize("dialect", LISTS)
def test_lists_of_models(world: World, dialect: str) -> None:
    path, queries = LISTS[dialect]
    always = ALWAYS.get(dialect, {})
    for place in CREDENTIALS[dialect]:
        for one, status in ((world.live_key, 200), (world.revoked, 401), ("x", 401)):
            given = {name: words.format(one) for name, words in place.items()} | always
            reply = world.ask(world.before, path, "GET", **given)
            assert reply.status == status
            if status != 200:
                refused(dialect, reply, 401)
                refused(dialect, world.ask(world.before, f"{path}/model-openai", "GET", **given), 401)
        given = {name: words.format(world.live_key) for name, words in place.items()} | always
        for query in queries:
            refused(dialect, world.ask(world.before, f"{path}?{query}", "GET", **given), 400, query)
        for name in ("nobody", "a/b", "%00", "..", "a" * 5000, "%ff", "sandbox/instant"):
            refused(dialect, world.ask(world.before, f"{path}/{name}", "GET", **given), 404, name[:20])
        refused(dialect, world.ask(world.before, path, "DELETE", **given), 405)


# ── real requests, broken anywhere ────────────────────────────────────────────────────────────────────────────────────


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for name, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*above, name)
        yield from places(inner, (*above, name))


def broken(dice: random.Random, good: Body) -> Body:
    """With one to three of its nodes dropped, doubled, moved, or replaced by junk."""
    made = copy.deepcopy(good)
    for _ in range(dice.choice((1, 1, 2, 3))):
        found = list(places(made))
        if not found:
            break
        *way, last = dice.choice(found)
        node: Any = made
        for step in way:
            node = node[step]
        match dice.randrange(5):
            case 0:
                del node[last]
            case 1 if isinstance(node, list):
                node.append(copy.deepcopy(node[last]))
            case 2 if isinstance(node, dict):
                node[dice.choice(("x", "", "type", "$ref", "role", "content"))] = node.pop(last)
            case _:
                node[last] = copy.deepcopy(dice.choice(JUNK))
    return made


@pytest.mark.parametrize("surface", CHATS, ids=str)
def test_requests_broken_anywhere(world: World, surface: Surface) -> None:
    dice = random.Random(surface.name)
    end = time.monotonic() + FUZZED_S

    def one(seed: int) -> tuple[int, Body, Reply] | None:
        if time.monotonic() > end:
            return None
        own = random.Random(seed)
        way = own.choice(("test", "live", "own"))
        body = broken(own, FULL[surface.name] | world.named(surface, way))
        return seed, body, world.send(surface, way, json.dumps(body).encode(), timeout_s=PATIENT_S)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = [done for done in pool.map(one, [dice.getrandbits(32) for _ in range(20_000)]) if done]
    for seed, body, reply in replies:
        told = (seed, json.dumps(body)[:2000], reply.status, reply.body[:300])
        assert reply.status in (200, 400, 404), told
        if reply.status != 200:
            refused(surface.dialect, reply, reply.status, told)
        assert reply.status != 200 or b'"error":{' not in reply.body, told
    assert {reply.status for _, _, reply in replies} >= {200, 400}


# ── afterwards ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_books_and_the_logs(world: World) -> None:
    until(lambda: world.balance() == TOPUP_USD * 1_000_000 - world.charges(world.before)[1] or None, 10.0, "holds")
    for live in (world.behind, world.before):
        assert operator(live, "ledger.check") == []
        told = live.log.read_text(errors="replace")
        assert "Traceback" not in told, live.log_tail()
        assert not [secret for secret in world.secrets()[:3] if secret in told]
