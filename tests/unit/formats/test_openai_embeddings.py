"""Embeddings, both ways; moderations, which are handed on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.canonical.chat import EmbedRequest
from penstock.canonical.events import Counted, Embedded, Finish, Finished
from penstock.canonical.usage import Unit
from penstock.errors import CallerError, InvalidInput, Unsupported, UpstreamError
from penstock.formats._base import Asked
from penstock.formats.openai_embeddings import OpenAIEmbeddings
from penstock.formats.openai_moderations import OpenAIModerations
from tests.unit.providers.talks import reply

FORMAT = OpenAIEmbeddings()
MODERATIONS = OpenAIModerations()


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", **fields}).encode()


def recorded(name: str) -> bytes:
    return json.dumps(reply("openai", name)).encode()


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_inputs(given: Any, inputs: tuple[Any, ...]) -> None:
    request = FORMAT.read_request(body(input=given, dimensions=8, user="u", x=1, y=None))
    assert request == EmbedRequest("m", inputs, 8, user="u", left_out=("x",))
    assert FORMAT.read_request(FORMAT.write_request(request, "m").body).inputs == inputs


@pytest.mark.parametrize("given", ["", [], ["a", ""], [[]], ["a", 1], ["a", [1]], {"a": 1}, None, [1.5], [[1], 2]])
def test_inputs_that_no_vendor_takes(given: Any) -> None:
    with pytest.raises(InvalidInput):
        FORMAT.read_request(body(input=given))


def test_a_peek() -> None:
    seen = FORMAT.peek(body(input="a", encoding_format="base64"))
    assert (seen.model, seen.most_tokens, seen.options) == ("m", 0, {"base64": True})
    with pytest.raises(CallerError):
        FORMAT.peek(b"nonsense")


def test_a_written_request() -> None:
    made = FORMAT.write_request(EmbedRequest("m", ("a",), 8, task="search"), "up")
    assert json.loads(made.body) == {"model": "up", "input": ["a"], "encoding_format": "float", "dimensions": 8}
    assert made.dropped == ("task",)


@pytest.mark.parametrize(
    ("name", "vectors"), [("embeddings", [[0.25, 2.0], [0.5, -1.0]]), ("embeddings_base64", [[0.25, 2.0]])]
)
def test_an_answer_in_order_and_in_either_coding(name: str, vectors: list[list[float]]) -> None:
    counted = [Counted({Unit.INPUT_TOKEN: 5}), Finished(Finish.STOP)]
    assert FORMAT.read_reply(recorded(name)) == [Embedded(vectors), *counted]
    assert FORMAT.skim_reply(recorded(name)) == counted


@pytest.mark.parametrize("said", [b"{}", b'{"data":[{"embedding":"AAA"}]}', b'{"data":[{"embedding":"AAAA"}]}', b"<p>"])
def test_an_answer_that_makes_no_sense(said: bytes) -> None:
    with pytest.raises(UpstreamError):
        FORMAT.read_reply(said)


def test_an_answer_is_written_as_it_was_asked_for() -> None:
    events = FORMAT.read_reply(recorded("embeddings"))
    plain = json.loads(FORMAT.write_reply(events, Asked("m", "9", 1)))
    assert [(entry["index"], entry["embedding"]) for entry in plain["data"]] == [(0, [0.25, 2.0]), (1, [0.5, -1.0])]
    assert (plain["model"], plain["usage"]) == ("m", {"prompt_tokens": 5, "total_tokens": 5})
    coded = json.loads(FORMAT.write_reply(events, Asked("m", "9", 1, options={"base64": True})))
    assert coded["data"][0]["embedding"] == "AACAPgAAAEA="


def test_moderations_are_handed_on() -> None:
    assert MODERATIONS.peek(b'{"input":"a"}').model == "omni-moderation-latest"
    assert json.loads(MODERATIONS.renamed(b'{"input":"a"}', "up", stream=False)) == {"input": "a", "model": "up"}
    assert Counted({Unit.RUN: 1, Unit.INPUT_TOKEN: 0}) in MODERATIONS.skim_reply(recorded("moderation"))
    with pytest.raises(InvalidInput):
        MODERATIONS.peek(b"{}")


def test_moderations_are_never_translated() -> None:
    for translate in (
        lambda: MODERATIONS.read_request(b"{}"),
        lambda: MODERATIONS.write_request(None, "m"),
        lambda: MODERATIONS.write_reply([], Asked("m", "9", 1)),
    ):
        with pytest.raises(Unsupported):
            translate()
