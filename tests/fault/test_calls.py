"""What goes wrong within a call, and what it is charged then, to the micro-dollar."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock import gateway as penstock
from penstock.config import load
from penstock.store import accounts
from tests.fault.stage import Answer, Gateway, Stage, side_by_side, until
from tests.live import Live
from tests.rigs.chatting import (
    COMPLETION,
    DONE,
    END,
    HANG_UP,
    PROMPT,
    STREAM,
    Chatting,
    Script,
    chunk,
    completion,
    counting,
    event,
    head,
    part,
    usage,
    whole,
)
from tests.rigs.counting import Counting

PRICE = {"input_token": 7, "cached_token": 3, "output_token": 11, "reasoning_token": 13}
"""Micro-dollars each: primes, so that a wrong sum can't look right."""
TOPUP = 1_000_000_000
GUESSED = -1
"""Of the input: as many tokens as the request's bytes are thought to be."""
FIRST_BYTE_S, IDLE_S, CALL_S = 2.0, 2.0, 4.0
Units = Mapping[str, int]


@dataclass(frozen=True)
class Story:
    """One call: what its upstreams do, the second is there for when the first fails, and what must come of it.

    `units` None: no charge. `asked`: how many upstreams; 0: all. `counted`: the client asks for the chunk that counts.
    The client speaks OpenAI's words whatever its `vendors` speak.
    """

    name: str
    scripts: tuple[Script, ...]
    units: Units | None = None
    estimated: bool = False
    stream: bool = False
    status: int = 200
    says: str = ""
    asked: int = 0
    counted: bool = True
    vendors: tuple[str, ...] = ("openai", "openai")

    def __str__(self) -> str:
        return self.name


TEXT = "A weir, at dusk."
FIRST, LAST = chunk("A weir, "), chunk("at dusk.")
STOP, COUNTED, ZERO = chunk(finish="stop"), counting(usage(PROMPT, COMPLETION)), counting(usage(0, 0))
LESS = counting(usage(PROMPT, COMPLETION - 5))
MANY = usage(1000, 100, cached=600, reasoning=64)
DRIP = [step for text in TEXT for step in (chunk(text), 0.1)]


def answered(counted: dict[str, Any] | None) -> bytes:
    return whole(completion(TEXT, counted))


def streamed(*rest: bytes) -> bytes:
    return STREAM + FIRST + LAST + b"".join(rest)


def rechunked(stream: bytes, size: int) -> bytes:
    """The same stream in chunks of so many bytes, without the last, empty one."""
    _, body = stream.split(b"\r\n\r\n", 1)
    plain = b"".join(body.split(b"\r\n")[1::2])
    return STREAM + b"".join([part(plain[at : at + size]) for at in range(0, len(plain), size)])


GOOD, GOOD_STREAM = answered(usage(PROMPT, COMPLETION)), streamed(STOP, COUNTED, DONE, END)
HTML = b"<html><body>Just a moment</body></html>"
FAILS = event({"error": {"message": "too busy", "type": "server_error", "code": "server_is_overloaded"}})
BROKE_OFF, SILENT, BUSY = '"code":"bad_response"', '"code":"upstream_timeout"', '"code":"overloaded"'

