"""Drives OpenAI's Python client, the present generation and the one before; see harness.py.

Quirks: `base_url` is given with `/v1`; the client itself asks for embeddings in base64, and decodes them; asynchronous
stream helpers and pages differ from their twins, which `Mode` hides.
"""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any

import openai
from chatting import (
    BUSY,
    CALL,
    CALLS,
    CITY,
    DIES,
    PDF_BASE64,
    PDF_SEEN,
    PICTURE_SEEN,
    PICTURE_URL,
    PLAN,
    STATE,
    SUNNY,
    TELL,
    THINK,
    TOO_LONG,
    WORLD,
    WORLD_SEEN,
    Case,
    Trip,
    Weather,
    city,
    text,
    vectors,
)
from harness import Mode, equal, main, scenario, true, until

WEATHER = {"name": "get_weather", "description": "The weather in a city", "parameters": CITY, "strict": True}
CHAT_TOOL = {"type": "function", "function": WEATHER}
TOOL = {"type": "function", **WEATHER}
PDF_URL = f"data:application/pdf;base64,{PDF_BASE64}"


@cache
def made(url: str, key: str, *, is_sync: bool) -> Any:
    kind = openai.OpenAI if is_sync else openai.AsyncOpenAI
    return kind(api_key=key, base_url=f"{url}/v1", max_retries=0, timeout=30)


def api(case: Case, key: str = "") -> Any:
    return made(case.url, key or case.key, is_sync=case.mode.is_sync)


async def chat(case: Case, said: Any, method: str = "create", **asked: Any) -> Any:
    messages = [{"role": "user", "content": said}] if not isinstance(said, list) or "role" not in said[0] else said
    given = {"model": case.model, "messages": messages} | asked
    return await case.do(api(case).chat.completions, method, **given)


async def respond(case: Case, said: Any, method: str = "create", **asked: Any) -> Any:
    return await case.do(api(case).responses, method, **({"model": case.model, "input": said} | asked))


def answered(done: Any, finish: str = "stop") -> Any:
    """The message of a whole chat completion, after a look at what is around it."""
    equal((done.object, len(done.choices)), ("chat.completion", 1), "object and choices")
    true(done.id and done.created and done.model, f"incomplete: {done!r}")
    choice = done.choices[0]
    equal((choice.index, choice.message.role, choice.finish_reason), (0, "assistant", finish), "the choice")
    counted(done.usage)
    return choice.message


def counted(usage: Any) -> None:
    true(usage and usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"not counted: {usage!r}")
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "the sum of tokens")


def joined(chunks: list[Any]) -> str:
    """The text of a stream, after a look at its order."""
    equal({chunk.object for chunk in chunks}, {"chat.completion.chunk"}, "objects")
    equal(len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}), 1, "ids in one stream")
    chosen = [chunk.choices[0] for chunk in chunks if chunk.choices]
    equal(chosen[0].delta.role, "assistant", "the first delta's role")
    equal([one.finish_reason for one in chosen[:-1]], [None] * (len(chosen) - 1), "finish reasons before the last")
    return "".join(one.delta.content or "" for one in chosen)


# ── chat ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def chat_whole(case: Case) -> None:
    message = answered(await chat(case, TELL))
    text(message.content)
    true(not message.tool_calls, f"calls without tools: {message.tool_calls!r}")


@scenario
async def chat_streamed(case: Case) -> None:
    chunks = await case.collect(await chat(case, TELL, stream=True))
    true(all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks), "usage, which was not asked for")
    text(joined(chunks))
    true(len(chunks) > 3, f"only {len(chunks)} chunks")
    equal(chunks[-1].choices[0].finish_reason, "stop", "the last finish reason")


@scenario
async def chat_streamed_usage(case: Case) -> None:
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = await case.collect(await chat(case, TELL, **asked))
    text(joined([*chunks, last]))
    equal(last.choices, [], "choices beside usage")
    counted(last.usage)
    true(all(chunk.choices and chunk.usage is None for chunk in chunks), "usage before the end")
    equal(chunks[-1].choices[0].finish_reason, "stop", "the finish reason")


@scenario
async def chat_streamed_as_whole(case: Case) -> None:
    whole = answered(await chat(case, TELL)).content
    equal(joined(await case.collect(await chat(case, TELL, stream=True))), whole, "the streamed text")


