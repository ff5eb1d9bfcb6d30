"""Drives Google's Python client of the Gemini API, the present generation and the first; see harness.py.

Quirks: the first generation's paths begin with `/v1beta`, the present one's with `/v1`; the asynchronous twins are at
`client.aio`; a stream is asked for when its first chunk is; keys are written in both spellings in one body.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from chatting import (
    BUSY,
    CALL,
    CALLS,
    CITY,
    DIES,
    PDF,
    PDF_SEEN,
    PICTURE_SEEN,
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
from google import genai
from google.genai import errors, types
from harness import PICTURE, Mode, equal, main, scenario, true

WEATHER = {"name": "get_weather", "description": "The weather in a city"}
TOOL = {"function_declarations": [WEATHER | {"parameters_json_schema": CITY}]}
SCHEMA = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
PLAIN_TOOL = {"function_declarations": [WEATHER | {"parameters": SCHEMA}]}


@cache
def made(url: str, key: str, *, is_sync: bool) -> Any:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, timeout=30_000))
    return client if is_sync else client.aio


def api(case: Case, key: str = "") -> Any:
    return made(case.url, key or case.key, is_sync=case.mode.is_sync)


def asked(case: Case, said: Any, model: str = "", **config: Any) -> dict[str, Any]:
    return {"model": model or case.model, "contents": said, "config": config}


async def generate(case: Case, said: Any, **config: Any) -> Any:
    return await case.do(api(case).models, "generate_content", **asked(case, said, **config))


async def streamed(case: Case, said: Any, **config: Any) -> list[Any]:
    given = asked(case, said, **config)
    return await case.collect(await case.do(api(case).models, "generate_content_stream", **given))


def answered(done: Any, finish: str = "STOP") -> Any:
    equal(len(done.candidates), 1, "candidates")
    equal(done.candidates[0].finish_reason.value, finish, "the finish reason")
    true(done.model_version and done.response_id, f"incomplete: {done!r}")
    counted(done.usage_metadata)
    return done


def counted(usage: Any) -> None:
    true(usage.prompt_token_count > 0 and usage.candidates_token_count > 0, f"not counted: {usage!r}")
    parts = (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count)
    equal(usage.total_token_count, sum(part or 0 for part in parts), "the sum of tokens")


# ── generating ────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def generate_whole(case: Case) -> None:
    text(answered(await generate(case, TELL)).text)


@scenario
async def generate_streamed(case: Case) -> None:
    *chunks, last = await streamed(case, TELL)
    true(len(chunks) > 3, f"only {len(chunks)} chunks")
    said = "".join(chunk.text or "" for chunk in (*chunks, last))
    text(said)
    answered(last)
    equal({chunk.response_id for chunk in (*chunks, last)}, {last.response_id}, "ids in one stream")
    equal(said, (await generate(case, TELL)).text, "the streamed text")


@scenario
async def generate_system(case: Case) -> None:
    text(answered(await generate(case, TELL, system_instruction="Be brief.")).text)
    text(answered(await generate(case, TELL, system_instruction=["Be brief.", "Speak of water."])).text)


@scenario
async def generate_in_all_scripts(case: Case) -> None:
    streamed_text = "".join(chunk.text or "" for chunk in await streamed(case, WORLD))
    for said in ((await generate(case, WORLD)).text, streamed_text):
        true(all(word in said for word in WORLD_SEEN), f"the words did not survive: {said!r}")


@scenario
async def generate_by_other_paths(case: Case) -> None:
    """All versions of the API, and the base URL with a path of ours."""
    for path, version in (("", "v1"), ("", "v1beta"), ("", "v1alpha"), ("/gemini", "v1beta")):
        options = types.HttpOptions(base_url=case.url + path, api_version=version, timeout=30_000)
        client = genai.Client(api_key=case.key, http_options=options)
        owner = client.models if case.mode.is_sync else client.aio.models
        text((await case.do(owner, "generate_content", **asked(case, TELL))).text)


@scenario
async def generate_options(case: Case) -> None:
    hints = {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.1}
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}]
    text(answered(await generate(case, TELL, **hints, safety_settings=safety)).text)


@scenario
async def generate_cut_short(case: Case) -> None:
    done = answered(await generate(case, TELL, max_output_tokens=16), "MAX_TOKENS")
    true(done.usage_metadata.candidates_token_count <= 16, f"more than was allowed: {done.usage_metadata!r}")
    answered((await streamed(case, TELL, max_output_tokens=16))[-1], "MAX_TOKENS")


@scenario
async def generate_stop(case: Case) -> None:
    stop = text((await generate(case, TELL)).text).split()[3]
    done = answered(await generate(case, TELL, stop_sequences=[stop, "never said"]))
    true(stop not in done.text, f"{stop!r} in {done.text!r}")


@scenario
async def chat_with_history(case: Case) -> None:
    history = [
        types.Content(role="user", parts=[types.Part(text="Hello [[slow:0]]")]),
        types.Content(role="model", parts=[types.Part(text="Good day.")]),
    ]
    chat = api(case).chats.create(model=case.model, history=history)
    text((await case.do(chat, "send_message", "And now? [[slow:0]]")).text)
    chunks = await case.collect(await case.do(chat, "send_message_stream", TELL))
    text("".join(chunk.text or "" for chunk in chunks))
    roles = [turn.role for turn in chat.get_history(curated=True)]
    equal(roles[:4], ["user", "model", "user", "model"], "the turns")


@scenario
async def image_inline(case: Case) -> None:
    said = [types.Part.from_bytes(data=PICTURE, mime_type="image/png"), "What is this? [[slow:0]]"]
    text(answered(await generate(case, said)).text, tells=PICTURE_SEEN)


@scenario
async def image_made(case: Case) -> None:
    done = await generate(case, "A boat. [[slow:0]]", response_modalities=["TEXT", "IMAGE"])
    pictures = [part.inline_data for part in done.candidates[0].content.parts if part.inline_data]
    equal([(one.mime_type, one.data[:4]) for one in pictures], [("image/png", b"\x89PNG")], "pictures")


@scenario
async def document_inline(case: Case) -> None:
    said = [types.Part.from_bytes(data=PDF, mime_type="application/pdf"), "Sum it up. [[slow:0]]"]
    text(answered(await generate(case, said)).text, tells=PDF_SEEN)


# ── thinking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def thinking(case: Case) -> None:
    for wish in ({"thinking_budget": 1024}, {"thinking_level": "HIGH"}):
        done = answered(await generate(case, THINK, thinking_config={"include_thoughts": True, **wish}))
        thoughts = [part.text for part in done.candidates[0].content.parts if part.thought]
        text("".join(thoughts), "the thoughts")
        text(done.text)
        true(done.usage_metadata.thoughts_token_count > 0, f"thoughts were not counted: {done.usage_metadata!r}")


@scenario
async def thinking_streamed(case: Case) -> None:
    wish = {"include_thoughts": True, "thinking_budget": 1024}
    chunks = await streamed(case, THINK, thinking_config=wish)
    parts = [part for chunk in chunks for part in (chunk.candidates[0].content and chunk.parts) or []]
    text("".join(part.text for part in parts if part.thought and part.text), "the thoughts")
    text("".join(part.text for part in parts if not part.thought and part.text))


# ── functions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def called(done: Any, count: int) -> list[Any]:
    calls = done.function_calls or []
    equal([call.name for call in calls], ["get_weather"] * count, "the calls")
    for call in calls:
        city(call.args)
    return list(calls)


@scenario
async def functions(case: Case) -> None:
    for said, count, tool in ((CALL, 1, TOOL), (CALLS, 2, PLAIN_TOOL)):
        done = answered(await generate(case, said, tools=[tool]))
        results = [
            types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": SUNNY}))
            for call in called(done, count)
        ]
        turns = [
            types.Content(role="user", parts=[types.Part(text=said)]),
            done.candidates[0].content,
            types.Content(role="user", parts=results),
        ]
        text(answered(await generate(case, turns, tools=[tool])).text, tells=SUNNY)


@scenario
async def functions_streamed(case: Case) -> None:
    chunks = await streamed(case, CALLS, tools=[TOOL])
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    equal([call.name for call in calls], ["get_weather"] * 2, "the calls")
    for call in calls:
        city(call.args)


@scenario
async def functions_by_mode(case: Case) -> None:
    only = {"mode": "ANY", "allowed_function_names": ["get_weather"]}
    done = await generate(case, "Hello [[slow:0]]", tools=[TOOL], tool_config={"function_calling_config": only})
    true(called(done, len(done.function_calls or [])), "no call")
    done = await generate(case, CALL, tools=[TOOL], tool_config={"function_calling_config": {"mode": "NONE"}})
    true(not done.function_calls, "a call that was forbidden")


@scenario
async def functions_nested(case: Case) -> None:
    plan = {"name": "plan_trip", "description": "Plans", "parameters_json_schema": Trip.model_json_schema()}
    only = {"function_calling_config": {"mode": "ANY"}}
    done = await generate(case, PLAN, tools=[{"function_declarations": [plan]}], tool_config=only)
    Trip.model_validate(done.function_calls[0].args)


@scenario
async def functions_automatic(case: Case) -> None:
    """The client calls our function by itself, and sends back what it says."""
    asked_for = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked_for.append(city)
        return SUNNY

    get_weather.__annotations__ = {"city": str, "return": str}  # the first generation can't read them as words
    text((await generate(case, CALL, tools=[get_weather])).text, tells=SUNNY)
    equal(len(asked_for), 1, "calls")


# ── structured answers ────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def structured(case: Case) -> None:
    asked_for = {"response_mime_type": "application/json", "response_schema": Weather}
    done = answered(await generate(case, STATE, **asked_for))
    true(isinstance(done.parsed, Weather), f"not parsed: {done.text!r}")


@scenario
async def structured_nested(case: Case) -> None:
    asked_for = {"response_mime_type": "application/json", "response_json_schema": Trip.model_json_schema()}
    Trip.model_validate_json(answered(await generate(case, PLAN, **asked_for)).text)


@scenario
async def structured_list(case: Case) -> None:
    asked_for = {"response_mime_type": "application/json", "response_schema": list[Weather]}
    done = answered(await generate(case, "The weather in Oslo and Rome?", **asked_for))
    true(isinstance(done.parsed, list), f"not parsed: {done.text!r}")
    true(all(isinstance(one, Weather) for one in done.parsed), f"not parsed: {done.text!r}")


@scenario
async def structured_by_json_schema(case: Case) -> None:
    asked_for = {"response_mime_type": "application/json", "response_json_schema": CITY}
    city(answered(await generate(case, "Name a city. [[slow:0]]", **asked_for)).parsed)


# ── counting, embedding, models ───────────────────────────────────────────────────────────────────────────────────────


@scenario
async def count_tokens(case: Case) -> None:
    few = await case.do(api(case).models, "count_tokens", model=case.model, contents="Hello [[slow:0]]")
    more = await case.do(api(case).models, "count_tokens", model=case.model, contents=["Hello [[slow:0]]", TELL])
    true(0 < few.total_tokens < more.total_tokens, f"the counts: {few.total_tokens}, {more.total_tokens}")


@scenario
async def embed_content(case: Case) -> None:
    several = {"model": case.embedder, "contents": ["a boat", "a weir"]}
    done = await case.do(api(case).models, "embed_content", **several)
    vectors([one.values for one in done.embeddings], 2)
    short = {"output_dimensionality": 64, "task_type": "RETRIEVAL_QUERY"}
    done = await case.do(api(case).models, "embed_content", **several, config=short)
    vectors([one.values for one in done.embeddings], 2, 64)


@scenario
async def models(case: Case) -> None:
    listed = await case.collect(await case.do(api(case).models, "list", config={"page_size": 1000}))
    true(f"models/{case.model}" in [one.name for one in listed], f"{case.model} is not among {len(listed)}")
    got = await case.do(api(case).models, "get", model=case.model)
    equal(got.name, f"models/{case.model}", "the model")
    true(got.display_name and "generateContent" in got.supported_actions, f"incomplete: {got!r}")
    error = await case.raises(errors.ClientError, api(case).models, "get", model="nobody-nothing")
    equal((error.code, error.status), (404, "NOT_FOUND"), "code and status")


@scenario
async def models_in_pages(case: Case) -> None:
    whole = await case.collect(await case.do(api(case).models, "list", config={"page_size": 1000}))
    pages = await case.collect(await case.do(api(case).models, "list", config={"page_size": 20}))
    equal([one.name for one in pages], [one.name for one in whole], "the pages' models")


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def refused(case: Case, said: str, key: str = "", **given: Any) -> tuple[int, str]:
    owner = api(case, key).models
    error = await case.raises(errors.APIError, owner, "generate_content", **asked(case, said, **given))
    true(error.message, "no words")
    return error.code, error.status


@scenario
async def error_wrong_key(case: Case) -> None:
    refusals = ((400, "INVALID_ARGUMENT"), (401, "UNAUTHENTICATED"))
    true(await refused(case, TELL, key="sk-test-wrong") in refusals, "another refusal")


@scenario
async def error_unknown_model(case: Case) -> None:
    equal(await refused(case, TELL, model="nobody-nothing"), (404, "NOT_FOUND"), "code and status")


@scenario
async def error_wrong_types(case: Case) -> None:
    for wrong in ({"contents": 7}, {"generationConfig": {"temperature": "hot"}}):
        options = {"extra_body": wrong}
        equal(await refused(case, TELL, http_options=options), (400, "INVALID_ARGUMENT"), f"what comes of {wrong}")


@scenario
async def error_too_long(case: Case) -> None:
    equal(await refused(case, TOO_LONG, model=case.fragile), (400, "INVALID_ARGUMENT"), "code and status")
    stream = await begun(case, TOO_LONG)
    equal((stream.code, stream.status), (400, "INVALID_ARGUMENT"), "code and status of a stream")


@scenario
async def error_busy(case: Case) -> None:
    """A busy upstream is not the caller's own limit."""
    said = f"{case.unique} {BUSY}"
    equal(await refused(case, said, model=case.crowded), (503, "UNAVAILABLE"), "code and status")
    stream = await begun(case, said, model=case.crowded)
    equal((stream.code, stream.status), (503, "UNAVAILABLE"), "code and status of a stream")


@scenario
async def error_too_often(case: Case) -> None:
    equal(await refused_often(case), (429, "RESOURCE_EXHAUSTED"), "code and status")


async def refused_often(case: Case) -> tuple[int, str]:
    for _ in range(3):
        try:
            await case.do(api(case, case.slow_key).models, "generate_content", **asked(case, TELL))
        except errors.APIError as error:
            return error.code, error.status
    raise AssertionError("no limit")


async def begun(case: Case, said: str, model: str = "") -> Any:
    """The error that a stream ends with before it begins. The twins differ in when they ask for it."""
    try:
        chunks = await streamed(case, said, model=model or case.fragile)
    except errors.APIError as error:
        return error
    raise AssertionError(f"no error, but {chunks!r}")


@scenario
async def error_in_the_stream(case: Case) -> None:
    given = asked(case, DIES, model=case.fragile)
    stream = await case.do(api(case).models, "generate_content_stream", **given)
    chunks, error = await case.breaks(errors.APIError, stream)
    true(chunks, "nothing came before the error")
    true(error.code >= 500 and error.status, f"code and status: {error.code}, {error.status}")


if __name__ == "__main__":
    main(Case, (Mode("sync"), Mode("async")))
