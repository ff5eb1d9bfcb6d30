"""What the sandbox answers in a chat, and why: thoughts, calls of tools, JSON, or a short text about the last message.

Pure functions: the same request, the same answer. The rules are those that `docs/test-mode.md` tells.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import blake2b
from math import inf

import msgspec

from penstock.canonical.chat import ChatRequest, Media, Message, Text, Thinking, Tool, ToolCall, ToolResult
from penstock.canonical.events import Finish
from penstock.canonical.usage import Unit
from penstock.errors import Unsupported
from penstock.providers.sandbox import given, pictures, script, shapes, tokens, words
from penstock.providers.sandbox.palettes import dice
from penstock.providers.sandbox.voice import Voice, listed

MOST_CALLS = 8
LONGEST_NAME = 200
"""Of a tool that may be mentioned: vendors take 64 to 128 characters."""
VERBS = (
    "add ask bash build call change check create delete do edit exec execute fetch find function get glob grep is list "
    "load look lookup make my new open query read remove run save search send set show start stop task the tool update "
    "use web write"
)
"""Words in a tool's name that say too little for a call: too many texts have them."""
ANY_OBJECT = {"properties": {"sample": {"const": True}, "about": {"type": "string"}}}
DRAWN_SIDES = 1024
THOUGHTS = (
    "The caller's last words are “{quote}”.",
    "I am a sandbox, so a sample that shows how the answer arrives will do.",
    "It shall be short, friendly, and clearly marked.",
    "What was given is named as it is, and nothing is made up about it.",
)
MOST_THOUGHTS = {"minimal": 1, "low": 1, "medium": 2, "high": 3, "xhigh": 4, "max": 4}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, its texts in pieces of one token each. `seal` proves the thoughts, where there are any."""

    thoughts: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    picture: Media | None = None
    seal: str = ""
    finish: Finish = Finish.STOP
    words: str = ""

    @property
    def tokens(self) -> tokens.Counts:
        made: tokens.Counts = {Unit.OUTPUT_TOKEN: len(self.text) + sum(map(size, self.calls))}
        if self.thoughts:
            made[Unit.REASONING_TOKEN] = len(self.thoughts)
        return made | ({Unit.IMAGE_OUTPUT_TOKEN: tokens.DRAWN} if self.picture else {})


def size(call: ToolCall) -> int:
    return tokens.of_text(call.name) + tokens.of_text(call.arguments)


def answer(request: ChatRequest) -> Answer:
    """Raises Unsupported for what the sandbox can't do, InvalidInput for what it can't read."""
    if request.choices > 1:
        raise Unsupported("The sandbox gives one answer to a request, not several.")
    if request.speaks:
        raise Unsupported("The sandbox does not speak: ask for text.")
    prompt = asked(request)
    thoughts = tuple(words.pieces(thought(prompt, request.thinking))) if thinks(request.thinking) else ()
    seal = sealed(prompt) if thoughts else ""
    if made := calls(request, prompt):
        return within(request.max_tokens, Answer(thoughts, (), made, seal=seal, finish=Finish.TOOLS))
    text, finish, met = stopped(said(request, prompt), request.stop)
    picture = drawn(prompt, request.seed or 0) if request.draws else None
    pieces = tuple(words.pieces(text))
    return within(request.max_tokens, Answer(thoughts, pieces, (), picture, seal, finish, met))


# ── what was asked ────────────────────────────────────────────────────────────────────────────────────────────────────


def last(request: ChatRequest) -> Message:
    """The caller's last turn."""
    turns = [message for message in request.messages if message.role == "user"]
    return turns[-1] if turns else Message("user")


def asked(request: ChatRequest) -> str:
    """The words of the caller's last turn, without directives."""
    return script.clean("\n".join(texts(last(request))))


def directed(request: ChatRequest) -> str:
    """Where directives are read: in the system's words and in the caller's last turn."""
    turns = [*(message for message in request.messages if message.role == "system"), last(request)]
    return "\n".join(text[:20_000] for message in turns for text in texts(message))


def texts(message: Message) -> list[str]:
    return [part.text for part in message.content if isinstance(part, Text)]


def results(request: ChatRequest) -> list[ToolResult]:
    """What tools have said since the model's last turn."""
    if not request.messages or request.messages[-1].role != "user":
        return []
    return [part for part in request.messages[-1].content if isinstance(part, ToolResult)]


# ── thoughts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def thinks(thinking: Thinking | None) -> bool:
    return thinking is not None and thinking.effort != "none" and thinking.budget != 0


def thought(prompt: str, thinking: Thinking | None) -> str:
    most = MOST_THOUGHTS.get(thinking.effort or "" if thinking else "", 2)
    return " ".join(THOUGHTS[:most]).format(quote=words.quoted(prompt))


def sealed(prompt: str) -> str:
    """What stands for a vendor's proof. Whatever comes back is accepted."""
    digest = blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return base64.b64encode(b"sandbox:" + digest).decode()


# ── calls of tools ────────────────────────────────────────────────────────────────────────────────────────────────────


def calls(request: ChatRequest, prompt: str) -> tuple[ToolCall, ...]:
    """The tools that the caller's words mention; where one is required and none mentioned, the first. Results of tools
    are answered with words, unless a call is required."""
    choice = request.choice
    mode = choice.mode if choice else "auto"
    names = choice.names if choice else ()
    tools = [tool for tool in request.tools if isinstance(tool, Tool) and (not names or tool.name in names)]
    if not tools or mode == "none" or (mode == "auto" and results(request)):
        return ()
    chosen = [tool for tool in tools if mentioned(tool.name, prompt)] or (tools[:1] if mode == "required" else [])
    pairs = [(tool, "") for tool in chosen]
    if len(chosen) == 1 and takes_text(chosen[0]):
        pairs = [(chosen[0], name) for name in listed(prompt)] or pairs
    most = 1 if choice and choice.parallel is False else MOST_CALLS
    turn = len(request.messages)
    return tuple(called(tool, first, prompt, f"{turn}.{at}") for at, (tool, first) in enumerate(pairs[:most]))


