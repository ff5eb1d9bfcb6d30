"""A chat request in our own words: what a client asks of a language model, whatever format it asked in.

Turns are ordered lists of typed parts, since all four formats fit into that. A reader normalises: neighbouring turns of
one role are one turn (`merged`), results of tools stand in a user turn and come first there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]
MediaKind = Literal["image", "document", "audio", "video"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    pass


class Text(Value, frozen=True, tag="text"):
    """`cache` marks the end of what the caller wants cached, and for how long: `5m`, `1h`."""

    text: str
    cache: str | None = None


class Media(Value, frozen=True, tag="media"):
    """A picture, document, sound, or film: exactly one of `data` (base64), `url`, and `file` (a vendor's id) is given.

    `media_type` may be empty for a URL. `detail` is how closely a picture shall be looked at: low, high, auto.
    """

    kind: MediaKind
    media_type: str = ""
    data: str | None = None
    url: str | None = None
    file: str | None = None
    name: str | None = None
    detail: str | None = None
    cache: str | None = None


class ToolCall(Value, frozen=True, tag="call"):
    """`arguments` is JSON text (`{}` for none), or free text of a `custom` tool. `signature` is opaque, and of use only
    to `family`, which issued it."""

    id: str
    name: str
    arguments: str = "{}"
    custom: bool = False
    signature: str = ""
    family: str = ""
    cache: str | None = None


class ToolResult(Value, frozen=True, tag="result"):
    """What a tool said: `id` and `name` are those of its call (`name` is empty where the format has none)."""

    id: str
    content: tuple[Text | Media, ...] = ()
    name: str = ""
    failed: bool = False
    custom: bool = False
    cache: str | None = None


class Reasoning(Value, frozen=True, tag="reasoning"):
    """The model's own thoughts. `signature` proves them and `sealed` hides them; both are opaque, and of use only to
    `family`, which issued them. `id` is the vendor's name for the item."""

    text: str = ""
    signature: str = ""
    sealed: str = ""
    family: str = ""
    id: str = ""


class Refusal(Value, frozen=True, tag="refusal"):
    text: str


Part = Text | Media | ToolCall | ToolResult | Reasoning | Refusal


class Message(Value, frozen=True):
    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None


class Tool(Value, frozen=True):
    """A function that the client runs. `parameters` is a JSON schema, None for none; `strict` None leaves it to the
    vendor. A `custom` tool takes free text, in the form that `grammar` says (the vendor's own words)."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: dict[str, Any] | None = None
    cache: str | None = None


class HostedTool(Value, frozen=True):
    """A tool that the vendor runs. Only `web_search` means the same elsewhere; `raw` is the declaration as it came, for
    the `family` that knows it."""

    kind: str
    family: str
    raw: dict[str, Any]


class ToolChoice(Value, frozen=True):
    """`names` limits the choice to these tools; `required` with one name forces that one. `parallel` None leaves it to
    the vendor."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()
    parallel: bool | None = None


class JsonOutput(Value, frozen=True):
    """The answer shall be JSON: of this schema, or of any where it is None."""

    schema: dict[str, Any] | None = None
    name: str = "response"
    description: str = ""
    strict: bool | None = None


class Thinking(Value, frozen=True):
    """How much the model shall think: an effort, or a budget in tokens (0 none, -1 as it likes). `visible` None leaves
    it to the vendor whether thoughts are shown; `summary` is a wish of one format: auto, concise, detailed."""

    effort: Effort | None = None
    budget: int | None = None
    visible: bool | None = None
    summary: str | None = None


class ChatRequest(Value, frozen=True):
    """`left_out` names what was asked and these words can't hold, by the client's own field names, so that it can be
    told; what changes the meaning was refused by the reader."""

    model: str = ""
    messages: tuple[Message, ...] = ()
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None  # how many alternatives; 0: the chosen tokens only
    tools: tuple[Tool | HostedTool, ...] = ()
    choice: ToolChoice | None = None
    output: JsonOutput | None = None
    thinking: Thinking | None = None
    verbosity: str | None = None
    speaks: bool = False  # sound is wanted
    draws: bool = False  # pictures are wanted
    user: str | None = None
    metadata: Mapping[str, str] = {}
    service_tier: str | None = None
    store: bool | None = None
    cache_key: str | None = None
    left_out: tuple[str, ...] = ()


def merged(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Neighbouring turns of one speaker as one; turns without parts are dropped; tool results come first in theirs."""
    spoken = groupby((each for each in messages if each.content), key=lambda each: (each.role, each.name))
    turns = [
        Message(role, tuple(part for each in said for part in each.content), name) for (role, name), said in spoken
    ]
    return tuple(_results_first(turn) if turn.role == "user" else turn for turn in turns)


def _results_first(turn: Message) -> Message:
    if not any(isinstance(part, ToolResult) for part in turn.content):
        return turn
    ordered = sorted(turn.content, key=lambda part: not isinstance(part, ToolResult))
    return Message(turn.role, tuple(ordered), turn.name)


class EmbedRequest(Value, frozen=True):
    """Texts to embed, or lists of token ids. `task` is a wish of Gemini's: what the vectors are for."""

    model: str = ""
    inputs: tuple[str | tuple[int, ...], ...] = ()
    dimensions: int | None = None
    task: str | None = None
    user: str | None = None
    left_out: tuple[str, ...] = ()


Request = ChatRequest | EmbedRequest
