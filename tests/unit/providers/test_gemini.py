"""Gemini's paths and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.providers.talks import recorded

from penstock import errors
from penstock.formats._base import Operation
from penstock.providers.gemini import Gemini

PROVIDER = Gemini()


def refused(status: int, body: Any, retry_after_s: float | None = None) -> errors.PenstockError:
    return PROVIDER.refusal(status, body, retry_after_s, creates=True)


@pytest.mark.parametrize(
    ("operation", "format", "path"),
    [
        (Operation.CHAT, "gemini_content", "/v1beta/models/gemini-2.5-flash:generateContent"),
        (Operation.CHAT, "openai_chat", "/v1beta/models/gemini-2.5-flash:generateContent"),
        (Operation.EMBED, "openai_embeddings", "/v1beta/models/gemini-2.5-flash:batchEmbedContents"),
        (Operation.EMBED, "gemini_embed_one", "/v1beta/models/gemini-2.5-flash:embedContent"),
        (Operation.COUNT, "gemini_count", "/v1beta/models/gemini-2.5-flash:countTokens"),
    ],
)
def test_the_model_and_the_verb_stand_in_the_path(operation: Operation, format: str, path: str) -> None:
    endpoint = PROVIDER.call(operation, format)
    assert endpoint is not None
    assert endpoint.asked(b"{}", "gemini-2.5-flash", stream=False).path == path


def test_a_stream_is_asked_for_as_events() -> None:
    ask = PROVIDER.calls[0].asked(b"{}", "gemini-2.5-flash", stream=True)
    assert ask.path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert PROVIDER.auth.headers("secret") == {"x-goog-api-key": "secret"}


@pytest.mark.parametrize(
    ("name", "kind", "after_s"),
    [
        ("refused_key", errors.ChannelRejected, None),
        ("refused_quota", errors.UpstreamBusy, 57.238747106),
        ("refused_length", errors.ContextTooLong, None),
    ],
)
def test_recorded_refusals(name: str, kind: type[errors.PenstockError], after_s: float | None) -> None:
    reply = recorded("gemini", name)
    exc = refused(reply["status"], reply["body"])
    assert type(exc) is kind
    assert exc.retry_after_s == after_s
    assert str(exc) in str(reply["body"])


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "INVALID_ARGUMENT", errors.CallerError),
        (400, "FAILED_PRECONDITION", errors.ChannelRejected),
        (401, "UNAUTHENTICATED", errors.ChannelRejected),
        (403, "PERMISSION_DENIED", errors.ChannelRejected),
        (404, "NOT_FOUND", errors.UpstreamForgot),
        (429, "RESOURCE_EXHAUSTED", errors.UpstreamBusy),
        (500, "INTERNAL", errors.UpstreamError),
        (503, "UNAVAILABLE", errors.UpstreamBusy),
        (504, "DEADLINE_EXCEEDED", errors.UpstreamTimeout),
    ],
)
def test_status_words(status: int, word: str, kind: type[errors.PenstockError]) -> None:
    exc = refused(status, {"error": {"code": status, "message": "words", "status": word}})
    assert (type(exc), str(exc)) == (kind, "words")


@pytest.mark.parametrize("body", [None, "<html>", [], {"error": "text"}, {"error": {"message": "x"}}])
def test_a_body_of_another_shape_goes_by_its_status(body: Any) -> None:
    assert type(refused(429, body)) is errors.UpstreamBusy
    assert type(refused(403, body)) is errors.ChannelRejected


def test_the_header_knows_better_when_to_try_again() -> None:
    assert refused(429, recorded("gemini", "refused_quota")["body"], 5.0).retry_after_s == 5.0


def test_a_key_that_google_names_is_not_told() -> None:
    said = "Permission denied: Consumer 'api_key:AIzaSyA-1234_567890' has been suspended."
    exc = refused(403, {"error": {"code": 403, "message": said, "status": "PERMISSION_DENIED"}})
    assert str(exc) == "Permission denied: Consumer '•••' has been suspended."
