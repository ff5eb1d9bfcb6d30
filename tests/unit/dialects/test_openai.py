"""OpenAI's routes, keys, lists of models, and error bodies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock import errors as e
from penstock.canonical.commands import Call, List, Show
from penstock.canonical.results import Answered, LanguageModel
from penstock.dialects._base import Incoming
from penstock.dialects.openai import OpenAI
from tests.unit.dialects.tasks import LINKS

API = OpenAI()
ROUTES = {f"{route.method} {route.path}": route for route in API.routes()}
MODEL = LanguageModel("acme/glow-1", "acme", "Glow", 1715367049)


def incoming(body: Any = None, **headers: str) -> Incoming:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming("POST", "/v1/chat/completions", headers, body=raw, links=LINKS)


def read(route: str, body: Any = None, path: dict[str, str] | None = None, **headers: str) -> Any:
    http = incoming(body, **headers)
    http.path = path or {}
    return ROUTES[route].read(API, http)


def test_a_chat_is_a_call() -> None:
    body = {"model": "m", "messages": [], "stream": True, "max_tokens": 7, "n": 2}
    call = read("POST /chat/completions", body, **{"openai-beta": "x", "authorization": "Bearer sk"})
    assert isinstance(call, Call)
    assert (call.dialect, call.format, call.model, call.stream) == ("openai", "openai_chat", "m", True)
    assert (call.most_tokens, call.choices, call.headers) == (7, 2, {"openai-beta": "x"})
    assert call.body == json.dumps(body).encode()


def test_the_other_calls() -> None:
    call = read("POST /embeddings", {"model": "m", "input": "a", "encoding_format": "base64"})
    assert (call.format, call.model, call.options) == ("openai_embeddings", "m", {"base64": True})
    assert read("POST /engines/{model}/embeddings", {"input": "a"}, {"model": "old"}).model == "old"
    assert read("POST /moderations", {"input": "a"}).format == "openai_moderations"


def test_a_call_needs_a_model() -> None:
    with pytest.raises(e.InvalidInput):
        read("POST /chat/completions", {"messages": []})


def test_models() -> None:
    assert read("GET /models") == List("language_models")
    assert read("GET /models/{model*}", path={"model": "acme/glow-1"}) == Show("language_model", "acme/glow-1")
    card = {"id": "acme/glow-1", "object": "model", "created": 1715367049, "owned_by": "acme"}
    listed = ROUTES["GET /models"].write(API, (MODEL,), incoming())
    assert listed.body == {"object": "list", "data": [card]}
    assert ROUTES["GET /models/{model*}"].write(API, MODEL, incoming()).body == card


@pytest.mark.parametrize(
    ("headers", "query", "ours"),
    [
        ({}, "", True),
        ({"x-goog-api-key": "k"}, "", False),
        ({}, "key=k", False),
        ({"anthropic-version": "1"}, "", False),
    ],
)
def test_lists_of_models_are_ours_where_nobody_elses_client_asks(
    headers: dict[str, str], query: str, ours: bool
) -> None:
    assert API.claims(Incoming("GET", "/v1/models", headers, query)) is ours
    assert API.claims(Incoming("POST", "/v1/chat/completions", headers, query))


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer sk-1"}, "sk-1"),
        ({"authorization": "bearer  sk-1 "}, "sk-1"),
        ({"authorization": "sk-1"}, "sk-1"),
        ({"authorization": "Basic sk-1"}, None),
        ({"authorization": "Bearer"}, None),
        ({"api-key": "sk-1"}, "sk-1"),
        ({}, None),
    ],
)
def test_keys(headers: dict[str, str], key: str | None) -> None:
    assert API.credential(Incoming("GET", "/v1/models", headers)) == key


@pytest.mark.parametrize(
    ("exc", "status", "type", "code", "param"),
    [
        (e.CallerError("x"), 400, "invalid_request_error", "invalid_request", None),
        (
            e.InvalidInput("n: x", (e.InvalidField("n", "type", "x"),)),
            400,
            "invalid_request_error",
            "invalid_request",
            "n",
        ),
        (e.Unauthenticated(), 401, "authentication_error", "invalid_api_key", None),
        (e.QuotaSpent(), 403, "insufficient_quota", "insufficient_user_quota", None),
        (e.UnknownModel(), 404, "invalid_request_error", "model_not_found", "model"),
        (e.ContextTooLong(), 400, "invalid_request_error", "context_length_exceeded", "messages"),
        (e.ContentRefused(), 400, "invalid_request_error", "content_policy_violation", None),
        (e.TooLarge(), 413, "invalid_request_error", "request_too_large", None),
        (e.LimitReached(), 429, "rate_limit_error", "rate_limit_exceeded", None),
        (e.UpstreamError(), 502, "upstream_error", "bad_response", None),
        (e.UpstreamBusy(), 503, "server_error", "overloaded", None),
        (e.UpstreamTimeout(), 504, "server_error", "upstream_timeout", None),
        (e.NoChannel(), 503, "server_error", "no_available_channel", None),
        (e.GatewayError(), 500, "server_error", "internal_error", None),
    ],
)
def test_errors(exc: e.PenstockError, status: int, type: str, code: str, param: str | None) -> None:
    out = API.error(exc)
    assert out.status == status
    assert out.body == {"error": {"message": str(exc), "type": type, "param": param, "code": code}}


def test_a_stream_names_what_was_dropped_and_says_how_it_broke() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"data: {}\n\n"

    answered = Answered(stream=pieces(), content_type="text/event-stream", dropped=("top_k",))
    out = ROUTES["POST /chat/completions"].write(API, answered, incoming())
    assert (out.content_type, out.headers["x-penstock-dropped"]) == ("text/event-stream", "top_k")
    broken = API.broken(e.UpstreamError("It broke."))
    assert json.loads(broken.removeprefix(b"data: "))["error"]["message"] == "It broke."
    assert broken.endswith(b"\n\n")
