"""Gemini: Google's own SDKs, Gemini CLI, and all that speaks generateContent.

Source: google-genai 1.75.0 and 3.4.0 (captured requests, and what their stream readers take), ai.google.dev; read
2026-11-21.
Quirks: the model and the verb stand in the path, the verb behind the last colon. A stream is a JSON array unless
`alt=sse` is asked. Its clients take nothing between events but events. `/v1` is shared with other APIs, so there a
Google key or a verb of Google's must tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock import errors as e
from penstock.canonical.commands import Call, List, Show
from penstock.canonical.results import Answered, LanguageModel
from penstock.dialects._base import JSON, Dialect, Incoming, Outgoing, route
from penstock.formats._base import Format
from penstock.formats.gemini_content import GeminiContent
from penstock.formats.gemini_count import GeminiCount
from penstock.formats.gemini_embeddings import GeminiEmbeddings, GeminiEmbedOne

STREAM = "streamGenerateContent"
VERBS: Mapping[str, Format] = {
    "generateContent": GeminiContent(),
    STREAM: GeminiContent(),
    "countTokens": GeminiCount(),
    "embedContent": GeminiEmbedOne(),
    "batchEmbedContents": GeminiEmbeddings(),
}
VERSIONS = ("/v1beta", "/v1", "/v1alpha")
OURS = re.compile(r"/(?:v1beta|v1alpha|gemini)/")
"""Paths that no other API has."""
PAGE, LARGEST_PAGE = 50, 1000
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
TOO_LONG = "exceeds the maximum number of tokens"


def bare(name: str) -> str:
    """A model's name without the collection that Google puts before it."""
    return name.removeprefix("models/").removeprefix("tunedModels/")


class Gemini(Dialect):
    name = "gemini"
    prefixes = ("", "/gemini")
    errors = {
        e.PenstockError: (500, "INTERNAL"),
        e.CallerError: (400, "INVALID_ARGUMENT"),
        e.Unauthenticated: (401, "UNAUTHENTICATED"),
        e.QuotaSpent: (403, "PERMISSION_DENIED"),
        e.Forbidden: (403, "PERMISSION_DENIED"),
        e.Unpriced: (403, "PERMISSION_DENIED"),
        e.NotFound: (404, "NOT_FOUND"),
        e.MethodNotAllowed: (405, "UNIMPLEMENTED"),
        e.Conflict: (409, "ABORTED"),
        e.TooLarge: (413, "INVALID_ARGUMENT"),
        e.RangeNotSatisfiable: (416, "OUT_OF_RANGE"),
        e.LimitReached: (429, "RESOURCE_EXHAUSTED"),
        e.UpstreamError: (502, "UNAVAILABLE"),
        e.Crowded: (503, "UNAVAILABLE"),
        e.UpstreamBusy: (503, "UNAVAILABLE"),
        e.UpstreamTimeout: (504, "DEADLINE_EXCEEDED"),
        e.ChannelRejected: (503, "UNAVAILABLE"),
        e.NoChannel: (503, "UNAVAILABLE"),
        e.StorageFull: (503, "UNAVAILABLE"),
        e.ShuttingDown: (503, "UNAVAILABLE"),
    }

    def claims(self, http: Incoming) -> bool:
        if OURS.match(http.target) or http.header("x-goog-api-key") is not None:
            return True
        if http.method == "POST":
            return http.target.rpartition(":")[2] in VERBS
        return "key" in http.query

    def credential(self, http: Incoming) -> str | None:
        return http.header("x-goog-api-key") or http.query.get("key") or http.bearer()

    def error(self, exc: e.PenstockError) -> Outgoing:
        return Outgoing(self.word(exc)[0], {"error": self._fault(exc)})

    def broken(self, exc: e.PenstockError) -> bytes:
        return b"data: %b\n\n" % msgspec.json.encode({"error": self._fault(exc)})

    def _fault(self, exc: e.PenstockError) -> dict[str, Any]:
        code, status = self.word(exc)
        details = list(_details(exc))
        return {"code": code, "message": _told(exc), "status": status} | ({"details": details} if details else {})

    # calls

    def write_call(self, answered: Answered, http: Incoming) -> Outgoing:
        """A stream without `alt=sse` is one JSON array, whatever happens in it, so nothing stands between its items."""
        out = super().write_call(answered, http)
        if answered.stream is not None and not _wants_events(http):
            out.content_type, out.beat, out.broken = JSON, b"", self._broken_array
        return out

    def _broken_array(self, exc: e.PenstockError) -> bytes:
        """The last item: a stream has begun with its first one."""
        return b",%b]" % msgspec.json.encode({"error": self._fault(exc)})

    @route("POST", "/v1beta/models/{call*}", write_call)
    @route("POST", "/v1/models/{call*}", write_call)
    @route("POST", "/v1alpha/models/{call*}", write_call)
    def call(self, http: Incoming) -> Call:
        """Ask a model: generateContent, streamGenerateContent, countTokens, embedContent, or batchEmbedContents."""
        model, _, verb = http.path["call"].rpartition(":")
        format = VERBS.get(verb)
        if not model or format is None:
            raise e.NotFound(f"There is no method {verb!r} here. There are {', '.join(VERBS)}.")
        peek = format.peek(http.body)
        return Call(
            dialect=self.name,
            format=format.name,
            body=http.body,
            model=bare(model),
            stream=verb == STREAM,
            most_tokens=peek.most_tokens,
            choices=peek.choices,
            options={"array": True} if verb == STREAM and not _wants_events(http) else {},
        )

    # models

    def write_models(self, models: tuple[LanguageModel, ...], http: Incoming) -> Outgoing:
        start, size = _whole(http, "pageToken", 0), _whole(http, "pageSize", PAGE) or PAGE
        end = start + min(size, LARGEST_PAGE)
        page = {"models": [_card(model) for model in models[start:end]]}
        return Outgoing(200, page | ({"nextPageToken": str(end)} if end < len(models) else {}))

    def write_model(self, model: LanguageModel, http: Incoming) -> Outgoing:
        return Outgoing(200, _card(model))

    @route("GET", "/v1beta/models", write_models)
    @route("GET", "/v1/models", write_models)
    @route("GET", "/v1alpha/models", write_models)
    def models(self, http: Incoming) -> List:
        """List the models."""
        return List("language_models")

    @route("GET", "/v1beta/models/{model*}", write_model)
    @route("GET", "/v1/models/{model*}", write_model)
    @route("GET", "/v1alpha/models/{model*}", write_model)
    def model(self, http: Incoming) -> Show:
        """Get a model."""
        return Show("language_model", bare(http.path["model"]))