@scenario
async def chat_stream_helper(case: Case) -> None:
    stream = api(case).chat.completions.stream(model=case.model, messages=[{"role": "user", "content": TELL}])
    events, final = await case.mode.helped(stream, "get_final_completion")
    true({"chunk", "content.delta", "content.done"} <= {event.type for event in events}, "events are missing")
    said = "".join(event.delta for event in events if event.type == "content.delta")
    equal(final.choices[0].message.content, said, "the whole text")


@scenario
async def chat_roles(case: Case) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Speak of water."}]},
        {"role": "user", "content": "Hello [[slow:0]]", "name": "ann"},
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "now? [[slow:0]]"}]},
    ]
    text(answered(await chat(case, turns)).content)


@scenario
async def chat_in_all_scripts(case: Case) -> None:
    whole = answered(await chat(case, WORLD)).content
    streamed = joined(await case.collect(await chat(case, WORLD, stream=True)))
    for said in (whole, streamed):
        true(all(word in said for word in WORLD_SEEN), f"the words did not survive: {said!r}")


@scenario
async def chat_left_early(case: Case) -> None:
    """A client that leaves in mid-stream does no harm."""
    stream = await chat(case, TELL, stream=True)
    if case.mode.is_sync:
        await case.do(stream, "__next__")
    else:
        await stream.__anext__()
    await case.do(stream, "close")
    answered(await chat(case, TELL))


@scenario
async def chat_by_other_paths(case: Case) -> None:
    """What users paste as the base URL."""
    for path in ("", "/v1/", "/v1/v1", "/openai/v1"):
        kind = openai.OpenAI if case.mode.is_sync else openai.AsyncOpenAI
        client = kind(api_key=case.key, base_url=case.url + path, max_retries=0, timeout=30)
        turns = [{"role": "user", "content": TELL}]
        answered(await case.do(client.chat.completions, "create", model=case.model, messages=turns))
        await case.do(client, "close")


@scenario
async def chat_many_options(case: Case) -> None:
    hints = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "user": "ann", "metadata": {"a": "b"}, "store": False}
    more = {"presence_penalty": 0.1, "frequency_penalty": 0.1, "service_tier": "auto", "extra_body": {"top_k": 5}}
    text(answered(await chat(case, TELL, **hints, **more)).content)


@scenario
async def chat_length(case: Case) -> None:
    for limit in ("max_tokens", "max_completion_tokens"):
        done = await chat(case, TELL, **{limit: 16})
        text(answered(done, "length").content)
        true(done.usage.completion_tokens <= 16, f"more than {limit} allows: {done.usage!r}")


@scenario
async def chat_streamed_length(case: Case) -> None:
    chunks = await case.collect(await chat(case, TELL, max_completion_tokens=16, stream=True))
    text(joined(chunks))
    equal(chunks[-1].choices[0].finish_reason, "length", "the finish reason")


@scenario
async def chat_stop(case: Case) -> None:
    words = text(answered(await chat(case, TELL)).content).split()
    for stop in (words[3], [words[3], "never said"]):
        message = answered(await chat(case, TELL, stop=stop))
        true(words[3] not in message.content, f"{words[3]!r} in {message.content!r}")


@scenario
async def chat_reasoning(case: Case) -> None:
    done = await chat(case, THINK, reasoning_effort="high")
    text(answered(done).content)
    true(done.usage.completion_tokens_details.reasoning_tokens > 0, f"no reasoning was counted: {done.usage!r}")
    text(done.choices[0].message.reasoning_content, "the reasoning")


