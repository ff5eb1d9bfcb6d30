"""What a model answers at once: chat completions, embeddings, moderations."""

from __future__ import annotations

from penstock.canonical.commands import Call
from penstock.dialects._base import Dialect, Incoming, route
from penstock.errors import InvalidField, InvalidInput
from penstock.formats._base import Format
from penstock.formats.openai_chat import OpenAIChat
from penstock.formats.openai_embeddings import OpenAIEmbeddings
from penstock.formats.openai_moderations import OpenAIModerations

GO_ALONG = ("openai-beta",)
"""Headers that mean something to a vendor; none that says who the client is."""
CHAT, EMBEDDINGS, MODERATIONS = OpenAIChat(), OpenAIEmbeddings(), OpenAIModerations()


class Chat(Dialect):
    @route("POST", "/chat/completions", Dialect.write_call)
    def complete(self, http: Incoming) -> Call:
        """Have a model answer a dialogue, whole or as a stream."""
        return call(self.name, CHAT, http)

    @route("POST", "/embeddings", Dialect.write_call)
    def embed(self, http: Incoming) -> Call:
        """Turn texts into vectors."""
        return call(self.name, EMBEDDINGS, http)

    @route("POST", "/engines/{model}/embeddings", Dialect.write_call)
    def embed_at_engine(self, http: Incoming) -> Call:
        """Turn texts into vectors, the model named in the path, as old clients do."""
        return call(self.name, EMBEDDINGS, http, http.path["model"])

    @route("POST", "/moderations", Dialect.write_call)
    def moderate(self, http: Incoming) -> Call:
        """Ask whether a text or picture is harmful."""
        return call(self.name, MODERATIONS, http)


def call(dialect: str, format: Format, http: Incoming, model: str = "") -> Call:
    """Raises CallerError or InvalidInput for a body that no vendor would take."""
    seen = format.peek(http.body)
    model = model or seen.model
    if not model:
        words = "you must provide a model parameter"
        raise InvalidInput(words, (InvalidField("model", "required", words),))
    return Call(
        dialect=dialect,
        format=format.name,
        body=http.body,
        model=model,
        stream=seen.stream,
        most_tokens=seen.most_tokens,
        choices=seen.choices,
        options=seen.options,
        headers={name: said for name in GO_ALONG if (said := http.header(name))},
    )