def _wants_events(http: Incoming) -> bool:
    return http.query.get("alt", "").lower() == "sse"


def _whole(http: Incoming, name: str, default: int) -> int:
    said = http.query.get(name) or str(default)
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        raise e.InvalidInput(
            f"{name} must be a whole number", (e.InvalidField(name, "type", "must be a whole number"),)
        )
    return int(said)


def _told(exc: e.PenstockError) -> str:
    """What does not fit into a model's context has no status of its own: clients look for these words."""
    said = str(exc)
    fits = not isinstance(exc, e.ContextTooLong) or TOO_LONG in said
    return said if fits else f"The input token count {TOO_LONG} allowed: {said}"


def _details(exc: e.PenstockError) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if isinstance(exc, e.InvalidInput) and exc.fields:
        found = [{"field": field.path, "description": field.words} for field in exc.fields]
        made.append({"@type": BAD_REQUEST, "fieldViolations": found})
    if isinstance(exc, e.Unauthenticated):
        made.append({"@type": ERROR_INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
    if exc.retry_after_s is not None:
        made.append({"@type": RETRY_INFO, "retryDelay": f"{max(1, math.ceil(exc.retry_after_s))}s"})
    return made


def _card(model: LanguageModel) -> dict[str, Any]:
    methods = ["embedContent", "batchEmbedContents"] if model.embeds else ["generateContent", "countTokens"]
    limits = {"inputTokenLimit": model.input_limit, "outputTokenLimit": model.output_limit}
    return {
        "name": f"models/{model.name}",
        "baseModelId": model.name,
        "version": "001",
        "displayName": model.title or model.name,
        **{name: limit for name, limit in limits.items() if limit},
        "supportedGenerationMethods": methods,
    }
