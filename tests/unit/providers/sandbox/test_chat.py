"""The pretend vendor's calls, in every format: what it answers reads back as meant, and scripts do as they say."""

import asyncio
import itertools
import json
import time
from pathlib import Path

import msgspec
import pytest

from penstock.canonical.chat import ChatRequest, Message, Reasoning, Text, Thinking, Tool, ToolCall, ToolChoice
from penstock.canonical.events import Counted, Finish, Finished, Started, TextDelta, collect
from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, total
from penstock.errors import (
    CallerError,
    ContentRefused,
    ContextTooLong,
    InvalidInput,
    PenstockError,
    Unsupported,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
)
from penstock.formats._base import Operation
from penstock.formats._installed import formats
from penstock.providers._base import Ask
from penstock.providers.sandbox import Sandbox, calls, talker
from penstock.providers.sandbox.vendor import Vendor

CHATS = [name for name, format in formats().items() if format.operation is Operation.CHAT]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "The weather of a city.", CITY)
QUICK = "sandbox/instant"


class Bench:
    def __init__(self, folder: Path):
        self.vendor, self.provider = Vendor(folder), Sandbox()

    async def whole(self, format, request, model=QUICK) -> list:
        """A whole answer's events. Raises what the provider makes of an error."""
        body = await self.answer(format, body_of(format, request), model)
        return formats()[format].read_reply(body)

    async def answer(self, format, body, model=QUICK) -> bytes:
        operation = formats()[format].operation
        ask = self.provider.call(operation, format).asked(body, model, stream=False)
        status, headers, said = await self.vendor.answer(ask)
        if status >= 400:
            wait = headers.get("retry-after")
            raise self.provider.refusal(status, json.loads(said), wait and float(wait), creates=True)
        return said

    async def pieces(self, format, request, model=QUICK):
        body = body_of(format, request, stream=True)
        ask = self.provider.call(Operation.CHAT, format).asked(body, model, stream=True)
        async for piece in self.vendor.stream(ask):
            yield piece

    async def streamed(self, format, request, model=QUICK) -> list:
        reader, events = formats()[format].reader(), []
        async for piece in self.pieces(format, request, model):
            events += [event for frame in reader.feed(piece) for event in frame.events]
        return events + [event for frame in reader.end() for event in frame.events]


def body_of(name, request, *, stream=False) -> bytes:
    format = formats()[name]
    request = msgspec.structs.replace(request, stream=stream)
    model = "gemini-2.5-flash" if name.startswith("gemini") else "m"  # others think otherwise
    return format.renamed(format.write_request(request, model).body, model, stream=stream)


def asked(said="Why is the sky blue?", **facts) -> ChatRequest:
    facts = {"max_tokens": 4000, **facts}
    return ChatRequest(model="m", messages=(Message("user", (Text(said),)),), **facts)


def text_of(events) -> str:
    return "".join(part.text for part in collect(events).content if isinstance(part, Text))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def anyio_backend():
    return "asyncio"


pytestmark = pytest.mark.anyio


# ── in every format ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CHATS)
async def test_a_stream_says_what_a_whole_answer_says(bench, name):
    whole, streamed = await bench.whole(name, asked()), await bench.streamed(name, asked())
    assert isinstance(streamed[0], Started) and sum(isinstance(event, Finished) for event in streamed) == 1
    assert text_of(whole) == text_of(streamed) == "".join(talker.answer(asked()).text)
    for one in (collect(whole), collect(streamed)):
        assert one.finish is Finish.STOP and one.model == QUICK and one.id
        assert total(one.usage, INPUT_UNITS) == 6
        assert total(one.usage, OUTPUT_UNITS) == len(talker.answer(asked()).text)
    assert sum(isinstance(event, TextDelta) for event in streamed) > 10