def mentioned(name: str, text: str) -> bool:
    """`get_weather` by its name or by “weather”; a name that is a mere verb, as `Read`, only as a tool: “the Read
    tool”, “call Read”, `Read` in backticks."""
    if len(name) > LONGEST_NAME:
        return False
    parts = parts_of(name)
    dull = set(VERBS.split())
    nouns = [part for part in parts if part not in dull and len(part) > 2]
    said = text[:20_000]
    if nouns or len(parts) > 1:
        spelt = [re.escape(name), r"[\W_]".join(parts), *(f"{noun}s?" for noun in nouns)]
        return re.search(rf"(?<!\w)(?:{'|'.join(spelt)})(?!\w)", said, re.IGNORECASE) is not None
    named = re.escape(name)
    return re.search(rf"`{named}`|\b{named} (?:tool|function)\b|\b(?:call|use) {named}\b", said) is not None


def parts_of(name: str) -> list[str]:
    """The words of `get_weather`, `getWeather`, `mcp__city-weather`, in lower case."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", name)]


def takes_text(tool: Tool) -> bool:
    properties = (tool.parameters or {}).get("properties")
    parts = properties.values() if isinstance(properties, dict) else ()
    return any(isinstance(part, dict) and part.get("type") == "string" for part in parts)


def called(tool: Tool, first: str, prompt: str, turn: str) -> ToolCall:
    """The id follows from the words and the turn, so that no two of one dialogue are the same."""
    id = f"call_{dice('call', tool.name, first, prompt, turn).getrandbits(96):024x}"
    voice = Voice(prompt, first, frozenset(parts_of(tool.name)))
    if tool.custom:
        return ToolCall(id, tool.name, free_text(tool, prompt), custom=True)
    schema = {"type": "object", **(tool.parameters or {"properties": {}})}
    value = shapes.fitting(schema, voice, f"the tool {tool.name}")
    return ToolCall(id, tool.name, msgspec.json.encode(value).decode())


def free_text(tool: Tool, prompt: str) -> str:
    """Of a custom tool: the caller's words, or what its regular expression matches."""
    declared = tool.grammar or {}
    inner = declared.get("grammar")
    grammar = inner if isinstance(inner, dict) else declared
    if "definition" not in grammar:
        return prompt
    if grammar.get("syntax") != "regex":
        raise Unsupported("The sandbox can't write what a grammar asks for, unless it is a regular expression.")
    return str(shapes.fitting({"type": "string", "pattern": f"^(?:{grammar['definition']})$"}, Voice(prompt)))


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def said(request: ChatRequest, prompt: str) -> str:
    if request.output is not None:
        schema = ANY_OBJECT if request.output.schema is None else request.output.schema
        return msgspec.json.encode(shapes.fitting(schema, Voice(prompt))).decode()
    lines = words.sentences(prompt, dice("chat", prompt, request.seed or 0))
    facts = [fact(part) for part in last(request).content if isinstance(part, Media)]
    told = [told_by(result) for result in results(request)]
    if told:  # then that is what the answer is about
        return " ".join([lines[0], *told, *facts, lines[-1]])
    return " ".join([*lines[:2], *facts, *lines[2:]])


def fact(media: Media) -> str:
    named = f" named “{words.quoted(media.name)}”" if media.name else ""
    return f"You gave me {given.seen(media).words}{named}."


def told_by(result: ToolResult) -> str:
    tool = f"The tool {result.name}" if result.name else "The tool"
    shown = words.quoted(" ".join(part.text for part in result.content if isinstance(part, Text)))
    seen = " and ".join(given.seen(part).words for part in result.content if isinstance(part, Media))
    quote = " and ".join(part for part in (f"“{shown}”" if shown else "", seen) if part) or "nothing"
    return f"{tool} failed and said {quote}." if result.failed else f"{tool} said {quote}."


def stopped(text: str, stop: tuple[str, ...]) -> tuple[str, Finish, str]:
    """The text up to the first stop sequence that it meets, and which one that was."""
    met = [(at, word) for word in stop if word and (at := text.find(word)) >= 0]
    if not met:
        return text, Finish.STOP, ""
    at, word = min(met)
    return text[:at], Finish.STOP_SEQUENCE, word


def drawn(prompt: str, seed: int) -> Media:
    data = pictures.draw(prompt, seed, DRAWN_SIDES, DRAWN_SIDES, "png")
    return Media("image", "image/png", base64.b64encode(data).decode())


def within(most: int | None, whole: Answer) -> Answer:
    """As much of an answer as so many tokens allow: thoughts count, and a call that does not fit is not made."""
    left: float = inf if most is None else max(0, most)
    thoughts = fitted(whole.thoughts, left)
    text = fitted(whole.text, left - len(thoughts))
    left -= len(thoughts) + len(text)
    made: list[ToolCall] = []
    for call in whole.calls:
        left -= size(call)
        if left < 0:
            break
        made.append(call)
    if (thoughts, text, tuple(made)) == (whole.thoughts, whole.text, whole.calls):
        return whole
    return Answer(thoughts, text, tuple(made), None, whole.seal, Finish.LENGTH)


def fitted(pieces: tuple[str, ...], most: float) -> tuple[str, ...]:
    return pieces if len(pieces) <= most else pieces[: int(most)]
