"""OpenAI.

Source: OpenAI's API reference and its guide to error codes; read 2026-11-21.
Bills: tokens, those from a cache and those of sound at their own prices; moderations are free.
Quirk: an account without credit is a 429, like a busy one; the error's code tells.
"""

from __future__ import annotations

from typing import Any

from penstock.errors import PenstockError
from penstock.formats.openai_chat import OpenAIChat, faults
from penstock.formats.openai_embeddings import OpenAIEmbeddings
from penstock.formats.openai_input_tokens import OpenAIInputTokens
from penstock.formats.openai_moderations import OpenAIModerations
from penstock.formats.openai_responses import OpenAIResponses
from penstock.providers._base import CallEndpoint, Provider

FORWARDED = ("openai-beta",)


class OpenAI(Provider):
    name, base_url = "openai", "https://api.openai.com/v1"
    calls = (
        CallEndpoint(OpenAIChat(), "/chat/completions", forwards=FORWARDED),
        CallEndpoint(OpenAIResponses(), "/responses", forwards=FORWARDED),
        CallEndpoint(OpenAIInputTokens(), "/responses/input_tokens", forwards=FORWARDED),
        CallEndpoint(OpenAIEmbeddings(), "/embeddings", forwards=FORWARDED),
        CallEndpoint(OpenAIModerations(), "/moderations", forwards=FORWARDED),
    )

    def refusal(self, status: int, body: Any, retry_after_s: float | None, *, creates: bool) -> PenstockError:
        """The code says more than the status, where there is one."""
        kind = faults.kind(body)
        if kind is None:
            return super().refusal(status, body, retry_after_s, creates=creates)
        return kind(self.words(status, body), retry_after_s=retry_after_s)
