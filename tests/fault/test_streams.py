"""Streams that are silent, or whose client left: signs of life in each dialect's own way, and vendors that bill on are
read on."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

import pytest

from tests.fault.stage import Gateway
from tests.fault.test_calls import (
    COUNTED,
    DONE,
    END,
    FIRST,
    LAST,
    STOP,
    STREAM,
    USUAL,
    build,
    channel,
    charge,
    charges,
    leave,
    request,
)
from tests.live import Live
from tests.rigs.chatting import Chatting

HANGS = "[[hang]] Tell me of weirs."
MESSAGES = [{"role": "user", "content": HANGS}]
SILENT = {
    "openai": ("/v1/chat/completions", {"model": "gpt-4o", "messages": MESSAGES, "stream": True}, b": ping\n\n"),
    "responses": ("/v1/responses", {"model": "gpt-4o", "input": HANGS, "stream": True}, b": ping\n\n"),
    "anthropic": (
        "/v1/messages",
        {"model": "claude-sonnet-4-5", "messages": MESSAGES, "max_tokens": 500, "stream": True},
        b"event: ping\n",
    ),
    "gemini": (
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        {"contents": [{"parts": [{"text": HANGS}]}]},
        b"data: {}\n\n",
    ),
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("silent"), environment={"PENSTOCK_BEAT_S": "1"}) as running:
        yield running


@pytest.mark.parametrize("dialect", SILENT)
def test_a_silent_stream_shows_signs_of_life(live: Live, dialect: str) -> None:
    path, body, beat = SILENT[dialect]
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {live.test_key}"})
    reply = connection.getresponse()
    assert reply.status == 200
    heard, until = b"", time.monotonic() + 12
    while heard.count(beat) < 2 and time.monotonic() < until:
        heard += reply.read1(65536)
    connection.close()
    assert heard.count(beat) >= 2, heard[-300:]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, chatting: Chatting) -> Iterator[Gateway]:
    folder, models = tmp_path_factory.mktemp("draining"), ["read-on", "too-long"]
    channels = [channel(chatting, "groq", *models, vendor="groq")]
    made = build(folder / "stage", channels, models).gateway(folder / "live", drain_s="1.5")
    made.prefix = "/v1"
    with made.live:
        yield made
    assert made.errors_in_the_books() == []


REST = LAST + STOP + COUNTED + DONE + END


def test_a_vendor_that_bills_on_is_read_on_to_its_count(gateway: Gateway, chatting: Chatting) -> None:
    chatting.script("groq", "read-on", STREAM + FIRST, 1.0, REST)
    body = request("read-on", stream=True)
    leave(gateway, body, b"weir")
    assert charges(gateway, "read-on") == [charge(USUAL, body, estimated=False)]


def test_but_not_for_ever(gateway: Gateway, chatting: Chatting) -> None:
    chatting.script("groq", "too-long", STREAM + FIRST, 8.0, REST)
    leave(gateway, request("too-long", stream=True), b"weir")
    ((units, _, estimated),) = charges(gateway, "too-long")
    assert estimated
    assert units["output_token"] < USUAL["output_token"]
