"""Drives Anthropic's Python client, the present generation and the first; see harness.py.

Quirks: `base_url` is given without `/v1`; the first generation sends `x-api-key`, the present one `Authorization`; both
raise an error in a stream as the class of the status that the stream began with, so only its type tells.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import anthropic
from chatting import (
    BUSY,
    CALL,
    CALLS,
    CITY,
    DIES,
    PDF_BASE64,
    PDF_SEEN,
    PICTURE_BASE64,
    PICTURE_SEEN,
    PLAN,
    STATE,
    SUNNY,
    TELL,
    THINK,
    TOO_LARGE,
    TOO_LONG,
    WORLD,
    WORLD_SEEN,
    Case,
    Trip,
    Weather,
    city,
    text,
)
from harness import Mode, equal, main, scenario, true

TOOL = {"name": "get_weather", "description": "The weather in a city", "input_schema": CITY}
PICTURE = {"type": "base64", "media_type": "image/png", "data": PICTURE_BASE64}
PDF = {"type": "base64", "media_type": "application/pdf", "data": PDF_BASE64}
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "top_k": 5}
"""The present generation knows these no more, but its callers may still send them."""


@cache
def made(url: str, key: str, *, is_sync: bool) -> Any:
    kind = anthropic.Anthropic if is_sync else anthropic.AsyncAnthropic
    return kind(api_key=key, base_url=url, max_retries=0, timeout=30)


def api(case: Case, key: str = "") -> Any:
    return made(case.url, key or case.key, is_sync=case.mode.is_sync)


def asked(case: Case, said: Any, **more: Any) -> dict[str, Any]:
    turns = said if isinstance(said, list) and "role" in said[0] else [{"role": "user", "content": said}]
    return {"model": case.model, "max_tokens": 2048, "messages": turns} | more


async def say(case: Case, said: Any, **more: Any) -> Any:
    return await case.do(api(case).messages, "create", **asked(case, said, **more))


async def streamed(case: Case, said: Any, **more: Any) -> tuple[list[Any], Any]:
    stream = api(case).messages.stream(**asked(case, said, **more))
    return await case.mode.helped(stream, "get_final_message")


def answered(message: Any, stop: str = "end_turn") -> Any:
    equal((message.type, message.role, message.stop_reason), ("message", "assistant", stop), "the message")
    true(message.id.startswith("msg_") and message.model, f"incomplete: {message!r}")
    true(message.usage.input_tokens > 0 and message.usage.output_tokens > 0, f"not counted: {message.usage!r}")
    return message


def words(message: Any) -> str:
    return text("".join(block.text for block in message.content if block.type == "text"))


def blocks_in_order(events: list[Any]) -> None:
    """One block after the other: start, deltas, stop."""
    steps = [event for event in events if event.type.startswith("content_block_")]
    whole: list[list[str]] = []
    for event in steps:
        if event.type == "content_block_start":
            whole.append([])
        equal(event.index, len(whole) - 1, f"the index of {event.type}")
        whole[-1].append(event.type)
    for block in whole:
        deltas = len(block) - 2
        equal(block, ["content_block_start", *["content_block_delta"] * deltas, "content_block_stop"], "a block")


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def message_whole(case: Case) -> None:
    message = answered(await say(case, TELL))
    words(message)
    equal([block.type for block in message.content], ["text"], "blocks")


@scenario
async def message_streamed(case: Case) -> None:
    events = await case.collect(await say(case, TELL, stream=True))
    types = [event.type for event in events]
    equal(types[0], "message_start", "the first event")
    equal(types[-2:], ["message_delta", "message_stop"], "the last events")
    blocks_in_order(events)
    true(types.count("content_block_delta") > 3, f"only {types.count('content_block_delta')} pieces")
    equal(events[0].message.content, [], "content at the start")
    equal(events[-2].delta.stop_reason, "end_turn", "the stop reason")
    true(events[-2].usage.output_tokens > 0, f"not counted: {events[-2].usage!r}")


@scenario
async def message_stream_helper(case: Case) -> None:
    events, message = await streamed(case, TELL)
    said = "".join(event.text for event in events if event.type == "text")
    equal(said, words(answered(message)), "the whole text")


@scenario
async def message_text_stream(case: Case) -> None:
    manager = api(case).messages.stream(**asked(case, TELL))
    if case.mode.is_sync:
        with manager as stream:
            pieces = await case.collect(stream.text_stream)
    else:
        async with manager as stream:
            pieces = await case.collect(stream.text_stream)
    text("".join(pieces))
    true(len(pieces) > 3, f"only {len(pieces)} pieces")


@scenario
async def message_streamed_as_whole(case: Case) -> None:
    _, message = await streamed(case, TELL)
    equal(words(message), words(await say(case, TELL)), "the streamed text")


@scenario
async def message_system(case: Case) -> None:
    cached = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for system in ("Be brief.", [*cached, {"type": "text", "text": "Speak of water."}]):
        words(answered(await say(case, TELL, system=system)))


@scenario
async def message_turns(case: Case) -> None:
    shown = {"type": "text", "text": "Hello [[slow:0]]", "cache_control": {"type": "ephemeral"}}
    turns = [
        {"role": "user", "content": [shown]},
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": "And"},
        {"role": "user", "content": [{"type": "text", "text": "now? [[slow:0]]"}]},
    ]
    words(answered(await say(case, turns)))


@scenario
async def message_in_all_scripts(case: Case) -> None:
    _, streamed_message = await streamed(case, WORLD)
    for message in (await say(case, WORLD), streamed_message):
        said = words(message)
        true(all(word in said for word in WORLD_SEEN), f"the words did not survive: {said!r}")


@scenario
async def message_system_between(case: Case) -> None:
    """Later clients put the system's words among the turns, too."""
    turns = [
        {"role": "user", "content": "Hello [[slow:0]]"},
        {"role": "assistant", "content": "Good day."},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": TELL},
    ]
    words(answered(await say(case, turns)))