USUAL = {"input_token": PROMPT, "output_token": COMPLETION}
NOTHING = {"input_token": 0, "output_token": 0}
PARTS = {"input_token": 400, "cached_token": 600, "output_token": 36, "reasoning_token": 64}
SAID = {"input_token": GUESSED, "output_token": len(TEXT) // 4}
HALF = {"input_token": GUESSED, "output_token": len(TEXT) // 8}

NONE_SAID = {"input_token": GUESSED, "output_token": 0}

WHOLE = [
    Story("whole", ([GOOD],), USUAL, says=TEXT),
    Story("dripping", ([GOOD[:40], 0.3, GOOD[40:200], 0.3, GOOD[200:300], 0.3, GOOD[300:]],), USUAL, says=TEXT),
    Story("zero", ([answered(usage(0, 0))],), NOTHING),
    Story("uncounted", ([answered(None)],), SAID, True),
    Story("parts", ([answered(MANY)],), PARTS),
    Story("reset-before-head", ([HANG_UP], [GOOD]), USUAL),
    Story("closed-before-head", ([0.1], [GOOD]), USUAL),
    Story("closed-in-head", ([GOOD[:30]], [GOOD]), USUAL),
    Story("closed-in-body", ([GOOD[:-10]], [GOOD]), USUAL),
    Story("closed-in-body-alone", ([GOOD[:-10]],), status=502),
    Story("silent", ([9.0, GOOD], [GOOD]), USUAL),
    Story("silent-alone", ([9.0, GOOD],), status=504),
    Story("silent-body-alone", ([GOOD[:-10], 9.0, GOOD[-10:]],), status=504),
    Story("garbage", ([whole(b'{"choices": [{')], [GOOD]), USUAL),
    Story("garbage-alone", ([whole(b"\xff\x00 nonsense")],), status=502),
    Story("other-shape-alone", ([whole([1, 2])],), status=502),
    Story("html-alone", ([whole(HTML, kind="text/html")],), status=502),
    Story("empty-alone", ([whole(b"")],), status=502),
    Story("error-in-200-alone", ([whole({"error": {"message": "no", "code": "server_is_overloaded"}})],), status=503),
    Story("redirect-alone", ([whole(b"", 302, location="/elsewhere")],), status=502),
    Story("oversized-alone", ([head(content_length=str(66 << 20)), *[b" " * (1 << 20)] * 66],), status=502),
]
STREAMED = [
    Story("good", ([GOOD_STREAM],), USUAL, says="[DONE]"),
    Story("not-asked-to-count", ([GOOD_STREAM],), USUAL, says="[DONE]", counted=False),
    Story("dripping", ([STREAM, *DRIP, STOP + COUNTED + DONE + END],), USUAL, says="[DONE]"),
    Story("in-bytes", ([rechunked(GOOD_STREAM, 1) + END],), USUAL, says="[DONE]"),
    Story("counted-twice", ([streamed(STOP, LESS, COUNTED, DONE, END)],), USUAL, says="[DONE]"),
    Story("counted-all-along", ([streamed(LESS, STOP, LESS), 0.1, COUNTED + DONE + END],), USUAL, says="[DONE]"),
    Story("uncounted", ([streamed(STOP, DONE, END)],), SAID, True, says="[DONE]"),
    Story("zero", ([streamed(STOP, ZERO, DONE, END)],), NOTHING, says="[DONE]"),
    Story("parts", ([streamed(STOP, counting(MANY), DONE, END)],), PARTS, says="[DONE]"),
    Story("ends-without-its-mark", ([streamed(STOP, COUNTED, END)],), USUAL),
    Story("reset-before-head", ([HANG_UP], [GOOD_STREAM]), USUAL, says="[DONE]"),
    Story("closed-before-head", ([0.1], [GOOD_STREAM]), USUAL, says="[DONE]"),
    Story("closed-after-head", ([STREAM], [GOOD_STREAM]), USUAL, says="[DONE]"),
    Story("ended-after-head", ([STREAM + END], [GOOD_STREAM]), USUAL, says="[DONE]"),
    Story("closed-after-head-alone", ([STREAM],), status=502),
    Story("silent-before-head", ([9.0], [GOOD_STREAM]), USUAL, says="[DONE]"),
    Story("silent-after-head", ([STREAM, 9.0], [GOOD_STREAM]), USUAL, says="[DONE]"),
    Story("silent-before-head-alone", ([9.0],), status=504),
    Story("closed-midway", ([STREAM + FIRST, 0.1], [GOOD_STREAM]), HALF, True, says=BROKE_OFF, asked=1),
    Story("reset-midway", ([STREAM + FIRST, 0.1, HANG_UP], [GOOD_STREAM]), HALF, True, says=BROKE_OFF, asked=1),
    Story("silent-midway", ([STREAM + FIRST, 9.0], [GOOD_STREAM]), HALF, True, says=SILENT, asked=1),
    Story("fails-midway", ([STREAM + FIRST, 0.1, FAILS], [GOOD_STREAM]), HALF, True, says=BUSY, asked=1),
    Story(
        "all-at-once-and-reset",
        ([rechunked(streamed(STOP, COUNTED), 10_000), 0.2, HANG_UP], [streamed(STOP, DONE, END)]),
        SAID,
        True,
        says="[DONE]",
    ),
    Story("fails-at-once", ([STREAM + FAILS], [GOOD_STREAM]), USUAL, says="[DONE]"),
    Story("closed-after-the-count", ([streamed(STOP, COUNTED), 0.1],), USUAL, says=BROKE_OFF),
    Story("html-alone", ([head(kind="text/html") + HTML],), status=502),
    Story("garbage-alone", ([STREAM + event({"hello": "there"}) + END],), status=502),
    Story("redirect-alone", ([whole(b"", 307, location="/elsewhere")],), status=502),
    Story("oversized-alone", ([STREAM + part(b"data: "), *[part(b"a" * (1 << 20))] * 66],), status=502),
]
STATUSES = {400: 400, 401: 503, 402: 503, 403: 503, 404: 404, 429: 503, 500: 502, 503: 503, 529: 503}
"""What an upstream says, and what a client is told when nobody else can answer."""
OWN_WORDS = {401: "needs its operator", 402: "needs its operator", 403: "needs its operator", 404: "no such model"}
"""What a vendor says of the operator's credential, or of its own models' names, is nothing for clients."""


def refusals(good: bytes) -> Iterator[Story]:
    for status, told in STATUSES.items():
        refusal = [whole({"error": {"message": f"scripted {status}"}}, status, retry_after="7")]
        if status == 400:
            yield Story(f"{status}", (refusal, [good]), status=400, says="scripted 400", asked=1)
        else:
            yield Story(f"{status}", (refusal, [good]), USUAL)
        words = OWN_WORDS.get(status, f"scripted {status}")
        yield Story(f"{status}-alone", (refusal,), status=told, says=words)
        yield Story(f"{status}-page-alone", ([whole(HTML, status, kind="text/html")],), status=told)


CLAUDE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted"}
HEARD = {"input_tokens": 10, "cache_read_input_tokens": 6}
CLAUDES = {"input_token": 10, "cached_token": 6, "output_token": 20}
CLAUDE_BEGINS = STREAM + event(
    {"type": "message_start", "message": {**CLAUDE, "content": [], "usage": {**HEARD, "output_tokens": 1}}}
)
CLAUDE_BEGINS += event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
CLAUDE_BEGINS += event(
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "A weir, at dusk: "}}
)
CLAUDE_COUNTS = event(
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {**HEARD, "output_tokens": 20}}
)
CLAUDE_ENDS = event({"type": "content_block_stop", "index": 0}) + CLAUDE_COUNTS + event({"type": "message_stop"}) + END
CLAUDE_WHOLE = whole(
    {
        **CLAUDE,
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "usage": {**HEARD, "output_tokens": 20},
    }
)
CLAUDE_FAILS = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
CUT = {"input_token": 10, "cached_token": 6, "output_token": 5}
"""The vendor had counted one token of what it said."""
CLAUDE_REFUSES = whole({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529)

TRANSLATED = [
    Story("whole", ([CLAUDE_WHOLE],), CLAUDES, says=TEXT),
    Story("whole-elsewhere", ([CLAUDE_REFUSES], [GOOD]), USUAL, says=TEXT, vendors=("anthropic", "openai")),
    Story("whole-from-elsewhere", ([HANG_UP], [CLAUDE_WHOLE]), CLAUDES, says=TEXT, vendors=("openai", "anthropic")),
    Story("stream", ([CLAUDE_BEGINS, 0.1, CLAUDE_ENDS],), CLAUDES, stream=True, says="[DONE]"),
    Story("stream-closed-midway", ([CLAUDE_BEGINS, 0.1],), CUT, True, stream=True, says=BROKE_OFF),
    Story("stream-fails-midway", ([CLAUDE_BEGINS, 0.1, CLAUDE_FAILS],), CUT, True, stream=True, says=BUSY),
]

STORIES = [replace(story, name=f"whole-{story}") for story in (*WHOLE, *refusals(GOOD))]
STORIES += [replace(story, name=f"stream-{story}", stream=True) for story in (*STREAMED, *refusals(GOOD_STREAM))]
STORIES += [
    replace(story, name=f"claude-{story}", vendors=("anthropic",) if len(story.scripts) == 1 else story.vendors)
    for story in TRANSLATED
]


# ── the stage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


ANY = ("m", "absurd", "below-zero")
"""Models of single tests."""


def build(folder: Path, channels: Iterable[Mapping[str, Any]], models: Iterable[str], usd: float = 1000.0) -> Stage:
    """A stage whose models have `PRICE`, all set in one write."""
    stage = Stage.build(folder, channels, [], usd)
    lines = json.dumps([{"unit": unit, "micros": micros} for unit, micros in PRICE.items()])

    async def price() -> None:
        async with penstock.opened(load(data=folder / "data")) as ctx:
            await ctx.store.write(*(accounts.price(model, lines, "operator") for model in models))

    asyncio.run(price())
    return stage


def channel(
    upstream: Chatting, account: str, *models: str, priority: int = 0, vendor: str = "openai"
) -> dict[str, Any]:
    base_url = upstream.base_url(account) + ("/v1" if vendor == "openai" else "")
    return {"name": account, "provider": vendor, "base_url": base_url, "models": models, "priority": priority}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, chatting: Chatting) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("calls")
    channels = [channel(chatting, "any", "leaving-*", *ANY)]
    for story in STORIES:
        for place, script in enumerate(story.scripts):
            chatting.script(f"{story}-{place}", str(story), *script)
            vendor = story.vendors[place]
            channels.append(channel(chatting, f"{story}-{place}", str(story), priority=-place, vendor=vendor))
    stage = build(folder / "stage", channels, [*ANY, *[f"leaving-{case}" for case in LEAVING], *map(str, STORIES)])
    made = stage.gateway(
        folder / "live", first_byte_timeout_s=f"{FIRST_BYTE_S}", idle_timeout_s=f"{IDLE_S}", call_timeout_s=f"{CALL_S}"
    )
    made.prefix = "/v1"
    with made.live:
        yield made
    assert made.errors_in_the_books() == []
    assert made.balance() == TOPUP - made.rows("SELECT coalesce(sum(amount), 0) FROM charges")[0][0]


