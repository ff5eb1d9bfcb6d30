"""Anthropic: its SDKs, Claude Code, and all that speaks the Messages API.

Source: the vendor's SDK for Python 0.125 and 2.12 (types, captured requests), its API reference; read 2026-11-21.
Quirks: one generation of its SDKs sends the key as `x-api-key`, the next as a bearer token. Base URLs come with and
without `/v1`. `/v1/models` is OpenAI's as well: the header `anthropic-version` tells, or a path below `/anthropic`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from penstock import errors as e
from penstock.canonical.commands import Call, List, Show
from penstock.canonical.results import LanguageModel
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.formats._base import Format
from penstock.formats.anthropic_count import AnthropicCount
from penstock.formats.anthropic_messages import AnthropicMessages
from penstock.wire import sse

MESSAGES, COUNT = AnthropicMessages(), AnthropicCount()
FORWARDED = ("anthropic-beta", "anthropic-version")
PAGE, LARGEST_PAGE = 20, 1000
TOO_LONG = "prompt is too long"


class Anthropic(Dialect):
    name = "anthropic"
    id_header = "request-id"
    prefixes = ("/anthropic/v1", "/anthropic", "/anthropic/v1/v1", "/v1", "", "/v1/v1")
    errors = {
        e.PenstockError: (500, "api_error"),
        e.CallerError: (400, "invalid_request_error"),
        e.Unauthenticated: (401, "authentication_error"),
        e.QuotaSpent: (402, "billing_error"),
        e.Forbidden: (403, "permission_error"),
        e.Unpriced: (403, "permission_error"),
        e.NotFound: (404, "not_found_error"),
        e.MethodNotAllowed: (405, "invalid_request_error"),
        e.Conflict: (409, "conflict_error"),
        e.TooLarge: (413, "request_too_large"),
        e.RangeNotSatisfiable: (416, "invalid_request_error"),
        e.LimitReached: (429, "rate_limit_error"),
        e.UpstreamError: (502, "api_error"),
        e.Crowded: (529, "overloaded_error"),
        e.UpstreamBusy: (529, "overloaded_error"),
        e.UpstreamTimeout: (504, "timeout_error"),
        e.ChannelRejected: (503, "api_error"),
        e.NoChannel: (529, "overloaded_error"),
        e.StorageFull: (529, "overloaded_error"),
        e.ShuttingDown: (529, "overloaded_error"),
    }

    def claims(self, http: Incoming) -> bool:
        if http.header("x-goog-api-key") is not None or "key" in http.query:
            return False
        return http.header("anthropic-version") is not None or http.target.startswith("/anthropic/")

    def credential(self, http: Incoming) -> str | None:
        return http.header("x-api-key") or http.bearer()

    def error(self, exc: e.PenstockError) -> Outgoing:
        return Outgoing(self.word(exc)[0], self._fault(exc))

    def broken(self, exc: e.PenstockError) -> bytes:
        return sse.event("error", None, msgspec.json.encode(self._fault(exc)))

    def _fault(self, exc: e.PenstockError) -> dict[str, Any]:
        named = {"request_id": exc.request_id} if exc.request_id else {}
        return {"type": "error", "error": {"type": self.word(exc)[1], "message": _told(exc)}, **named}

    # calls

    @route("POST", "/messages", Dialect.write_call)
    def create(self, http: Incoming) -> Call:
        """Ask a model."""
        return self._call(MESSAGES, http)

    @route("POST", "/messages/count_tokens", Dialect.write_call)
    def count(self, http: Incoming) -> Call:
        """Count the tokens of a request."""
        return self._call(COUNT, http)

    def _call(self, format: Format, http: Incoming) -> Call:
        peek = format.peek(http.body)
        if not peek.model:
            raise e.InvalidInput("model: Field required", (e.InvalidField("model", "required", "Field required"),))
        return Call(
            dialect=self.name,
            format=format.name,
            body=http.body,
            model=peek.model,
            stream=peek.stream,
            most_tokens=peek.most_tokens,
            headers={name: value for name in FORWARDED if (value := http.header(name))},
        )

    # models

    def write_models(self, models: tuple[LanguageModel, ...], http: Incoming) -> Outgoing:
        """Newest first. All of ours are active, so a client that asks for others gets none."""
        stages = parse_qs(http.query_string).get("lifecycle[]", ["active"])
        known = [model for model in models if not model.embeds] if "active" in stages else []
        known.sort(key=lambda model: -model.created_at)
        page, more = _page(known, http)
        ids = [model.name for model in page]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        data = [_card(model) for model in page]
        return Outgoing(200, {"data": data, "has_more": more, "first_id": first, "last_id": last})

    def write_model(self, model: LanguageModel, http: Incoming) -> Outgoing:
        return Outgoing(200, _card(model))

    @route("GET", "/models", write_models)
    def models(self, http: Incoming) -> List:
        """List the models."""
        return List("language_models")

    @route("GET", "/models/{model*}", write_model)
    def model(self, http: Incoming) -> Show:
        """Get a model."""
        return Show("language_model", http.path["model"])


def _told(exc: e.PenstockError) -> str:
    """What does not fit into a model's context has no type of its own: clients look for these words."""
    said = str(exc)
    fits = not isinstance(exc, e.ContextTooLong) or TOO_LONG in said
    return said if fits else f"{TOO_LONG}: {said}"


def _page(models: list[LanguageModel], http: Incoming) -> tuple[list[LanguageModel], bool]:
    """(the page that was asked for, whether there is more in that direction)."""
    limit = _limit(http.query.get("limit", str(PAGE)))
    if before := http.query.get("before_id"):
        end = _place(models, "before_id", before)
        return models[max(0, end - limit) : end], end > limit
    after = http.query.get("after_id")
    start = _place(models, "after_id", after) + 1 if after else 0
    return models[start : start + limit], start + limit < len(models)


def _limit(words: str) -> int:
    if not words.isascii() or not words.isdigit() or not 1 <= int(words[:9]) <= LARGEST_PAGE:
        raise e.CallerError(f"limit: must be a whole number from 1 to {LARGEST_PAGE}")
    return int(words)


def _place(models: list[LanguageModel], parameter: str, name: str) -> int:
    for place, model in enumerate(models):
        if model.name == name:
            return place
    raise e.CallerError(f"{parameter}: there is no model of that id in this list")


def _card(model: LanguageModel) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.title or model.name,
        "created_at": datetime.fromtimestamp(model.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": model.input_limit or None,
        "max_tokens": model.output_limit or None,
        "capabilities": None,
    }
