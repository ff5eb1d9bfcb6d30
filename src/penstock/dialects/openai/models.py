"""The models that a key may use."""

from __future__ import annotations

from typing import Any

from penstock.canonical.commands import List, Show
from penstock.canonical.results import LanguageModel
from penstock.dialects._base import Dialect, Incoming, Outgoing, route


def write_model(dialect: Dialect, model: LanguageModel, http: Incoming) -> Outgoing:
    return Outgoing(200, card(model))


def write_models(dialect: Dialect, models: tuple[LanguageModel, ...], http: Incoming) -> Outgoing:
    return Outgoing(200, {"object": "list", "data": [card(model) for model in models]})


class Models(Dialect):
    @route("GET", "/models", write_models)
    def models(self, http: Incoming) -> List:
        """List the models that can be called."""
        return List("language_models")

    @route("GET", "/models/{model*}", write_model)
    def model(self, http: Incoming) -> Show:
        """Get one of them."""
        return Show("language_model", http.path["model"])


def card(model: LanguageModel) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": model.created_at, "owned_by": model.vendor}