@pytest.mark.parametrize("name", CHATS)
async def test_tools_thoughts_and_results_go_round(bench, name):
    first = asked("The weather in Oslo and Bergen?", tools=(WEATHER,), thinking=Thinking("low", 1024, True, "auto"))
    for events in (await bench.whole(name, first), await bench.streamed(name, first)):
        done = collect(events)
        made = [part for part in done.content if isinstance(part, ToolCall)]
        thoughts = [part for part in done.content if isinstance(part, Reasoning)]
        assert [json.loads(call.arguments) for call in made] == [{"city": "Oslo"}, {"city": "Bergen"}]
        assert done.finish is Finish.TOOLS
        assert "last words" in thoughts[0].text
        read = formats()[name].read_request(body_of(name, first))
        assert total(done.usage, OUTPUT_UNITS) == sum(talker.answer(read).tokens.values())
    results = tuple(
        talker.ToolResult(call.id, (Text(f"rain in {json.loads(call.arguments)['city']}"),), call.name) for call in made
    )
    dialogue = (*first.messages, Message("assistant", tuple(done.content)), Message("user", results))
    said = text_of(await bench.whole(name, msgspec.structs.replace(first, messages=dialogue)))
    assert "rain in Oslo" in said and "rain in Bergen" in said


@pytest.mark.parametrize("name", CHATS)
async def test_limits_are_kept(bench, name):
    done = collect(await bench.streamed(name, asked(max_tokens=16)))
    assert (done.finish, total(done.usage, OUTPUT_UNITS)) == (Finish.LENGTH, 16)
    forced = asked("hello", tools=(WEATHER,), choice=ToolChoice("required"))
    assert collect(await bench.whole(name, forced)).finish is Finish.TOOLS


@pytest.mark.parametrize("name", [name for name, format in formats().items() if format.operation is Operation.COUNT])
async def test_a_count_is_what_a_call_reports(bench, name):
    plain = {"anthropic_count": "anthropic_messages", "gemini_count": "gemini_content"}.get(name, "openai_responses")
    request = asked("Count these words, please.", tools=(WEATHER,))
    counted = collect(await bench.whole(name, request)).usage
    assert counted[Unit.INPUT_TOKEN] == total(collect(await bench.whole(plain, request)).usage, INPUT_UNITS) > 6


async def test_embeddings_in_every_format(bench):
    one = await bench.answer("openai_embeddings", b'{"input":"a fox","model":"m"}', "text-embedding-3-small")
    assert len(json.loads(one)["data"][0]["embedding"]) == 1536
    done = collect(formats()["openai_embeddings"].read_reply(one))
    assert done.usage == {Unit.INPUT_TOKEN: 2}
    content = {"content": {"parts": [{"text": "a fox"}]}, "outputDimensionality": 8}
    two = await bench.answer("gemini_embeddings", json.dumps({"requests": [content] * 2}).encode(), "gemini-embedding")
    assert [len(vector["values"]) for vector in json.loads(two)["embeddings"]] == [8, 8]


async def test_moderation(bench):
    said = json.loads(await bench.answer("openai_moderations", b'{"input":["I will kill","a rose"]}', "omni"))
    assert [result["flagged"] for result in said["results"]] == [True, False] and said["model"] == "omni"


# ── pace ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_has_a_believable_pace(bench):
    start = time.monotonic()
    times = [time.monotonic() - start async for _ in bench.pieces("openai_chat", asked(), "acme/chat")]
    assert 0.1 < times[0] < 0.5 and 0.8 < times[-1] < 4.0
    assert len(times) > 10 and all(later > earlier for earlier, later in itertools.pairwise(times))


async def test_instant_and_slow(bench):
    start = time.monotonic()
    await bench.streamed("openai_chat", asked())
    instant = time.monotonic()
    await bench.whole("openai_chat", asked("Hello [[slow:0.6]]"), "acme/chat")
    assert instant - start < 0.3 and time.monotonic() - instant >= 0.6


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────────

EARLY = {
    "[[fail:out of ink]]": (UpstreamError, "out of ink"),
    "[[fail]]": (UpstreamError, "failed this call"),
    "[[refuse]]": (ContentRefused, "refused"),
    "[[context]]": (ContextTooLong, "does not fit"),
    "[[busy:1]]": (UpstreamBusy, "busy"),
    "[[flaky]]": (UpstreamBusy, "out of order"),
}


@pytest.mark.parametrize("directive", EARLY)
async def test_what_fails_early_fails_before_the_first_bit(bench, directive):
    kind, words = EARLY[directive]
    with pytest.raises(PenstockError, match=words) as refusal:
        await bench.whole("openai_chat", asked(f"Hello {directive}"))
    assert type(refusal.value) is kind
    with pytest.raises(PenstockError, match=words) as refusal:
        await anext(bench.pieces("openai_chat", asked(f"Hello {directive}")))
    assert type(refusal.value) is kind


