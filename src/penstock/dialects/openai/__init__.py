"""OpenAI: chat completions, embeddings, moderations, models; its own clients and the many that borrow its API.

Source: types and behaviour of the official Python client 3.52 and 2.54, OpenAI's API reference; read 2026-11-21.
Quirks: users give base URLs with `/v1`, without it, and with the whole of another vendor's path; keys come with and
without `Bearer`. At `/v1/models` Anthropic's and Google's clients knock too: their headers tell them apart.
"""

from __future__ import annotations

from penstock.dialects._base import Incoming, Outgoing
from penstock.dialects.openai import words
from penstock.dialects.openai.chat import Chat
from penstock.dialects.openai.models import Models
from penstock.dialects.openai.responses import Responses
from penstock.errors import PenstockError

FOREIGN = ("x-goog-api-key", "anthropic-version")
"""Headers of other vendors' clients."""


class OpenAI(Chat, Responses, Models):
    name = "openai"
    prefixes = ("/v1", "", "/v1/v1", "/openai/v1", "/v1beta/openai")
    errors = words.WORDS

    def claims(self, http: Incoming) -> bool:
        """Lists of models are the last resort's: ours."""
        return http.method != "GET" or not ("key" in http.query or any(http.header(name) for name in FOREIGN))

    def credential(self, http: Incoming) -> str | None:
        """A key may come bare; Azure's clients have a header of their own."""
        scheme, _, given = (http.header("authorization") or "").strip().partition(" ")
        if scheme.lower() == "bearer":
            return given.strip() or http.header("api-key")
        return (scheme if not given else None) or http.header("api-key")

    def error(self, exc: PenstockError) -> Outgoing:
        return words.error(exc, self.word(exc))

    def broken(self, exc: PenstockError) -> bytes:
        return words.broken(exc, self.word(exc))
