"""Answers as they stand on the wire, whole (`message`) and streamed (`delta`), with what vendors add to them."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.formats.openai_chat import usage


class Piece(msgspec.Struct):
    """Of content in parts, as Mistral's thinking models send it."""

    type: str = "text"
    text: str | None = None
    thinking: list[Piece] | str | None = None


class Called(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None

    def text(self) -> str:
        if isinstance(self.arguments, dict):
            return msgspec.json.encode(self.arguments).decode()
        return self.arguments or self.input or ""


class Google(msgspec.Struct):
    thought_signature: str | None = None


class Extra(msgspec.Struct):
    google: Google | None = None


class Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Called | None = None
    custom: Called | None = None
    extra_content: Extra | None = None


class Url(msgspec.Struct):
    url: str = ""


class Image(msgspec.Struct):
    image_url: Url


class Audio(msgspec.Struct):
    data: str | None = None


class Citation(msgspec.Struct):
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct):
    url_citation: Citation | None = None


class Detail(msgspec.Struct):
    text: str | None = None


class Said(msgspec.Struct):
    content: str | list[Piece] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: list[Detail] | None = None  # MiniMax has nothing else
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Called | None = None
    audio: Audio | None = None
    images: list[Image] | None = None
    annotations: list[Annotation] | None = None


class Choice(msgspec.Struct):
    index: int | None = None
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    usage: usage.Reported | None = None  # Moonshot


class Picture(msgspec.Struct):
    url: str | None = None
    b64_json: str | None = None


class Chunk(msgspec.Struct):
    id: Any = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: usage.Reported | None = None
    error: Any = None
    data: list[Picture] | None = None  # relays of picture models answer as the Images API does
