"""Google's paths, keys, streams, and errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock import errors
from penstock.canonical.commands import Call, List, Show
from penstock.canonical.results import Answered, LanguageModel
from penstock.dialects._base import Incoming, Outgoing
from penstock.dialects.gemini import Gemini

DIALECT = Gemini()
HELLO = b'{"contents":[{"parts":[{"text":"Hello"}]}],"generationConfig":{"maxOutputTokens":50}}'
MODELS = tuple(LanguageModel(f"m{number}", "google", f"Model {number}", 0, 1000, 0, number == 2) for number in range(3))


def get(path: str, query: str = "", **headers: str) -> Incoming:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Incoming("GET", path, named, query)


def post(call: str, body: bytes = HELLO, query: str = "") -> Incoming:
    return Incoming("POST", f"/v1beta/models/{call}", {}, query, {"call": call}, body)


async def nothing() -> AsyncIterator[bytes]:
    yield b""


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_is_read_from_the_path() -> None:
    assert DIALECT.call(post("gemini-2.5-flash:generateContent")) == Call(
        "gemini", "gemini_content", HELLO, "gemini-2.5-flash", most_tokens=50
    )


@pytest.mark.parametrize(
    ("said", "model"),
    [
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("tunedModels/mine", "mine"),
        ("meta/llama:70b", "meta/llama:70b"),
    ],
)
def test_the_verb_stands_behind_the_last_colon(said: str, model: str) -> None:
    assert DIALECT.call(post(f"{said}:generateContent")).model == model


@pytest.mark.parametrize(
    ("verb", "format"),
    [
        ("generateContent", "gemini_content"),
        ("streamGenerateContent", "gemini_content"),
        ("countTokens", "gemini_count"),
        ("embedContent", "gemini_embed_one"),
        ("batchEmbedContents", "gemini_embeddings"),
    ],
)
def test_every_verb_has_its_format(verb: str, format: str) -> None:
    call = DIALECT.call(post(f"m:{verb}", b"{}"))
    assert (call.format, call.stream) == (format, verb == "streamGenerateContent")


def test_a_stream_is_an_array_unless_events_are_asked_for() -> None:
    assert DIALECT.call(post("m:streamGenerateContent", query="alt=sse")).options == {}
    assert DIALECT.call(post("m:streamGenerateContent", query="alt=json")).options == {"array": True}
    assert DIALECT.call(post("m:streamGenerateContent")).options == {"array": True}


@pytest.mark.parametrize("call", ["m:predict", "m", ":generateContent", "m:"])
def test_what_google_does_not_have_is_not_found(call: str) -> None:
    with pytest.raises(errors.NotFound):
        DIALECT.call(post(call))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"generationConfig":{"candidateCount":"two"}}'])
def test_a_body_that_is_no_request_is_a_400(body: bytes) -> None:
    with pytest.raises(errors.CallerError) as refused:
        DIALECT.call(post("m:generateContent", body))
    assert DIALECT.error(refused.value).status == 400


# ── keys and claims ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_header_beats_the_query_which_beats_the_bearer() -> None:
    assert DIALECT.credential(get("/v1/models", "key=b", x_goog_api_key="a", authorization="Bearer c")) == "a"
    assert DIALECT.credential(get("/v1/models", "key=b", authorization="Bearer c")) == "b"
    assert DIALECT.credential(get("/v1/models", authorization="Bearer c")) == "c"
    assert DIALECT.credential(get("/v1/models")) is None


@pytest.mark.parametrize(
    ("http", "ours"),
    [
        (get("/v1beta/models"), True),
        (get("/v1alpha/models/m"), True),
        (get("/gemini/v1/models"), True),
        (get("/v1/models", authorization="Bearer sk"), False),
        (get("/v1/models", x_goog_api_key="k"), True),
        (get("/v1/models/m", "key=k"), True),
        (Incoming("POST", "/v1/models/m:generateContent", {}), True),
        (Incoming("POST", "/v1/models/m:other", {}, "key=k"), False),
        (Incoming("POST", "/v1beta/models/m:other", {}), True),
    ],
)
def test_a_shared_path_is_ours_only_by_googles_signs(http: Incoming, ours: bool) -> None:
    assert DIALECT.claims(http) is ours


# ── models ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_models_come_in_pages() -> None:
    http = get("/v1beta/models", "pageSize=2")
    assert DIALECT.models(http) == List("language_models")
    page = DIALECT.write_models(MODELS, http).body
    assert [model["name"] for model in page["models"]] == ["models/m0", "models/m1"]
    rest = DIALECT.write_models(MODELS, get("/v1beta/models", f"pageSize=2&pageToken={page['nextPageToken']}")).body
    assert rest == {"models": [DIALECT.write_model(MODELS[2], http).body]}
    assert rest["models"][0]["supportedGenerationMethods"] == ["embedContent", "batchEmbedContents"]


def test_a_card_leaves_out_what_is_not_known() -> None:
    assert DIALECT.write_model(MODELS[0], get("/v1beta/models/m0")).body == {
        "name": "models/m0",
        "baseModelId": "m0",
        "version": "001",
        "displayName": "Model 0",
        "inputTokenLimit": 1000,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


@pytest.mark.parametrize("query", ["pageSize=x", "pageSize=-1", "pageToken=%C2%B2", "pageToken=99999999999"])
def test_a_page_that_is_no_number_is_refused(query: str) -> None:
    with pytest.raises(errors.InvalidInput):
        DIALECT.write_models(MODELS, get("/v1beta/models", query))


def test_one_model_is_asked_for_by_its_bare_name() -> None:
    http = Incoming("GET", "/v1beta/models/models/a/b", {}, path={"model": "models/a/b"})
    assert DIALECT.model(http) == Show("language_model", "a/b")


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def streamed(query: str) -> Outgoing:
    answered = Answered(stream=nothing(), content_type="text/event-stream", beat=b"data: {}\n\n", dropped=("user",))
    return DIALECT.write_call(answered, post("m:streamGenerateContent", query=query))


def test_events_break_as_events() -> None:
    out = streamed("alt=sse")
    assert (out.content_type, out.beat, out.headers["x-penstock-dropped"]) == (
        "text/event-stream",
        b"data: {}\n\n",
        "user",
    )
    assert out.broken is not None
    event = out.broken(errors.UpstreamBusy(retry_after_s=3))
    assert event.startswith(b"data: {") and event.endswith(b"}\n\n")
    said = json.loads(event.removeprefix(b"data: "))["error"]
    assert (said["code"], said["status"]) == (503, "UNAVAILABLE")
    assert said["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]


def test_an_array_stays_one_when_it_breaks_and_nothing_stands_between_its_items() -> None:
    out = streamed("")
    assert (out.content_type, out.beat) == ("application/json", b"")
    assert out.broken is not None
    said = json.loads(b'[{"a":1}' + out.broken(errors.UpstreamError("gone")))
    assert said[-1]["error"]["message"] == "gone"


def test_a_whole_answer_is_left_alone() -> None:
    out = DIALECT.write_call(Answered(b"{}"), post("m:generateContent"))
    assert (out.status, out.body, out.content_type) == (200, b"{}", "application/json")


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("exc", "status", "word"),
    [
        (errors.InvalidInput("bad"), 400, "INVALID_ARGUMENT"),
        (errors.Unsupported(), 400, "INVALID_ARGUMENT"),
        (errors.ContentRefused(), 400, "INVALID_ARGUMENT"),
        (errors.Unauthenticated(), 401, "UNAUTHENTICATED"),
        (errors.QuotaSpent(), 403, "PERMISSION_DENIED"),
        (errors.UnknownModel(), 404, "NOT_FOUND"),
        (errors.LimitReached(), 429, "RESOURCE_EXHAUSTED"),
        (errors.GatewayError(), 500, "INTERNAL"),
        (errors.UpstreamError(), 502, "UNAVAILABLE"),
        (errors.NoChannel(), 503, "UNAVAILABLE"),
        (errors.UpstreamTimeout(), 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_errors_have_googles_shape(exc: errors.PenstockError, status: int, word: str) -> None:
    out = DIALECT.error(exc)
    said: Any = out.body["error"]
    assert (out.status, said["code"], said["status"], said["message"]) == (status, status, word, str(exc))


def test_errors_tell_the_field_the_reason_and_when_to_try_again() -> None:
    broken = DIALECT.error(errors.InvalidInput("bad", (errors.InvalidField("a.b", "type", "bad"),))).body["error"]
    assert broken["details"][0]["fieldViolations"] == [{"field": "a.b", "description": "bad"}]
    assert DIALECT.error(errors.Unauthenticated()).body["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert DIALECT.error(errors.LimitReached(retry_after_s=0.2)).body["error"]["details"][0]["retryDelay"] == "1s"