@scenario
async def message_begun(case: Case) -> None:
    """The last turn is the model's own, to be gone on with."""
    turns = [{"role": "user", "content": TELL}, {"role": "assistant", "content": "The river"}]
    words(answered(await say(case, turns)))


@scenario
async def message_as_beta(case: Case) -> None:
    """As Claude Code asks: another resource of the client, `?beta=true` in the URL, and a header."""
    given = asked(case, TELL, betas=["interleaved-thinking-2025-05-14"])
    words(await case.do(api(case).beta.messages, "create", **given))
    counted = await case.do(api(case).beta.messages, "count_tokens", **given_without(given, "max_tokens"))
    true(counted.input_tokens > 0, "not counted")


def given_without(given: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != name}


@scenario
async def message_by_token(case: Case) -> None:
    """With a bearer token in either generation, and the base URLs that users paste."""
    for path in ("", "/v1", "/anthropic"):
        kind = anthropic.Anthropic if case.mode.is_sync else anthropic.AsyncAnthropic
        client = kind(auth_token=case.key, base_url=case.url + path, max_retries=0, timeout=30)
        words(await case.do(client.messages, "create", **asked(case, TELL)))
        await case.do(client, "close")


@scenario
async def message_options(case: Case) -> None:
    more = {"metadata": {"user_id": "ann"}, "service_tier": "auto", "extra_body": SAMPLING}
    words(answered(await say(case, TELL, **more, extra_headers={"anthropic-beta": "none-such-2026-01-01"})))


@scenario
async def message_cut_short(case: Case) -> None:
    message = answered(await say(case, TELL, max_tokens=16), "max_tokens")
    true(message.usage.output_tokens <= 16, f"more than max_tokens: {message.usage!r}")
    _, message = await streamed(case, TELL, max_tokens=16)
    answered(message, "max_tokens")


@scenario
async def message_stopped(case: Case) -> None:
    stop, message = await stopped(case)
    true(stop not in words(message), f"{stop!r} in {words(message)!r}")


@scenario
async def message_stop_sequence(case: Case) -> None:
    stop, message = await stopped(case)
    equal((message.stop_reason, message.stop_sequence), ("stop_sequence", stop), "why it stopped")


async def stopped(case: Case) -> tuple[str, Any]:
    stop = words(answered(await say(case, TELL))).split()[3]
    return stop, await say(case, TELL, stop_sequences=[stop, "never said"])


@scenario
async def message_images(case: Case) -> None:
    said = [{"type": "image", "source": PICTURE}, {"type": "text", "text": "What is this? [[slow:0]]"}]
    text(words(answered(await say(case, said))), tells=PICTURE_SEEN)


@scenario
async def message_document(case: Case) -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "A weir is a low dam."}
    for source, seen in ((PDF, PDF_SEEN), (plain, "")):
        said = [
            {"type": "document", "source": source, "title": "Weirs"},
            {"type": "text", "text": "Sum it up. [[slow:0]]"},
        ]
        text(words(answered(await say(case, said))), tells=seen)