@scenario
async def chat_reasoning_streamed(case: Case) -> None:
    chunks = await case.collect(await chat(case, THINK, reasoning_effort="high", stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    text("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas), "the reasoning")
    text(joined(chunks))


@scenario
async def chat_vision(case: Case) -> None:
    for shown in ({"url": PICTURE_URL}, {"url": PICTURE_URL, "detail": "low"}):
        said = [{"type": "text", "text": "What is this? [[slow:0]]"}, {"type": "image_url", "image_url": shown}]
        text(answered(await chat(case, said)).content, tells=PICTURE_SEEN)


@scenario
async def chat_document(case: Case) -> None:
    file = {"type": "file", "file": {"file_data": PDF_URL, "filename": "weir.pdf"}}
    text(answered(await chat(case, [file, {"type": "text", "text": "Sum it up. [[slow:0]]"}])).content, tells=PDF_SEEN)


# ── structured answers ────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def chat_parse(case: Case) -> None:
    done = await chat(case, STATE, "parse", response_format=Weather)
    true(isinstance(answered(done).parsed, Weather), f"not parsed: {done!r}")


@scenario
async def chat_parse_streamed(case: Case) -> None:
    asked = {"model": case.model, "messages": [{"role": "user", "content": STATE}]}
    stream = api(case).chat.completions.stream(**asked, response_format=Weather)
    _, final = await case.mode.helped(stream, "get_final_completion")
    true(isinstance(final.choices[0].message.parsed, Weather), f"not parsed: {final!r}")


@scenario
async def chat_parse_nested(case: Case) -> None:
    done = await chat(case, PLAN, "parse", response_format=Trip)
    true(isinstance(answered(done).parsed, Trip), f"not parsed: {done!r}")


@scenario
async def chat_parse_cut_short(case: Case) -> None:
    """The client tells an answer that is cut short from one that is whole."""
    given = {"model": case.model, "messages": [{"role": "user", "content": "The weather?"}], "max_completion_tokens": 1}
    calls = api(case).chat.completions
    await case.raises(openai.LengthFinishReasonError, calls, "parse", **given, response_format=Weather)


@scenario
async def chat_json_schema(case: Case) -> None:
    schema = {"name": "city", "schema": CITY, "strict": True}
    done = await chat(case, "Name a city. [[slow:0]]", response_format={"type": "json_schema", "json_schema": schema})
    city(json.loads(answered(done).content))


@scenario
async def chat_json_object(case: Case) -> None:
    done = await chat(case, "Name a city, as JSON. [[slow:0]]", response_format={"type": "json_object"})
    true(isinstance(json.loads(answered(done).content), dict), "not an object")


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def called(message: Any, count: int) -> list[Any]:
    calls = message.tool_calls or []
    equal([(call.type, call.function.name) for call in calls], [("function", "get_weather")] * count, "the calls")
    equal(len({call.id for call in calls} - {""}), count, "different ids")
    for call in calls:
        city(json.loads(call.function.arguments))
    return calls


@scenario
async def chat_tool(case: Case) -> None:
    called(answered(await chat(case, CALL, tools=[CHAT_TOOL]), "tool_calls"), 1)


@scenario
async def chat_tool_forced(case: Case) -> None:
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        done = await chat(case, "Hello [[slow:0]]", tools=[CHAT_TOOL], tool_choice=choice)
        true(len(called(done.choices[0].message, len(done.choices[0].message.tool_calls or []))), "no call")


@scenario
async def chat_tool_forbidden(case: Case) -> None:
    message = answered(await chat(case, CALL, tools=[CHAT_TOOL], tool_choice="none"))
    true(not message.tool_calls, "a call that was forbidden")


@scenario
async def chat_tool_round_trip(case: Case) -> None:
    for said, count in ((CALL, 1), (CALLS, 2)):
        turns: list[Any] = [{"role": "user", "content": said}]
        message = answered(await chat(case, turns, tools=[CHAT_TOOL]), "tool_calls")
        turns.append(message.model_dump(exclude_none=True))
        results = [{"role": "tool", "tool_call_id": call.id, "content": SUNNY} for call in called(message, count)]
        text(answered(await chat(case, turns + results, tools=[CHAT_TOOL])).content, tells=SUNNY)


@scenario
async def chat_tools_streamed(case: Case) -> None:
    chunks = await case.collect(await chat(case, CALLS, tools=[CHAT_TOOL], stream=True))
    joined(chunks)
    equal(chunks[-1].choices[0].finish_reason, "tool_calls", "the finish reason")
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or []]
    equal({piece.index for piece in pieces}, {0, 1}, "indexes")
    for index in (0, 1):
        first, *rest = [piece for piece in pieces if piece.index == index]
        true(first.id and first.function.name == "get_weather", f"a call without a name: {first!r}")
        city(json.loads("".join(piece.function.arguments or "" for piece in (first, *rest))))


@scenario
async def chat_tools_stream_helper(case: Case) -> None:
    asked = {"model": case.model, "messages": [{"role": "user", "content": CALLS}], "tools": [CHAT_TOOL]}
    events, final = await case.mode.helped(api(case).chat.completions.stream(**asked), "get_final_completion")
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    equal(len(done), 2, "calls that were told to be whole")
    called(final.choices[0].message, 2)


@scenario
async def chat_tool_parsed(case: Case) -> None:
    done = await chat(case, CALL, "parse", tools=[openai.pydantic_function_tool(Weather)])
    parsed = done.choices[0].message.tool_calls[0].function.parsed_arguments
    true(isinstance(parsed, Weather), f"not parsed: {done!r}")


@scenario
async def chat_tool_nested(case: Case) -> None:
    done = await chat(case, PLAN, "parse", tools=[openai.pydantic_function_tool(Trip)], tool_choice="required")
    parsed = done.choices[0].message.tool_calls[0].function.parsed_arguments
    true(isinstance(parsed, Trip), f"not parsed: {done!r}")


@scenario
async def chat_tool_beside_words(case: Case) -> None:
    """A turn with words and a call, results in parts, and a question behind them."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    turns = [
        {"role": "user", "content": CALL},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": SUNNY}]},
    ]
    text(answered(await chat(case, turns, tools=[CHAT_TOOL])).content, tells=SUNNY)
    text(answered(await chat(case, [*turns, {"role": "user", "content": TELL}], tools=[CHAT_TOOL])).content)
    lone = [*turns, {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": TELL}]
    text(answered(await chat(case, lone)).content)


@scenario
async def chat_tool_custom(case: Case) -> None:
    """A tool that takes free text."""
    note = {"type": "custom", "custom": {"name": "take_note", "description": "Writes it down"}}
    turns: list[Any] = [{"role": "user", "content": f"Take a note: {CALL}"}]
    message = answered(await chat(case, turns, tools=[note], tool_choice="required"), "tool_calls")
    equal([(call.type, call.custom.name) for call in message.tool_calls], [("custom", "take_note")], "the call")
    text(message.tool_calls[0].custom.input, "the input")
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": SUNNY}
    turns += [message.model_dump(exclude_none=True), result]
    text(answered(await chat(case, turns, tools=[note])).content, tells=SUNNY)


@scenario
async def chat_functions(case: Case) -> None:
    """The old way, which some clients still go."""
    function = {"name": "get_weather", "parameters": CITY}
    message = answered(await chat(case, CALL, functions=[function], function_call="auto"), "function_call")
    city(json.loads(message.function_call.arguments))
    result = {"role": "function", "name": "get_weather", "content": SUNNY}
    turns = [{"role": "user", "content": CALL}, message.model_dump(exclude_none=True), result]
    text(answered(await chat(case, turns, functions=[function])).content, tells=SUNNY)


# ── embeddings, moderations, models ───────────────────────────────────────────────────────────────────────────────────


async def embed(case: Case, given: Any, **asked: Any) -> list[list[float]]:
    done = await case.do(api(case).embeddings, "create", model=case.embedder, input=given, **asked)
    equal([one.index for one in done.data], list(range(len(done.data))), "the order")
    true(done.usage.prompt_tokens > 0 and done.usage.total_tokens > 0, f"not counted: {done.usage!r}")
    return [one.embedding for one in done.data]


@scenario
async def embeddings(case: Case) -> None:
    vectors(await embed(case, "a boat"), 1)
    several = await embed(case, ["a boat", "a weir"])
    vectors(several, 2)
    true(several[0] != several[1], "different texts with one vector")


@scenario
async def embeddings_as_floats(case: Case) -> None:
    packed, plain = await embed(case, "a boat"), await embed(case, "a boat", encoding_format="float")
    vectors(plain, 1, len(packed[0]))
    true(max(abs(a - b) for a, b in zip(packed[0], plain[0], strict=True)) < 1e-6, "base64 and floats differ")


@scenario
async def embeddings_dimensions(case: Case) -> None:
    vectors(await embed(case, ["a boat", "a weir"], dimensions=64), 2, 64)


@scenario
async def moderations(case: Case) -> None:
    done = await case.do(api(case).moderations, "create", model=case.moderator, input=["a boat", "a weir"])
    equal(len(done.results), 2, "results")
    for result in done.results:
        true(isinstance(result.flagged, bool) and isinstance(result.category_scores.violence, float), repr(result))


@scenario
async def models(case: Case) -> None:
    listed = await case.collect(await case.do(api(case).models, "list"))
    true(case.model in [one.id for one in listed], f"{case.model} is not among {len(listed)}")
    got = await case.do(api(case).models, "retrieve", case.model)
    equal((got.id, got.object), (case.model, "model"), "the model")
    error = await case.raises(openai.NotFoundError, api(case).models, "retrieve", "nobody/nothing")
    equal(error.code, "model_not_found", "code")


# ── responses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def completed(done: Any, status: str = "completed") -> Any:
    equal((done.object, done.status, done.error), ("response", status, None), "object, status, and error")
    used = done.usage
    true(used and used.input_tokens > 0 and used.output_tokens > 0, f"not counted: {used!r}")
    equal(used.total_tokens, used.input_tokens + used.output_tokens, "the sum of tokens")
    return done


def ordered(events: list[Any], first: int = 0) -> list[str]:
    numbers = [event.sequence_number for event in events]
    equal(numbers, list(range(first, first + len(numbers))), "sequence numbers")
    return [event.type for event in events]


@scenario
async def response(case: Case) -> None:
    done = completed(await respond(case, TELL, instructions="Be brief."))
    text(done.output_text)
    equal(done.instructions, "Be brief.", "instructions")
    true(done.id.startswith("resp_"), f"the id: {done.id}")


@scenario
async def response_to_turns(case: Case) -> None:
    turns = [
        {"role": "developer", "content": "Speak of water."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hello [[slow:0]]"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Good day.", "annotations": []}]},
        {"role": "user", "content": "And now? [[slow:0]]"},
    ]
    text(completed(await respond(case, turns)).output_text)


@scenario
async def response_streamed(case: Case) -> None:
    events = await case.collect(await respond(case, TELL, stream=True))
    types = ordered(events)
    equal(types[0], "response.created", "the first event")
    equal(types[-1], "response.completed", "the last event")
    whole = ["response.output_item.added", "response.content_part.added", "response.output_text.delta"]
    whole += ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    equal([kind for kind in dict.fromkeys(types) if kind in whole], whole, "the order of events")
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    equal(said, completed(events[-1].response).output_text, "the whole text")


@scenario
async def response_stream_helper(case: Case) -> None:
    stream = api(case).responses.stream(model=case.model, input=STATE, text_format=Weather)
    events, final = await case.mode.helped(stream, "get_final_response")
    true("response.output_text.delta" in {event.type for event in events}, "no text came")
    true(isinstance(final.output_parsed, Weather), f"not parsed: {final!r}")


@scenario
async def response_parse(case: Case) -> None:
    done = completed(await respond(case, STATE, "parse", text_format=Weather))
    true(isinstance(done.output_parsed, Weather), f"not parsed: {done!r}")


@scenario
async def response_parse_nested(case: Case) -> None:
    done = completed(await respond(case, PLAN, "parse", text_format=Trip))
    true(isinstance(done.output_parsed, Trip), f"not parsed: {done!r}")


@scenario
async def response_echoes(case: Case) -> None:
    asked = {"metadata": {"for": "ann"}, "temperature": 0.5, "max_output_tokens": 500, "truncation": "auto"}
    done = completed(await respond(case, TELL, **asked))
    equal({name: getattr(done, name) for name in asked}, asked, "what was asked")


@scenario
async def response_in_all_scripts(case: Case) -> None:
    said = completed(await respond(case, WORLD)).output_text
    true(all(word in said for word in WORLD_SEEN), f"the words did not survive: {said!r}")


@scenario
async def response_input_tokens(case: Case) -> None:
    counts = api(case).responses.input_tokens
    few = await case.do(counts, "count", model=case.model, input="Hello [[slow:0]]")
    more = await case.do(counts, "count", model=case.model, input=TELL, instructions=TELL, tools=[TOOL])
    true(0 < few.input_tokens < more.input_tokens, f"the counts: {few.input_tokens}, {more.input_tokens}")


@scenario
async def response_json_object(case: Case) -> None:
    done = completed(await respond(case, "A city, as JSON. [[slow:0]]", text={"format": {"type": "json_object"}}))
    true(isinstance(json.loads(done.output_text), dict), "not an object")


@scenario
async def response_cut_short(case: Case) -> None:
    done = completed(await respond(case, TELL, max_output_tokens=16), "incomplete")
    equal(done.incomplete_details.reason, "max_output_tokens", "the reason")


@scenario
async def response_streamed_cut_short(case: Case) -> None:
    events = await case.collect(await respond(case, TELL, max_output_tokens=16, stream=True))
    equal(ordered(events)[-1], "response.incomplete", "the last event")


@scenario
async def response_reasoning(case: Case) -> None:
    done = completed(await respond(case, THINK, reasoning={"effort": "high", "summary": "auto"}))
    equal([item.type for item in done.output], ["reasoning", "message"], "the items")
    true(done.usage.output_tokens_details.reasoning_tokens > 0, f"no reasoning was counted: {done.usage!r}")


@scenario
async def response_reasoning_replayed(case: Case) -> None:
    """Without state, a client sends the sealed reasoning back."""
    asked = {"reasoning": {"effort": "high"}, "store": False, "include": ["reasoning.encrypted_content"]}
    done = completed(await respond(case, THINK, **asked))
    turns = [{"role": "user", "content": THINK}, *(item.model_dump(exclude_none=True) for item in done.output)]
    text(completed(await respond(case, [*turns, {"role": "user", "content": "Sure? [[slow:0]]"}], **asked)).output_text)


@scenario
async def response_reasoning_streamed(case: Case) -> None:
    asked = {"reasoning": {"effort": "high", "summary": "auto"}, "stream": True}
    events = await case.collect(await respond(case, THINK, **asked))
    types = ordered(events)
    true("response.reasoning_summary_text.delta" in types, f"no thoughts: {set(types)}")
    equal([item.type for item in completed(events[-1].response).output], ["reasoning", "message"], "the items")


@scenario
async def response_vision_and_document(case: Case) -> None:
    parts = [
        {"type": "input_image", "image_url": PICTURE_URL, "detail": "auto"},
        {"type": "input_file", "file_data": PDF_URL, "filename": "weir.pdf"},
        {"type": "input_text", "text": "What is this? [[slow:0]]"},
    ]
    said = completed(await respond(case, [{"role": "user", "content": parts}])).output_text
    true(PICTURE_SEEN in said and PDF_SEEN in said, f"not all was seen: {said!r}")


def asks(done: Any, count: int) -> list[Any]:
    calls = [item for item in done.output if item.type == "function_call"]
    equal([call.name for call in calls], ["get_weather"] * count, "the calls")
    equal(len({call.call_id for call in calls} - {""}), count, "different ids")
    for call in calls:
        city(json.loads(call.arguments))
    return calls


def results(calls: list[Any]) -> list[Any]:
    return [{"type": "function_call_output", "call_id": call.call_id, "output": SUNNY} for call in calls]


@scenario
async def response_tools(case: Case) -> None:
    """A round trip without state, and one that goes on from what the gateway keeps."""
    for said, count in ((CALL, 1), (CALLS, 2)):
        done = completed(await respond(case, said, tools=[TOOL]))
        calls = asks(done, count)
        before = [{"role": "user", "content": said}, *(item.model_dump(exclude_none=True) for item in done.output)]
        text(completed(await respond(case, [*before, *results(calls)], tools=[TOOL])).output_text, tells=SUNNY)
        went_on = await respond(case, results(calls), tools=[TOOL], previous_response_id=done.id)
        text(completed(went_on).output_text, tells=SUNNY)
        equal(went_on.previous_response_id, done.id, "what came before")


@scenario
async def response_tools_streamed(case: Case) -> None:
    events = await case.collect(await respond(case, CALLS, tools=[TOOL], stream=True))
    types = ordered(events)
    equal(types.count("response.function_call_arguments.done"), 2, "calls that were told to be whole")
    calls = asks(completed(events[-1].response), 2)
    for index, call in zip([event.output_index for event in events if is_call(event)], calls, strict=True):
        pieces = [event.delta for event in events if is_piece(event, index)]
        equal("".join(pieces), call.arguments, "the arguments")


def is_call(event: Any) -> bool:
    return event.type == "response.output_item.added" and event.item.type == "function_call"


def is_piece(event: Any, index: int) -> bool:
    return event.type == "response.function_call_arguments.delta" and event.output_index == index


@scenario
async def response_tool_custom(case: Case) -> None:
    note = {"type": "custom", "name": "take_note", "description": "Writes it down"}
    done = completed(await respond(case, f"Take a note: {CALL}", tools=[note], tool_choice="required"))
    calls = [item for item in done.output if item.type == "custom_tool_call"]
    equal([call.name for call in calls], ["take_note"], "the call")
    text(calls[0].input, "the input")
    result = {"type": "custom_tool_call_output", "call_id": calls[0].call_id, "output": SUNNY}
    went_on = await respond(case, [result], tools=[note], previous_response_id=done.id)
    text(completed(went_on).output_text, tells=SUNNY)


@scenario
async def response_tool_parsed(case: Case) -> None:
    tools = [openai.pydantic_function_tool(Weather)["function"] | {"type": "function"}]
    done = completed(await respond(case, CALL, "parse", tools=tools))
    calls = [item for item in done.output if item.type == "function_call"]
    Weather.model_validate(json.loads(calls[0].arguments))


@scenario
async def response_kept(case: Case) -> None:
    kept = api(case).responses
    done = completed(await respond(case, "Remember this. [[slow:0]]"))
    got = await case.do(kept, "retrieve", done.id)
    equal((got.id, got.output_text, got.status), (done.id, done.output_text, "completed"), "what was kept")
    went_on = completed(await respond(case, "And again? [[slow:0]]", previous_response_id=done.id))
    items = await case.collect(await case.do(kept.input_items, "list", went_on.id, order="asc"))
    true(len(items) >= 1 and all(item.id for item in items), f"the input: {items!r}")
    equal(items[-1].content[0].text, "And again? [[slow:0]]", "the last item of the input")
    await case.do(kept, "delete", done.id)
    await case.raises(openai.NotFoundError, kept, "retrieve", done.id)


@scenario
async def response_not_kept(case: Case) -> None:
    done = completed(await respond(case, TELL, store=False))
    await case.raises(openai.NotFoundError, api(case).responses, "retrieve", done.id)


@scenario
async def response_in_the_background(case: Case) -> None:
    begun = await respond(case, "[[slow:0.5]] boats", background=True)
    true(begun.status in ("queued", "in_progress") and begun.background, f"at once: {begun.status}")

    async def ended() -> Any:
        now = await case.do(api(case).responses, "retrieve", begun.id)
        return now if now.status not in ("queued", "in_progress") else None

    text(completed(await until(ended)).output_text)


@scenario
async def response_cancelled(case: Case) -> None:
    begun = await respond(case, "[[slow:30]] boats", background=True)
    equal((await case.do(api(case).responses, "cancel", begun.id)).status, "cancelled", "what cancel answers")
    equal((await case.do(api(case).responses, "retrieve", begun.id)).status, "cancelled", "the status later")


@scenario
async def response_after_nothing(case: Case) -> None:
    error = await case.raises(
        openai.APIStatusError,
        api(case).responses,
        "create",
        model=case.model,
        input=TELL,
        previous_response_id="resp_0",
    )
    true(error.status_code in (400, 404), f"status {error.status_code}")
    await case.raises(openai.NotFoundError, api(case).responses, "retrieve", "resp_0")
    await case.raises(openai.NotFoundError, api(case).responses, "cancel", "resp_0")


@scenario
async def response_cancelled_in_the_stream(case: Case) -> None:
    stream = await respond(case, "[[slow:20]] boats", background=True, stream=True)
    first = await asyncio.to_thread(next, stream) if case.mode.is_sync else await stream.__anext__()
    await case.do(api(case).responses, "cancel", first.response.id)
    await case.collect(stream)
    equal((await case.do(api(case).responses, "retrieve", first.response.id)).status, "cancelled", "the status later")


@scenario
async def response_resumed(case: Case) -> None:
    """A client that lost the stream of work in the background asks for the rest of it."""
    events = await case.collect(await respond(case, TELL, background=True, stream=True))
    ordered(events)
    seen = 3
    again = {"stream": True, "starting_after": events[seen - 1].sequence_number}
    rest = await case.collect(await case.do(api(case).responses, "retrieve", events[0].response.id, **again))
    equal(ordered(rest, seen), [event.type for event in events[seen:]], "the rest")
    text(completed(rest[-1].response).output_text)


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def error_wrong_key(case: Case) -> None:
    stranger = api(case, key="sk-test-wrong")
    asked = {"model": case.model, "messages": [{"role": "user", "content": TELL}]}
    for owner, given in ((stranger.chat.completions, asked), (stranger.responses, {"model": "a", "input": "b"})):
        error = await case.raises(openai.AuthenticationError, owner, "create", **given)
        equal((error.code, error.status_code), ("invalid_api_key", 401), "code and status")
        true(error.request_id, "no request id")
    await case.raises(openai.AuthenticationError, stranger.models, "list")


@scenario
async def error_unknown_model(case: Case) -> None:
    turns = [{"role": "user", "content": TELL}]
    owners = ((api(case).chat.completions, {"messages": turns}), (api(case).responses, {"input": TELL}))
    for owner, given in (*owners, (api(case).embeddings, {"input": TELL})):
        error = await case.raises(openai.NotFoundError, owner, "create", model="nobody-nothing", **given)
        equal((error.code, error.type, error.param), ("model_not_found", "invalid_request_error", "model"), "the error")


@scenario
async def error_wrong_types(case: Case) -> None:
    turns = [{"role": "user", "content": TELL}]
    for wrong in ({"messages": "hello"}, {"temperature": "hot"}, {"messages": [{"role": "user", "content": 7}]}):
        given = {"model": case.model, "messages": turns} | wrong
        error = await case.raises(openai.BadRequestError, api(case).chat.completions, "create", **given)
        equal(error.type, "invalid_request_error", "type")
        true(error.message, "no words")
    for wrong in ({"input": 7}, {"max_output_tokens": "many"}):
        given = {"model": case.model, "input": TELL} | wrong
        await case.raises(openai.BadRequestError, api(case).responses, "create", **given)


@scenario
async def error_too_long(case: Case) -> None:
    turns = [{"role": "user", "content": TOO_LONG}]
    for owner, given in ((api(case).chat.completions, {"messages": turns}), (api(case).responses, {"input": TOO_LONG})):
        for asked in ({}, {"stream": True}):
            given |= {"model": case.fragile}
            error = await case.raises(openai.BadRequestError, owner, "create", **given, **asked)
            equal(error.code, "context_length_exceeded", "code")


@scenario
async def error_busy(case: Case) -> None:
    """A busy upstream is not the caller's own limit."""
    given = {"model": case.crowded, "messages": [{"role": "user", "content": f"{case.unique} {BUSY}"}]}
    for asked in ({}, {"stream": True}):
        error = await case.raises(openai.InternalServerError, api(case).chat.completions, "create", **given, **asked)
        equal((error.status_code, error.code), (503, "overloaded"), "status and code")
        true(float(error.response.headers["retry-after"]) > 0, "no word of when to come again")


@scenario
async def error_too_often(case: Case) -> None:
    asked = {"model": case.model, "messages": [{"role": "user", "content": TELL}]}

    async def often() -> None:
        for _ in range(3):
            await case.do(api(case, case.slow_key).chat.completions, "create", **asked)

    try:
        await often()
    except openai.RateLimitError as error:
        equal((error.type, error.code), ("rate_limit_error", "rate_limit_exceeded"), "type and code")
        true(float(error.response.headers["retry-after"]) > 0, "no word of when to come again")
    else:
        raise AssertionError("no limit")


@scenario
async def error_choices(case: Case) -> None:
    """Several answers are refused, rather than one given where the sandbox and most formats have no more."""
    asked = {"model": case.fragile, "messages": [{"role": "user", "content": TELL}], "n": 2}
    await case.raises(openai.BadRequestError, api(case).chat.completions, "create", **asked)


@scenario
async def error_in_the_stream(case: Case) -> None:
    turns = [{"role": "user", "content": DIES}]
    stream = await case.do(api(case).chat.completions, "create", model=case.fragile, messages=turns, stream=True)
    chunks, error = await case.breaks(openai.APIError, stream)
    true(chunks, "nothing came before the error")
    true(error.message, "no words")


@scenario
async def error_in_the_stream_of_a_response(case: Case) -> None:
    """Where a response was begun, its failure is an event."""
    stream = await case.do(api(case).responses, "create", model=case.fragile, input=DIES, stream=True)
    events = await case.collect(stream)
    equal(ordered(events)[-1], "response.failed", "the last event")
    failed = events[-1].response
    equal(failed.status, "failed", "status")
    true(failed.error and failed.error.code and failed.error.message, f"no words: {failed.error!r}")


if __name__ == "__main__":
    main(Case, (Mode("sync"), Mode("async")))
