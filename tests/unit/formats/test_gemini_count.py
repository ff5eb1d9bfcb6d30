"""Gemini's countTokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.canonical.chat import ChatRequest, Message, Text
from penstock.canonical.events import Counted, Finish, Finished, Started
from penstock.canonical.usage import Unit
from penstock.errors import InvalidInput
from penstock.formats._base import Asked
from penstock.formats.gemini_count import GeminiCount

REPLY = json.loads((Path(__file__).parents[2] / "replies" / "gemini" / "count.json").read_text())["body"]
FORMAT = GeminiCount()
HELLO = b'{"contents":[{"parts":[{"text":"Hello"}]}]}'
REQUEST = ChatRequest(messages=(Message("user", (Text("Hello"),)),))


def test_a_request_stands_bare_or_whole() -> None:
    assert FORMAT.read_request(HELLO) == REQUEST
    assert FORMAT.read_request(b'{"generateContentRequest":{"model":"models/m",%b}' % HELLO[1:]) == REQUEST
    assert FORMAT.read_request(b'{"generate_content_request":%b}' % HELLO) == REQUEST
    with pytest.raises(InvalidInput):
        FORMAT.read_request(b'{"generateContentRequest":[]}')


def test_what_is_written_is_read_back_and_names_the_model() -> None:
    made = FORMAT.write_request(REQUEST, "m")
    assert json.loads(made.body)["generateContentRequest"]["model"] == "models/m"
    assert FORMAT.read_request(made.body) == REQUEST


def test_the_models_name_is_changed_where_it_stands() -> None:
    assert FORMAT.renamed(HELLO, "b", stream=False) == HELLO
    made = json.loads(FORMAT.renamed(b'{"generateContentRequest":{"model":"models/a"}}', "b", stream=False))
    assert made == {"generateContentRequest": {"model": "models/b"}}


def test_counts_are_read_and_written() -> None:
    events = FORMAT.read_reply(json.dumps(REPLY).encode())
    counted = Counted({Unit.INPUT_TOKEN: 20, Unit.CACHED_TOKEN: 11})
    assert events == [Started(), counted, Finished(Finish.STOP)]
    assert json.loads(FORMAT.write_reply(events, Asked("m", "r", 0))) == REPLY