async def test_busy_and_flaky_let_the_same_request_through_in_the_end(bench):
    for model, times in (("sandbox/busy", 2), ("sandbox/flaky", 1)):
        for _ in range(2):  # and then they begin anew
            for _ in range(times):
                with pytest.raises(UpstreamBusy) as refusal:
                    await bench.whole("openai_chat", asked("Hello [[slow:0]]"), model)
                assert refusal.value.retry_after_s == (1.0 if times == 2 else None)
            assert text_of(await bench.whole("openai_chat", asked("Hello [[slow:0]]"), model))


@pytest.mark.parametrize("name", CHATS)
async def test_dying_breaks_off_in_the_middle(bench, name):
    got = []
    with pytest.raises(UpstreamError, match="lost the connection"):
        async for piece in bench.pieces(name, asked("Hello [[die]]")):
            got += [piece]
    assert len(got) > 5
    with pytest.raises(UpstreamError, match="lost the connection"):
        await bench.whole(name, asked("Hello [[die]]"))


@pytest.mark.parametrize("name", CHATS)
async def test_a_cut_stream_ends_without_its_mark(bench, name):
    reader, events, count = formats()[name].reader(), [], 0
    async for piece in bench.pieces(name, asked("Hello [[cut:3]]")):
        count += 1
        events += [event for frame in reader.feed(piece) for event in frame.events]
    assert count == 3 and not reader.done
    assert not any(isinstance(event, Finished) for event in events)
    assert text_of(events)


async def test_hanging_never_ends(bench):
    got = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            async for piece in bench.pieces("openai_chat", asked("Hello [[slow:0]] [[hang]]"), "acme/chat"):
                got += [piece]
    assert len(got) > 5
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await bench.whole("openai_chat", asked("Hello [[slow:0]]"), "sandbox/hanging")


@pytest.mark.parametrize("name", CHATS)
async def test_usage_can_be_missing_zero_or_told_twice(bench, name):
    whole = [await bench.whole(name, asked(f"Hi [[usage:{word}]]")) for word in ("none", "zero", "twice")]
    none, zero, twice = (collect(events).usage for events in whole)
    assert total(none, (*INPUT_UNITS, *OUTPUT_UNITS)) == 0 and total(zero, (*INPUT_UNITS, *OUTPUT_UNITS)) == 0
    assert total(twice, INPUT_UNITS) > 0
    usual = await reports(bench, name, "Hi")
    twice = await reports(bench, name, "Hi [[usage:twice]]")
    assert len(twice) == len(usual) + 1 and twice[-1] == twice[-2]
    assert all(not any(report.values()) for report in await reports(bench, name, "Hi [[usage:zero]]"))


async def reports(bench, name, said) -> list:
    return [event.usage for event in await bench.streamed(name, asked(said)) if isinstance(event, Counted)]


async def test_a_stream_of_openai_without_usage_reports_none(bench):
    assert await reports(bench, "openai_chat", "Hi [[usage:none]]") == []


async def test_what_it_cannot_do_or_read_is_refused_in_its_words(bench):
    for body, kind in (
        (b"{", CallerError),
        (b'{"messages":3}', InvalidInput),
        (b'{"messages":[{"role":"user","content":"hi"}],"n":2}', Unsupported),
        (b'{"messages":[{"role":"user","content":"hi"}],"tools":' + b"[" * 5000 + b"]" * 5000 + b"}", CallerError),
    ):
        with pytest.raises(CallerError) as refusal:
            await bench.answer("openai_chat", body)
        assert isinstance(refusal.value, kind), body
    with pytest.raises(UpstreamForgot):
        bench.vendor.stream(Ask("POST", "/nowhere"))
    status, _, body = await bench.vendor.answer(Ask("POST", "/calls/unheard_of/m", b"{}"))
    assert status >= 400 and b"no such format" in body
    with pytest.raises(Unsupported):
        await anext(bench.vendor.stream(Ask("POST", "/calls/openai_embeddings/m", b'{"input":"x"}')))


def test_every_format_has_an_endpoint_of_its_own():
    for name, format in formats().items():
        assert Sandbox().call(format.operation, name).format is format


def test_what_a_refusal_says_comes_back_as_the_same_error():
    for kind in calls.REFUSALS.values():
        status, _, body = calls.refusal(kind("so it is"))
        back = Sandbox().refusal(status, json.loads(body), None, creates=True)
        assert (type(back), str(back)) == (kind, "so it is")
