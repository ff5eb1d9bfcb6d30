"""What an error in the words of OpenAI, and of those who borrow them, means to us; in a stream as in a reply.

Source: OpenAI's guide to error codes; bodies in public reports for the vendors named beside a line; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContentRefused,
    ContextTooLong,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamTimeout,
)

CODES: Mapping[str, type[PenstockError]] = {
    "insufficient_quota": ChannelRejected,
    "billing_hard_limit_reached": ChannelRejected,
    "billing_not_active": ChannelRejected,
    "account_deactivated": ChannelRejected,
    "invalid_api_key": ChannelRejected,
    "exceeded_current_quota_error": ChannelRejected,  # Moonshot, with 429
    "1113": ChannelRejected,  # Zhipu, with 429: an account in arrears
    "Arrearage": ChannelRejected,  # DashScope, with 400
    "AccountOverdueError": ChannelRejected,  # Volcengine
    "model_not_found": UpstreamForgot,
    "DeploymentNotFound": UpstreamForgot,  # Azure
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,  # llama.cpp
    "content_filter": ContentRefused,  # Azure
    "content_policy_violation": ContentRefused,
    "moderation_blocked": ContentRefused,
    "data_inspection_failed": ContentRefused,  # DashScope
    "DataInspectionFailed": ContentRefused,
    "rate_limit_exceeded": UpstreamBusy,
    "overloaded": UpstreamBusy,
    "server_is_overloaded": UpstreamBusy,
    "engine_overloaded_error": UpstreamBusy,  # Moonshot
}
"""What is said by `code` or by `type`, and means the same whatever the status."""
FULL = "maximum context length"
"""What vLLM, DeepSeek, Mistral, and others say in words alone."""
TYPES: Mapping[str, type[PenstockError]] = {
    "authentication_error": ChannelRejected,
    "permission_error": ChannelRejected,
    "rate_limit_error": UpstreamBusy,
    "overloaded_error": UpstreamBusy,
    "tokens": UpstreamBusy,
    "requests": UpstreamBusy,
    "timeout": UpstreamTimeout,
    "invalid_request_error": CallerError,
    "BadRequestError": CallerError,  # vLLM
}
"""Within a stream, where no status tells more."""
STATUSES: Mapping[int, type[PenstockError]] = {
    400: CallerError,
    401: ChannelRejected,
    402: ChannelRejected,
    403: ChannelRejected,
    404: UpstreamForgot,
    408: UpstreamTimeout,
    413: CallerError,
    422: CallerError,
    429: UpstreamBusy,
    503: UpstreamBusy,
    504: UpstreamTimeout,
    529: UpstreamBusy,
}
"""Some say a status as the code of an error within a stream."""


def kind(body: Any) -> type[PenstockError] | None:
    """What an error body (or its `error`) surely says, None where its status must tell."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    words = [word for name in ("code", "type") if isinstance(word := error.get(name), str)]
    found = next((CODES[word] for word in words if word in CODES), None)
    if found is None and FULL in str(error.get("message")):
        return ContextTooLong
    return found


def fault(error: Any) -> PenstockError:
    """An `error` that came in the place of an answer, or within one."""
    if not isinstance(error, dict):
        return UpstreamError(error[:2000] if isinstance(error, str) else "")
    found = kind(error) or _by_status(error.get("code")) or TYPES.get(str(error.get("type"))) or UpstreamError
    said = error.get("message")
    return found(said[:2000] if isinstance(said, str) else "")


def _by_status(code: Any) -> type[PenstockError] | None:
    word = str(code)
    return STATUSES.get(int(word)) if word.isascii() and word.isdigit() else None
