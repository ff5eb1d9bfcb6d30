"""Gemini: Google's language models, through the Gemini API.

Source: ai.google.dev on the API's errors and models, google-genai 3.4.0; read 2026-11-21.
Bills: tokens by kind, and web searches; see `formats.gemini_content`.
Quirks: a bad key is a 400, told by the reason in its details; how long to wait stands there too, not in a header. An
error may come as an array of one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from penstock.errors import PenstockError
from penstock.formats.gemini_content import GeminiContent
from penstock.formats.gemini_content.refusals import refusal
from penstock.formats.gemini_count import GeminiCount
from penstock.formats.gemini_embeddings import GeminiEmbeddings, GeminiEmbedOne
from penstock.providers._base import CallEndpoint, InHeader, Provider

MODEL = "/v1beta/models/{model}"
KEY = re.compile(r"api_key:[^'\"\s]+|\bAIza[\w-]+")
"""Google names a suspended key in its words."""


class Gemini(Provider):
    name, base_url = "gemini", "https://generativelanguage.googleapis.com"
    auth = InHeader("x-goog-api-key")
    probe = "/v1beta/models"
    calls = (
        # `stops`: by OpenRouter's list of vendors, hanging up does not end what Google bills.
        CallEndpoint(
            GeminiContent(), f"{MODEL}:generateContent", f"{MODEL}:streamGenerateContent?alt=sse", stops=False
        ),
        CallEndpoint(GeminiEmbeddings(), f"{MODEL}:batchEmbedContents"),
        CallEndpoint(GeminiEmbedOne(), f"{MODEL}:embedContent"),
        CallEndpoint(GeminiCount(), f"{MODEL}:countTokens"),
    )

    def words(self, status: int, body: Any) -> str:
        return KEY.sub("•••", super().words(status, body))

    def refusal(self, status: int, body: Any, retry_after_s: float | None, *, creates: bool) -> PenstockError:
        body = body[0] if isinstance(body, list) and len(body) == 1 else body
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, Mapping):
            return super().refusal(status, body, retry_after_s, creates=creates)
        kind, after_s = refusal(error)
        after_s = retry_after_s if retry_after_s is not None else after_s
        if kind is None:
            return super().refusal(status, body, after_s, creates=creates)
        return kind(self.words(status, body), retry_after_s=after_s)
