"""OpenAI's error bodies.

Source: OpenAI's guide to error codes, the exceptions of its Python client 3.52, codes that relays added; read
2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from penstock import errors as e
from penstock.dialects._base import Outgoing


class Word(NamedTuple):
    """`status` None: the error's own."""

    type: str
    code: str | None
    status: int | None = None
    param: str | None = None


INVALID = "invalid_request_error"
SERVER = "server_error"
WORDS: Mapping[type[e.PenstockError], Word] = {
    e.PenstockError: Word(SERVER, "internal_error"),
    e.CallerError: Word(INVALID, "invalid_request"),
    e.Unauthenticated: Word("authentication_error", "invalid_api_key"),
    e.KeyExpired: Word("authentication_error", "key_expired"),
    e.QuotaSpent: Word("insufficient_quota", "insufficient_user_quota", 403),
    e.Forbidden: Word("permission_error", "permission_denied"),
    e.ModelForbidden: Word("permission_error", "model_not_allowed", param="model"),
    e.AddressForbidden: Word("permission_error", "address_not_allowed"),
    e.ScopeMissing: Word("permission_error", "scope_missing"),
    e.Unpriced: Word("permission_error", "model_price_error"),
    e.NotFound: Word(INVALID, "not_found"),
    e.UnknownModel: Word(INVALID, "model_not_found", param="model"),
    e.MethodNotAllowed: Word(INVALID, "method_not_allowed"),
    e.Conflict: Word(INVALID, "conflict"),
    e.TooLarge: Word(INVALID, "request_too_large"),
    e.InvalidInput: Word(INVALID, "invalid_request", 400),
    e.Unsupported: Word(INVALID, "unsupported_value"),
    e.ContextTooLong: Word(INVALID, "context_length_exceeded", param="messages"),
    e.ContentRefused: Word(INVALID, "content_policy_violation"),
    e.LimitReached: Word("rate_limit_error", "rate_limit_exceeded"),
    e.UpstreamError: Word("upstream_error", "bad_response"),
    e.Crowded: Word(SERVER, "overloaded"),
    e.UpstreamBusy: Word(SERVER, "overloaded"),
    e.UpstreamTimeout: Word(SERVER, "upstream_timeout"),
    e.ChannelRejected: Word(SERVER, "no_available_channel"),
    e.FateUnknown: Word("upstream_error", "fate_unknown"),
    e.NoChannel: Word(SERVER, "no_available_channel"),
    e.StorageFull: Word(SERVER, "overloaded"),
    e.ShuttingDown: Word(SERVER, "overloaded"),
}


def error(exc: e.PenstockError, word: Word) -> Outgoing:
    return Outgoing(word.status or exc.status, {"error": body(exc, word)})


def broken(exc: e.PenstockError, word: Word) -> bytes:
    return b"data: " + msgspec.json.encode({"error": body(exc, word)}) + b"\n\n"


def body(exc: e.PenstockError, word: Word) -> dict[str, Any]:
    fields = exc.fields if isinstance(exc, e.InvalidInput) else ()
    param = word.param or (fields[0].path or None if fields else None)
    return {"message": str(exc).strip(), "type": word.type, "param": param, "code": word.code}
