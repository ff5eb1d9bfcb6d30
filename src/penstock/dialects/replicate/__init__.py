"""Replicate: predictions, models, files, deployments; its Python (1 and 2), JavaScript, and Go clients.

Source: Replicate's OpenAPI document 1.0.0-a1, its docs on predictions, streaming, webhooks, and errors, the sources of
replicate-python 1.0.7 and 2.0.0b4, replicate-javascript 1.4.0, replicate-go; read 2026-11-20.
Quirks: clients disagree on whether the base URL holds `/v1`, so three spellings lead here; `aborted` breaks two of
them, so there is none; relays take `model` beside `version`.
"""

from __future__ import annotations

from penstock.canonical.task import Event, Task
from penstock.dialects._base import Incoming, Links, Outgoing
from penstock.dialects.replicate import rendering, words
from penstock.dialects.replicate.files import Files
from penstock.dialects.replicate.predictions import Predictions
from penstock.dialects.replicate.shelf import Shelf
from penstock.errors import PenstockError


class Replicate(Predictions, Shelf, Files):
    name = "replicate"
    prefixes = ("/replicate/v1/v1", "/replicate/v1", "/replicate")
    errors = words.WORDS

    def credential(self, http: Incoming) -> str | None:
        return http.bearer("bearer", "token")

    def error(self, exc: PenstockError) -> Outgoing:
        return words.error(exc, self.word(exc))

    def task(self, task: Task, links: Links) -> bytes:
        return rendering.prediction(task, links)

    def event(self, event: Event, task: Task, links: Links) -> bytes:
        return rendering.event(event, links)