# ── thinking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

THINKING = {"type": "enabled", "budget_tokens": 1024}


@scenario
async def thinking(case: Case) -> None:
    message = answered(await say(case, THINK, thinking=THINKING))
    equal([block.type for block in message.content], ["thinking", "text"], "blocks")
    text(message.content[0].thinking, "the thoughts")
    replayed = [*asked(case, THINK)["messages"], {"role": "assistant", "content": message.content}]
    again = [*replayed, {"role": "user", "content": "Sure? [[slow:0]]"}]
    words(answered(await say(case, again, thinking=THINKING)))


@scenario
async def thinking_signed(case: Case) -> None:
    message = answered(await say(case, THINK, thinking=THINKING))
    text(message.content[0].signature, "the signature")


@scenario
async def thinking_streamed(case: Case) -> None:
    events, message = await streamed(case, THINK, thinking=THINKING)
    blocks_in_order(events)
    equal([block.type for block in answered(message).content], ["thinking", "text"], "blocks")
    thoughts = "".join(event.thinking for event in events if event.type == "thinking")
    equal(text(thoughts, "the thoughts"), message.content[0].thinking, "the whole thoughts")
    signed = [
        event for event in events if event.type == "content_block_delta" and event.delta.type == "signature_delta"
    ]
    equal([event.delta.signature for event in signed], [message.content[0].signature], "signatures")


@scenario
async def thinking_effort(case: Case) -> None:
    adaptive = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
    words(answered(await say(case, THINK, **adaptive)))
    words(answered(await say(case, THINK, thinking={"type": "disabled"})))


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def called(message: Any, count: int) -> list[Any]:
    calls = [block for block in message.content if block.type == "tool_use"]
    equal([call.name for call in calls], ["get_weather"] * count, "the calls")
    equal(len({call.id for call in calls} - {""}), count, "different ids")
    for call in calls:
        city(call.input)
    return calls


@scenario
async def tools(case: Case) -> None:
    for said, count in ((CALL, 1), (CALLS, 2)):
        message = answered(await say(case, said, tools=[TOOL]), "tool_use")
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": SUNNY}]}
            for call in called(message, count)
        ]
        turns = [{"role": "user", "content": said}, {"role": "assistant", "content": message.content}]
        done = answered(await say(case, [*turns, {"role": "user", "content": results}], tools=[TOOL]))
        text(words(done), tells=SUNNY)


@scenario
async def tools_failing(case: Case) -> None:
    turns = [
        {"role": "user", "content": CALL},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": "no such city"},
                {"type": "text", "text": "Never mind. [[slow:0]]"},
            ],
        },
    ]
    words(answered(await say(case, turns, tools=[TOOL], tool_choice={"type": "none"})))