def request(model: str, tag: str = "", **more: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": tag or model}], **more}).encode()


def ask(gateway: Gateway, model: str, tag: str = "", **more: Any) -> Answer:
    return gateway.ask("POST", "/chat/completions", request(model, tag, **more))


def charges(gateway: Gateway, model: str, of_calls: int = 1) -> list[tuple[dict[str, int], int, bool]]:
    """(units, amount, estimated) of every charge of a model, once so many of its calls are in the request log."""
    ended = "SELECT count(*) FROM calls WHERE model = ?"
    until(lambda: gateway.rows(ended, model)[0][0] >= of_calls or None, 10, f"{of_calls} calls of {model}")
    rows = gateway.rows("SELECT units, amount, estimated, uncovered FROM charges WHERE model = ? ORDER BY id", model)
    assert not any(row[3] for row in rows)
    return [(json.loads(units), amount, bool(estimated)) for units, amount, estimated, _ in rows]


def charge(units: Units, body: bytes, *, estimated: bool) -> tuple[Units, int, bool]:
    """What a call of these units must be charged."""
    known = {unit: math.ceil(len(body) / 4) if amount == GUESSED else amount for unit, amount in units.items()}
    return known, sum(PRICE[unit] * amount for unit, amount in known.items()), estimated


# ── what upstreams do ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, gateway: Gateway, chatting: Chatting) -> Iterator[dict[str, Future[None]]]:
    """All chosen stories, some at a time: they wait more than they work."""
    chosen = [
        item.callspec.params["story"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and "story" in item.fixturenames
    ]
    with ThreadPoolExecutor(12) as pool:
        yield {str(story): pool.submit(tell, story, gateway, chatting) for story in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_call_is_charged_what_came_of_it(story: Story, told: dict[str, Future[None]]) -> None:
    told[str(story)].result()


def tell(story: Story, gateway: Gateway, chatting: Chatting) -> None:
    more: dict[str, Any] = {"stream": True} if story.stream else {}
    if story.stream and story.counted:
        more["stream_options"] = {"include_usage": True}
    body = request(str(story), **more)
    answer = gateway.ask("POST", "/chat/completions", body)
    assert answer.status == story.status, answer.raw
    assert story.says in answer.raw.decode(), answer.raw
    if story.status != 200:
        is_refusal(answer)
        assert "429-alone" not in str(story) or answer.headers["retry-after"] == "7"
    elif story.stream:
        is_stream(answer, has_error=story.says.startswith('"code"'))
        assert story.counted or b'"usage"' not in answer.raw
    asked = story.asked or len(story.scripts)
    assert chatting.at(str(story)) == [f"{story}-{place}" for place in range(asked)]
    expected = [] if story.units is None else [charge(story.units, body, estimated=story.estimated)]
    assert charges(gateway, str(story)) == expected


def is_refusal(answer: Answer) -> None:
    """In OpenAI's shape, whatever the upstream wrote."""
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}
    assert "<html" not in answer.json["error"]["message"]


def is_stream(answer: Answer, *, has_error: bool) -> None:
    """Whole events. An error among them is the last one, in the shape that OpenAI's client raises as one."""
    events = [text.removeprefix("data: ") for text in answer.raw.decode().split("\n\n") if text]
    assert events.count("[DONE]") <= 1
    assert not has_error or "[DONE]" not in events
    values = [json.loads(text) for text in events if text != "[DONE]"]
    errors = [value["error"] for value in values if "error" in value]
    assert len(errors) == has_error
    if errors:
        assert "error" in values[-1]
        assert set(errors[0]) == {"message", "type", "param", "code"}


# ── what clients do ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Leaving:
    """A client who leaves: what upstream does, what the client has read by then, and the charge. `closes`: the gateway
    closes its connection upstream."""

    name: str
    script: Script
    after: bytes
    units: Units
    estimated: bool
    stream: bool = True
    closes: bool = True

    def __str__(self) -> str:
        return self.name


LEAVING = [
    Leaving("before-a-whole-answer", [1.0, GOOD], b"", USUAL, False, stream=False, closes=False),
    Leaving("before-the-head", [0.8, STREAM + FIRST, 8.0], b"", NONE_SAID, True),
    Leaving("after-the-head", [STREAM, 0.8, FIRST, 8.0], b"", NONE_SAID, True),
    Leaving("midway", [STREAM + FIRST, 8.0], b"weir", HALF, True),
    Leaving("after-the-count", [streamed(STOP, COUNTED), 8.0], b"dusk", USUAL, False),
]


@pytest.mark.parametrize("case", LEAVING, ids=str)
def test_a_client_who_leaves_pays_for_what_was_made(case: Leaving, gateway: Gateway, chatting: Chatting) -> None:
    model = f"leaving-{case}"
    chatting.script("any", model, *case.script)
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if case.stream else {}
    body = request(model, stream=case.stream, **more)
    left_at = leave(gateway, body, case.after)
    assert charges(gateway, model) == [charge(case.units, body, estimated=case.estimated)]
    if case.closes:
        gone_at = until(lambda: chatting.left.get(model), 3, "the end of the upstream's connection")
        assert gone_at - left_at < 1.0
    else:
        assert model not in chatting.left


def leave(gateway: Gateway, body: bytes, after: bytes, wait_s: float = 0.3) -> float:
    """Send this call, read to this text, wait, and go. When that was."""
    with socket.create_connection(("127.0.0.1", gateway.live.port), timeout=10) as connection:
        lines = "POST /v1/chat/completions HTTP/1.1", "host: x", f"authorization: Bearer {gateway.key}"
        connection.sendall("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)
        heard = b""
        while after not in heard:
            piece = connection.recv(65536)
            assert piece, heard
            heard += piece
        time.sleep(wait_s)
    return time.monotonic()


def test_a_key_that_is_revoked_finishes_its_stream_and_begins_no_other(gateway: Gateway, chatting: Chatting) -> None:
    made = gateway.live.keys("short-lived", mode="live")
    chatting.script("any", "revoked", STREAM + FIRST, 1.5, LAST + STOP + COUNTED + DONE + END)
    theirs = as_key(gateway, made["key"])
    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(ask, theirs, "m", "revoked", stream=True)
        until(lambda: chatting.at("revoked") or None, 5, "the stream")
        gateway.live.cli("keys", "revoke", made["id"])
        assert ask(theirs, "m").status == 401
        assert streaming.result().raw.decode().endswith("data: [DONE]\n\n")
    paid = "SELECT amount FROM charges WHERE key = ?"
    assert gateway.rows(paid, made["id"]) == [charge(USUAL, b"", estimated=False)[1:2]]


def test_a_key_has_so_many_calls_at_once(gateway: Gateway, chatting: Chatting) -> None:
    made = gateway.live.keys("narrow", mode="live", options=("--concurrency", "2"))
    theirs = as_key(gateway, made["key"])
    for stream, script in ((False, [0.5, GOOD]), (True, [STREAM + FIRST, 0.5, LAST + STOP + COUNTED + DONE + END])):
        chatting.script("any", f"narrow-{stream}", *script)
        answers = side_by_side(partial(ask, theirs, "m", stream=stream), [f"narrow-{stream}"] * 6)
        assert Counter(answer.status for answer in answers) == {200: 2, 429: 4}
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.json["error"]["code"] == "rate_limit_exceeded"
        assert refused.headers["retry-after"]


def as_key(gateway: Gateway, key: str, prefix: str = "/v1") -> Gateway:
    return Gateway(gateway.live, key, prefix=prefix)


def test_who_leaves_gives_the_place_free(gateway: Gateway, chatting: Chatting) -> None:
    theirs = as_key(gateway, gateway.live.keys("single", mode="live", options=("--concurrency", "1"))["key"])
    chatting.script("any", "single", STREAM + FIRST, 8.0)
    for after, wait_s in ((b"weir", 0.0), (b"weir", 0.0), (b"", 0.05)):
        leave(theirs, request("m", "single", stream=True), after, wait_s)
        until(lambda: ask(theirs, "m").status == 200 or None, 5, "a free place")


# ── figures that make no sense ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tokens", [10**30, 1e300])
def test_a_vendor_that_counts_nonsense_gets_no_more_than_was_held(
    gateway: Gateway, chatting: Chatting, tokens: float, *, stream: bool
) -> None:
    tag, counted = f"absurd-{tokens}-{stream}", usage(PROMPT, 1) | {"completion_tokens": tokens}
    chatting.script("any", tag, streamed(STOP, counting(counted), DONE, END) if stream else answered(counted))
    body = request("absurd", tag, stream=stream, max_tokens=100)
    assert gateway.ask("POST", "/chat/completions", body).status == 200
    hold = len(body) * PRICE["input_token"] + 100 * PRICE["reasoning_token"]
    paid = gateway.rows("SELECT amount, uncovered FROM charges WHERE model = 'absurd' ORDER BY id DESC LIMIT 1")
    assert paid[0][0] == hold
    assert paid[0][1] > 0


def test_a_bound_below_zero_makes_no_money(gateway: Gateway, chatting: Chatting) -> None:
    chatting.script("any", "below-zero", GOOD)
    said = {"contents": [{"role": "user", "parts": [{"text": "below-zero"}]}]}
    bound = {"maxOutputTokens": -1_000_000, "candidateCount": -5}
    theirs = as_key(gateway, str(gateway.key), prefix="/v1beta/models")
    theirs.ask("POST", "/below-zero:generateContent", said | {"generationConfig": bound})
    assert gateway.rows("SELECT count(*) FROM charges WHERE amount < 0") == [(0,)]
    assert charges(gateway, "below-zero") in ([], [charge(USUAL, b"", estimated=False)])


def test_a_price_by_the_run(gateway: Gateway, chatting: Chatting) -> None:
    gateway.live.cli("prices", "set", "leaving-run", "--run", "0.005", "--line", "output_token=0.000002")
    assert ask(gateway, "leaving-run").status == 200
    assert charges(gateway, "leaving-run") == [(USUAL, 5000 + 2 * COMPLETION, False)]


# ── money for so much and no more ─────────────────────────────────────────────────────────────────────────────────────

AFFORDED, ASKED, TOKENS, MICROS = 100, 200, 100, 10
"""So many of so many calls can be paid for; each holds and costs `TOKENS` at `MICROS`."""
EACH = TOKENS * MICROS


@pytest.fixture(scope="module")
def money(tmp_path_factory: pytest.TempPathFactory, chatting: Chatting, upstream: Counting) -> Stage:
    """As an operator sets it up, through the command line."""
    chatting.script("money", "", 0.5, whole(completion(TEXT, usage(PROMPT, TOKENS))))
    upstream.control("mixed", duration_s=0.2)
    pictures = {"name": "pictures", "base_url": upstream.base_url("mixed"), "models": ["p/*"]}
    folder = tmp_path_factory.mktemp("money")
    stage = Stage.build(folder, [channel(chatting, "money", "c"), pictures], [], usd=AFFORDED / 2 * EACH / 1e6)
    live = Live(stage.folder)
    live.cli("accounts", "topup", "default", dollars(AFFORDED // 2 * EACH))
    live.cli("prices", "set", "c", "--line", f"output_token={dollars(MICROS)}")
    live.cli("prices", "set", "p/m", "--run", dollars(EACH))
    return stage


def test_200_parallel_calls_on_money_for_100(tmp_path: Path, money: Stage, chatting: Chatting) -> None:
    made = money.gateway(tmp_path)
    made.prefix = "/v1"
    with made.live:
        answers = side_by_side(lambda n: bounded(made, f"money-{n}"), range(ASKED), threads=ASKED)
        assert Counter(answer.status for answer in answers) == {200: AFFORDED, 403: ASKED - AFFORDED}
        refused = next(answer for answer in answers if answer.status == 403)
        assert refused.json["error"]["code"] == "insufficient_user_quota"
        assert made.rows("SELECT count(*), sum(amount) FROM charges") == [(AFFORDED, AFFORDED * EACH)]
        made.books_balance()
    assert sum(count for tag, count in chatting.counts().items() if tag.startswith("money-")) == AFFORDED
    assert made.balance() == 0
    assert made.errors_in_the_books() == []


def test_calls_and_tasks_together_never_spend_more_than_there_is(tmp_path: Path, money: Stage) -> None:
    pictures = money.gateway(tmp_path)
    made = as_key(pictures, str(pictures.key))

    def one(n: int) -> tuple[str, int]:
        if n % 2:
            return "task", pictures.create("p/m").status
        return "call", bounded(made, f"mixed-{n}").status

    with made.live:
        answers = Counter(side_by_side(one, range(ASKED), threads=ASKED))
        assert set(answers) <= {("task", 201), ("task", 402), ("call", 200), ("call", 403)}
        made.books_balance()
        unfinished = "SELECT 1 FROM tasks WHERE charge IS NULL"
        until(lambda: made.rows(unfinished) == [] or None, 20, "the end of all tasks")
    calls, tasks = answers["call", 200], answers["task", 201]
    assert made.rows("SELECT count(*), coalesce(sum(amount), 0) FROM charges") == [(calls, calls * EACH)]
    assert made.rows("SELECT count(*), coalesce(sum(charge), 0) FROM tasks") == [(tasks, tasks * EACH)]
    assert AFFORDED * 0.9 <= calls + tasks <= AFFORDED
    assert made.balance() == (AFFORDED - calls - tasks) * EACH
    assert made.errors_in_the_books() == []


def bounded(gateway: Gateway, tag: str) -> Answer:
    """A call that holds what it costs."""
    return ask(gateway, "c", tag, max_tokens=TOKENS)


def dollars(micros: int) -> str:
    return f"{micros / 1e6:.6f}"
