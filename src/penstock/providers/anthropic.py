"""Anthropic: Claude, by the vendor's own API.

Source: its API reference (errors, versions), SDK for Python 2.12, error bodies as users report them; read 2026-11-21.
Bills: tokens, and web searches that it runs; what is read from and written to a cache has prices of its own.
Quirks: an empty account and a spent limit are a 400, like a bad request: only their words tell. An overload is a 529.
"""

from __future__ import annotations

import re
from typing import Any

from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContentRefused,
    ContextTooLong,
    PenstockError,
    TooLarge,
    UpstreamTimeout,
)
from penstock.formats.anthropic_count import AnthropicCount
from penstock.formats.anthropic_messages import AnthropicMessages
from penstock.providers._base import CallEndpoint, InHeader, Provider

FORWARDS = ("anthropic-beta", "anthropic-version")
MEANINGS: tuple[tuple[re.Pattern[str], type[PenstockError]], ...] = (
    (re.compile(r"credit balance is too low|API usage limits|organization has been disabled"), ChannelRejected),
    (re.compile(r"prompt is too long|exceed(s|ed)? (the )?context (limit|window)"), ContextTooLong),
    (re.compile(r"blocked by content filtering"), ContentRefused),
)
"""What a 400 is about, by its words."""


class Versioned(InHeader):
    """Every request must name a version: this one, unless the client named its own."""

    def headers(self, credential: str) -> dict[str, str]:
        return {**super().headers(credential), "anthropic-version": "2023-06-01"}


class Anthropic(Provider):
    name, base_url = "anthropic", "https://api.anthropic.com"
    auth = Versioned("x-api-key")
    probe = "/v1/models"
    # Closing the connection stops generation and billing (openrouter.ai/docs, "Stream Cancellation", lists Anthropic
    # among the vendors where it does), so `stops` is left as it is.
    calls = (
        CallEndpoint(AnthropicMessages(), "/v1/messages", forwards=FORWARDS),
        CallEndpoint(AnthropicCount(), "/v1/messages/count_tokens", forwards=FORWARDS),
    )
    refusals = {413: TooLarge, 504: UpstreamTimeout}

    def refusal(self, status: int, body: Any, retry_after_s: float | None, *, creates: bool) -> PenstockError:
        exc = super().refusal(status, body, retry_after_s, creates=creates)
        if status != 400 or type(exc) is not CallerError:
            return exc
        kind = next((kind for words, kind in MEANINGS if words.search(str(exc))), CallerError)
        return kind(str(exc), retry_after_s=retry_after_s)