@scenario
async def tools_showing(case: Case) -> None:
    """A result that is a picture."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}
    shown = [{"type": "text", "text": "a chart"}, {"type": "image", "source": PICTURE}]
    turns = [
        {"role": "user", "content": CALL},
        {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": shown}]},
    ]
    said = words(answered(await say(case, turns, tools=[TOOL])))
    true(PICTURE_SEEN in said and "a chart" in said, f"not all was seen: {said!r}")


@scenario
async def tools_nested(case: Case) -> None:
    tool = {"name": "plan_trip", "input_schema": Trip.model_json_schema()}
    message = answered(await say(case, PLAN, tools=[tool], tool_choice={"type": "any"}), "tool_use")
    Trip.model_validate(message.content[0].input)


@scenario
async def tools_forced(case: Case) -> None:
    for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}):
        called(answered(await say(case, CALL, tools=[TOOL], tool_choice=choice), "tool_use"), 1)


@scenario
async def tools_streamed(case: Case) -> None:
    events, message = await streamed(case, CALLS, tools=[TOOL])
    blocks_in_order(events)
    called(answered(message, "tool_use"), 2)
    pieces = [event for event in events if event.type == "input_json"]
    true(pieces, "no pieces of arguments")


@scenario
async def structured(case: Case) -> None:
    message = await case.do(api(case).messages, "parse", **asked(case, STATE, output_format=Weather))
    true(isinstance(answered(message).parsed_output, Weather), f"not parsed: {message!r}")


@scenario
async def structured_nested(case: Case) -> None:
    message = await case.do(api(case).messages, "parse", **asked(case, PLAN, output_format=Trip))
    true(isinstance(answered(message).parsed_output, Trip), f"not parsed: {message!r}")


@scenario
async def structured_streamed(case: Case) -> None:
    _, message = await streamed(case, STATE, output_format=Weather)
    true(isinstance(answered(message).parsed_output, Weather), f"not parsed: {message!r}")


# ── counting, models ──────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def count_tokens(case: Case) -> None:
    few = {"model": case.model, "messages": [{"role": "user", "content": "Hello [[slow:0]]"}]}
    more = few | {"system": TELL, "tools": [TOOL]}
    counted = [(await case.do(api(case).messages, "count_tokens", **each)).input_tokens for each in (few, more)]
    true(0 < counted[0] < counted[1], f"the counts: {counted}")


@scenario
async def models(case: Case) -> None:
    listed = await case.collect(await case.do(api(case).models, "list", limit=1000))
    true(case.model in [one.id for one in listed], f"{case.model} is not among {len(listed)}")
    got = await case.do(api(case).models, "retrieve", case.model)
    equal((got.id, got.type), (case.model, "model"), "the model")
    true(got.display_name and got.created_at.year > 1900, f"incomplete: {got!r}")
    await case.raises(anthropic.NotFoundError, api(case).models, "retrieve", "nobody/nothing")


@scenario
async def models_in_pages(case: Case) -> None:
    whole = [one.id for one in await case.collect(await case.do(api(case).models, "list", limit=1000))]
    pages = [one.id for one in await case.collect(await case.do(api(case).models, "list", limit=20))]
    equal(pages, whole, "the pages' models")


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def kind(error: Any) -> str:
    equal(error.body["type"], "error", "the body's type")
    true(error.body["error"]["message"], "no words")
    return str(error.body["error"]["type"])


async def refused(case: Case, expected: type[Exception], said: Any, key: str = "", **more: Any) -> Any:
    return await case.raises(expected, api(case, key).messages, "create", **asked(case, said, **more))


@scenario
async def error_wrong_key(case: Case) -> None:
    error = await refused(case, anthropic.AuthenticationError, TELL, key="sk-test-wrong")
    equal(kind(error), "authentication_error", "type")
    true(error.request_id, "no request id")
    await case.raises(anthropic.AuthenticationError, api(case, "sk-test-wrong").models, "list")


@scenario
async def error_unknown_model(case: Case) -> None:
    error = await refused(case, anthropic.NotFoundError, TELL, model="nobody-nothing")
    equal(kind(error), "not_found_error", "type")


@scenario
async def error_wrong_types(case: Case) -> None:
    for wrong in ({"max_tokens": "many"}, {"messages": "hello"}, {"messages": [{"role": "user", "content": 7}]}):
        error = await refused(case, anthropic.BadRequestError, TELL, **wrong)
        equal(kind(error), "invalid_request_error", "type")


@scenario
async def error_too_large(case: Case) -> None:
    error = await refused(case, anthropic.APIStatusError, TOO_LARGE)
    equal((error.status_code, kind(error)), (413, "request_too_large"), "status and type")


@scenario
async def error_too_long(case: Case) -> None:
    for more in ({}, {"stream": True}):
        error = await refused(case, anthropic.BadRequestError, TOO_LONG, model=case.fragile, **more)
        equal(kind(error), "invalid_request_error", "type")
        true("prompt is too long" in str(error), f"not the words that clients look for: {error}")


@scenario
async def error_busy(case: Case) -> None:
    """A busy upstream is not the caller's own limit."""
    for more in ({}, {"stream": True}):
        error = await refused(case, anthropic.OverloadedError, f"{case.unique} {BUSY}", model=case.crowded, **more)
        equal((error.status_code, kind(error)), (529, "overloaded_error"), "status and type")


@scenario
async def error_too_often(case: Case) -> None:
    async def often() -> None:
        for _ in range(3):
            await case.do(api(case, case.slow_key).messages, "create", **asked(case, TELL))

    try:
        await often()
    except anthropic.RateLimitError as error:
        equal(kind(error), "rate_limit_error", "type")
    else:
        raise AssertionError("no limit")


@scenario
async def error_in_the_stream(case: Case) -> None:
    stream = await case.do(api(case).messages, "create", **asked(case, DIES, model=case.fragile, stream=True))
    events, error = await case.breaks(anthropic.APIStatusError, stream)
    equal(events[0].type, "message_start", "the first event")
    true(kind(error) in ("api_error", "overloaded_error"), f"type: {kind(error)}")


if __name__ == "__main__":
    main(Case, (Mode("sync"), Mode("async")))
