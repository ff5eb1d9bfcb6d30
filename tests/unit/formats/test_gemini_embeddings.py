"""Gemini's embeddings: many texts, and one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.canonical.chat import EmbedRequest
from penstock.canonical.events import Counted, Embedded, Finish, Finished, Started
from penstock.canonical.usage import Unit
from penstock.errors import CallerError, InvalidInput, Unsupported, UpstreamError
from penstock.formats._base import Asked
from penstock.formats.gemini_embeddings import GeminiEmbeddings, GeminiEmbedOne

REPLIES = Path(__file__).parents[2] / "replies" / "gemini"
MANY, ONE = GeminiEmbeddings(), GeminiEmbedOne()
ASKED = Asked("m", "r", 0)


def body(name: str) -> bytes:
    return json.dumps(json.loads((REPLIES / f"{name}.json").read_text())["body"]).encode()


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_requests_are_read_in_both_spellings() -> None:
    request = MANY.read_request(
        encoded(
            {
                "requests": [
                    {
                        "model": "models/m",
                        "content": {"parts": [{"text": "a"}, {"text": "b"}]},
                        "taskType": "CLUSTERING",
                    },
                    {"content": {"parts": {"text": "c"}, "role": "user"}, "task_type": "CLUSTERING", "title": "t"},
                ]
            }
        )
    )
    assert request == EmbedRequest(inputs=("a\nb", "c"), task="CLUSTERING", left_out=("requests.title",))
    assert ONE.read_request(b'{"content":{"parts":[{"text":"a"}]},"output_dimensionality":8}') == EmbedRequest(
        inputs=("a",), dimensions=8
    )


def test_what_is_written_is_read_back() -> None:
    request = EmbedRequest(inputs=("a", "b"), dimensions=8, task="CLUSTERING")
    made = MANY.write_request(request, "m")
    assert MANY.read_request(made.body) == request
    assert {one["model"] for one in json.loads(made.body)["requests"]} == {"models/m"}
    one = EmbedRequest(inputs=("a",))
    assert ONE.read_request(ONE.write_request(one, "m").body) == one
    assert MANY.write_request(EmbedRequest(inputs=("a",), user="u"), "m").dropped == ("user",)


def test_the_models_name_is_changed_wherever_it_stands() -> None:
    made = json.loads(
        MANY.renamed(encoded({"requests": [{"model": "models/a", "content": {}}, {}]}), "b", stream=False)
    )
    assert made == {"requests": [{"model": "models/b", "content": {}}, {"model": "models/b"}]}
    assert ONE.renamed(b'{"content":{}}', "b", stream=False) == b'{"content":{}}'
    assert json.loads(ONE.renamed(b'{"model":"models/a"}', "b", stream=False)) == {"model": "models/b"}


@pytest.mark.parametrize(
    "asked",
    [
        {"requests": []},
        {"requests": {}},
        {"requests": ["a"]},
        {"requests": [{"content": {"parts": []}}]},
        {"requests": [{"content": {"parts": [{"text": "a"}]}, "outputDimensionality": "many"}]},
    ],
)
def test_what_google_would_refuse_is_refused(asked: Any) -> None:
    with pytest.raises(InvalidInput):
        MANY.read_request(encoded(asked))


def test_what_can_not_be_said_is_refused() -> None:
    picture = {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aa"}}]}}
    text = {"content": {"parts": [{"text": "a"}]}}
    for asked in ([picture], [text, {**text, "outputDimensionality": 8}]):
        with pytest.raises(Unsupported):
            MANY.read_request(encoded({"requests": asked}))
    with pytest.raises(Unsupported):
        MANY.write_request(EmbedRequest(inputs=((1, 2),)), "m")
    with pytest.raises(Unsupported):
        ONE.write_request(EmbedRequest(inputs=("a", "b")), "m")
    with pytest.raises(CallerError):
        MANY.peek(b"[")


def test_answers_are_read_and_written() -> None:
    assert MANY.read_reply(body("embeddings")) == [
        Started(),
        Embedded([[0.5, -0.25], [1.0, 0.0]]),
        Finished(Finish.STOP),
    ]
    events = ONE.read_reply(body("embedding"))
    assert events[1:3] == [Embedded([[0.5, -0.25]]), Counted({Unit.INPUT_TOKEN: 3})]
    assert json.loads(ONE.write_reply(events, ASKED)) == json.loads(body("embedding"))
    assert json.loads(MANY.write_reply(MANY.read_reply(body("embeddings")), ASKED)) == json.loads(body("embeddings"))
    assert ONE.skim_reply(body("embedding")) == [Counted({Unit.INPUT_TOKEN: 3}), Finished(Finish.STOP)]
    with pytest.raises(UpstreamError):
        MANY.read_reply(b"[]")
