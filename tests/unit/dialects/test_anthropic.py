from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock import errors as e
from penstock.canonical.commands import Call, List, Show
from penstock.canonical.results import Answered, LanguageModel
from penstock.dialects._base import Incoming, Outgoing
from penstock.dialects.anthropic import Anthropic
from penstock.wire import sse

API = Anthropic()
MODELS = tuple(LanguageModel(f"m{n}", "acme", f"Model {n}", 1_759_104_000 + n, 200_000, 64_000) for n in range(5))
BODY = b'{"model":"lake-1","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}'


def http(query: str = "", body: bytes = b"", target: str = "/v1/messages", **headers: str) -> Incoming:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Incoming("POST", target, named, query, {"model": "acme/m1"}, body)


def listed(query: str = "", models: tuple[LanguageModel, ...] = MODELS) -> dict[str, Any]:
    return dict(json.loads(API.write_models(models, http(query)).encoded()))


def called(read: Any, incoming: Incoming) -> Call:
    command = read(incoming)
    assert isinstance(command, Call)
    return command


def test_a_call() -> None:
    call = called(API.create, http("beta=true", BODY, anthropic_beta="a,b", anthropic_version="2026-10-21"))
    assert call == Call(
        dialect="anthropic",
        format="anthropic_messages",
        body=BODY,
        model="lake-1",
        stream=True,
        most_tokens=9,
        headers={"anthropic-beta": "a,b", "anthropic-version": "2026-10-21"},
    )
    assert called(API.create, http(body=BODY)).headers == {}


def test_a_count() -> None:
    call = called(API.count, http(body=BODY))
    assert (call.format, call.model, call.stream, call.most_tokens) == ("anthropic_count", "lake-1", False, None)


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"[]", 400), (b'{"messages":[]}', 400), (b'{"model":7}', 400), (b"[" * 9999, 400)]
)
def test_what_is_no_request_is_a_400(body: bytes, status: int) -> None:
    for read in (API.create, API.count):
        with pytest.raises(e.CallerError) as caught:
            read(http(body=body))
        reply = API.error(caught.value)
        assert (reply.status, reply.body["type"], reply.body["error"]["type"]) == (
            status,
            "error",
            "invalid_request_error",
        )


def test_either_header_holds_the_key() -> None:
    assert API.credential(http(x_api_key="sk-1")) == "sk-1"
    assert API.credential(http(authorization="Bearer sk-2")) == "sk-2"
    assert API.credential(http(x_api_key="", authorization="Bearer sk-2")) == "sk-2"
    assert API.credential(http()) is None


@pytest.mark.parametrize(
    ("incoming", "ours"),
    [
        (http(target="/v1/models", anthropic_version="2023-06-01"), True),
        (http(target="/anthropic/v1/models"), True),
        (http(target="/v1/models"), False),
        (http(target="/v1/models", anthropic_version="2023-06-01", x_goog_api_key="k"), False),
        (http("key=k", target="/v1/models", anthropic_version="2023-06-01"), False),
    ],
)
def test_whose_list_of_models(incoming: Incoming, ours: bool) -> None:
    assert API.claims(incoming) is ours


@pytest.mark.parametrize("base", ["", "/v1", "/anthropic", "/anthropic/v1"])
def test_base_urls_with_and_without_a_version(base: str) -> None:
    paths = {prefix + route.path for prefix in API.prefixes for route in API.routes()}
    assert {f"{base}/v1/messages", f"{base}/messages", f"{base}/v1/messages/count_tokens", f"{base}/v1/models"} <= paths


@pytest.mark.parametrize(
    ("exc", "status", "word"),
    [
        (e.InvalidInput("max_tokens: no"), 400, "invalid_request_error"),
        (e.Unsupported(), 400, "invalid_request_error"),
        (e.Unauthenticated(), 401, "authentication_error"),
        (e.QuotaSpent(), 402, "billing_error"),
        (e.Unpriced(), 403, "permission_error"),
        (e.UnknownModel(), 404, "not_found_error"),
        (e.TooLarge(), 413, "request_too_large"),
        (e.LimitReached(), 429, "rate_limit_error"),
        (e.GatewayError(), 500, "api_error"),
        (e.UpstreamError(), 502, "api_error"),
        (e.ChannelRejected(), 503, "api_error"),
        (e.UpstreamTimeout(), 504, "timeout_error"),
        (e.UpstreamBusy(), 529, "overloaded_error"),
        (e.NoChannel(), 529, "overloaded_error"),
    ],
)
def test_errors(exc: e.PenstockError, status: int, word: str) -> None:
    body = {"type": "error", "error": {"type": word, "message": str(exc)}}
    reply = API.error(exc)
    assert (reply.status, reply.body) == (status, body)
    event = sse.Reader().feed(API.broken(exc))[0]
    assert (event.name, json.loads(event.data)) == ("error", body)


def test_a_stream_is_written() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"event: ping\n\n"

    out: Outgoing = API.write_call(Answered(stream=pieces(), content_type="text/event-stream", beat=b"x"), http())
    assert (out.status, out.content_type, out.beat) == (200, "text/event-stream", b"x")


def test_models_newest_first() -> None:
    found = listed()
    assert [model["id"] for model in found["data"]] == ["m4", "m3", "m2", "m1", "m0"]
    assert (found["has_more"], found["first_id"], found["last_id"]) == (False, "m4", "m0")
    assert found["data"][-1] == {
        "type": "model",
        "id": "m0",
        "display_name": "Model 0",
        "created_at": "2025-09-29T00:00:00Z",
        "lifecycle": "active",
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": None,
    }


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("limit=2", ["m4", "m3"], True),
        ("limit=2&after_id=m3", ["m2", "m1"], True),
        ("limit=2&after_id=m2", ["m1", "m0"], False),
        ("limit=2&before_id=m1", ["m3", "m2"], True),
        ("limit=2&before_id=m2", ["m4", "m3"], False),
        ("after_id=m0", [], False),
        ("lifecycle[]=retired", [], False),
        ("lifecycle%5B%5D=active&lifecycle%5B%5D=retired&limit=1", ["m4"], True),
    ],
)
def test_pages_of_models(query: str, ids: list[str], more: bool) -> None:
    found = listed(query)
    assert ([model["id"] for model in found["data"]], found["has_more"]) == (ids, more)


def test_no_models_at_all() -> None:
    embeds = LanguageModel("e", "acme", "E", 0, embeds=True)
    assert listed(models=(embeds,)) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=", "after_id=gone", "before_id=gone"])
def test_pages_that_are_not(query: str) -> None:
    with pytest.raises(e.CallerError):
        listed(query)


def test_commands_about_models() -> None:
    assert API.models(http()) == List("language_models")
    assert API.model(http()) == Show("language_model", "acme/m1")
    assert API.write_model(MODELS[1], http()).body["id"] == "m1"
