"""What the sandbox says in a chat: it tells what it is, what it was given, calls tools by rule, keeps the limits."""

import base64
import json
import wave
from io import BytesIO

import jsonschema_rs
import pytest
from PIL import Image

from penstock.canonical.chat import (
    ChatRequest,
    EmbedRequest,
    HostedTool,
    JsonOutput,
    Media,
    Message,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from penstock.canonical.events import Finish
from penstock.canonical.usage import Unit
from penstock.errors import InvalidInput, Unsupported
from penstock.providers.sandbox import embedding, moderation, talker, tokens

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "The weather of a city.", CITY)
CLOCK = Tool("current_time", "What time it is.")
LISTED = ("Oslo", "Bergen", "New York")
READ = Tool("Read", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


def chat(*said, **facts) -> ChatRequest:
    parts = tuple(Text(part) if isinstance(part, str) else part for part in said)
    return ChatRequest(model="acme/chat", messages=(Message("user", parts),), **facts)


def text_of(*said, **facts) -> str:
    return "".join(talker.answer(chat(*said, **facts)).text)


def called(*said, **facts) -> list[tuple[str, dict]]:
    made = talker.answer(chat(*said, tools=(WEATHER, CLOCK, READ), **facts))
    assert (made.finish is Finish.TOOLS) == bool(made.calls)
    return [(call.name, json.loads(call.arguments)) for call in made.calls]


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_says_that_it_is_a_sample_and_reflects_the_last_words():
    said = text_of("Why is the sky blue? [[slow:5]]")
    assert "sandbox" in said and "sample" in said and "Why is the sky blue?" in said and "[[" not in said
    assert said == text_of("Why is the sky blue?") != text_of("Why is the sky blue?", seed=7)


def test_only_the_last_turn_is_answered():
    before = (Message("system", (Text("Be brief."),)), Message("user", (Text("cats"),)))
    between = Message(
        "assistant",
        (
            Reasoning("hm", "s", family="x"),
            Text("Here."),
        ),
    )
    request = ChatRequest(messages=(*before, between, Message("user", (Text("dogs"),))))
    said = "".join(talker.answer(request).text)
    assert "dogs" in said and "cats" not in said


def test_directives_are_read_in_system_words_and_the_last_turn_alone():
    turns = (Message("system", (Text("[[slow:1]]"),)), Message("user", (Text("[[fail]]"),)))
    request = ChatRequest(messages=(*turns, Message("assistant", (Text("x"),)), Message("user", (Text("[[cut]]"),))))
    assert talker.directed(request) == "[[slow:1]]\n[[cut]]"


@pytest.mark.parametrize("most", [0, 1, 7, 10_000])
def test_max_tokens_is_exact(most):
    whole, cut = talker.answer(chat("a fox")), talker.answer(chat("a fox", max_tokens=most))
    assert cut.text == whole.text[:most]
    assert cut.finish is (Finish.LENGTH if most < 10_000 else Finish.STOP)
    assert cut.tokens == {Unit.OUTPUT_TOKEN: min(most, len(whole.text))}


def test_stop_sequences_end_the_text_at_the_first_one_met():
    answer = talker.answer(chat("a fox", stop=("nowhere", "a fox", "")))
    assert (answer.finish, answer.words) == (Finish.STOP_SEQUENCE, "a fox")
    assert "".join(answer.text) == text_of("a fox").partition("a fox")[0]


@pytest.mark.parametrize(
    "thinking", [Thinking(effort="high"), Thinking(budget=2000), Thinking(budget=-1), Thinking(visible=True)]
)
def test_thoughts_come_first_are_proved_and_count(thinking):
    answer = talker.answer(chat("a fox", thinking=thinking))
    assert "a fox" in "".join(answer.thoughts) and answer.seal
    assert answer.tokens[Unit.REASONING_TOKEN] == len(answer.thoughts)
    cut = talker.answer(chat("a fox", thinking=thinking, max_tokens=5))
    assert (len(cut.thoughts), cut.text, cut.finish) == (5, (), Finish.LENGTH)


@pytest.mark.parametrize("thinking", [None, Thinking(effort="none"), Thinking(budget=0)])
def test_without_thinking_there_are_no_thoughts(thinking):
    answer = talker.answer(chat("a fox", thinking=thinking))
    assert not answer.thoughts and not answer.seal and Unit.REASONING_TOKEN not in answer.tokens


@pytest.mark.parametrize(("facts", "words"), [({"choices": 2}, "one answer"), ({"speaks": True}, "does not speak")])
def test_what_it_cannot_do_is_refused(facts, words):
    with pytest.raises(Unsupported, match=words):
        talker.answer(chat("a fox", **facts))


def test_a_picture_is_drawn_where_one_is_wanted():
    answer = talker.answer(chat("a fox", draws=True))
    image = Image.open(BytesIO(base64.b64decode(answer.picture.data)))
    assert (image.format, image.size) == ("PNG", (1024, 1024))
    assert answer.tokens[Unit.IMAGE_OUTPUT_TOKEN] > 0


# ── what it was given ─────────────────────────────────────────────────────────────────────────────────────────────────


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def picture(format="JPEG", size=(300, 150)) -> Media:
    out = BytesIO()
    Image.new("RGB", size).save(out, format)
    return Media("image", "image/png", encoded(out.getvalue()))  # named amiss on purpose: the bytes count


def sound(seconds=2) -> Media:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        file.writeframes(bytes(2 * 8000 * seconds))
    return Media("audio", "audio/wav", encoded(out.getvalue()))


PDF = b"%PDF-1.4\n1 0 obj <</Type /Pages /Count 2>> endobj 2 0 obj <</Type /Page>> endobj 3 0 obj <</Type/Page/X 1>>"


@pytest.mark.parametrize(
    ("media", "words"),
    [
        (picture(), "a JPEG picture of 300 × 150 pixels"),
        (picture("PNG", (64, 32)), "a PNG picture of 64 × 32 pixels"),
        (sound(), "a WAV sound of 2.0 seconds"),
        (Media("audio", "audio/mpeg", encoded(b"ID3 something")), "a sound of 13 bytes"),
        (Media("document", "application/pdf", encoded(PDF)), "a PDF of 2 pages"),
        (Media("document", "text/plain", encoded(b"one two three")), "a document of 3 words"),
        (Media("document", "application/zip", encoded(b"PK12"), name="a.zip"), "a document of 4 bytes named “a.zip”"),
        (Media("video", "video/mp4", encoded(b"12345")), "a film of 5 bytes"),
        (Media("image", url="https://example.com/x.png"), "a link to a picture, which is not followed here"),
        (Media("document", file="file-1"), "a document by its file's id"),
    ],
)
def test_it_tells_what_it_was_given(media, words):
    assert f"You gave me {words}." in text_of("What is this?", media)
    assert sum(tokens.of_chat(chat(media)).values()) > 0


@pytest.mark.parametrize("data", ["AAAA", "not base64!", encoded(b"\x89PNG\r\n\x1a\n broken")])
def test_a_picture_that_cannot_be_read_is_refused(data):
    with pytest.raises(InvalidInput):
        text_of("What is this?", Media("image", "image/png", data))


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ("What is the weather in Oslo?", [("get_weather", {"city": "Oslo"})]),
        ("please get_weather of Oslo", [("get_weather", {"city": "Oslo"})]),
        ("the weather in Oslo, Bergen and New York", [("get_weather", {"city": city}) for city in LISTED]),
        ("the weather in Oslo and the time", [("get_weather", {"city": "Oslo"}), ("current_time", {})]),
        ("read me a poem, then get some tea", []),
        ('use the Read tool on "a.txt"', [("Read", {"path": "a.txt"})]),
        ("hello", []),
        ("feather", []),
    ],
)  # fmt: skip
def test_tools_are_called_when_they_are_mentioned(said, made):
    assert called(said) == made


def test_the_choice_of_tools_is_kept():
    both = "the weather in Oslo and the time"
    assert called("hello", choice=ToolChoice("required"))[0][0] == "get_weather"
    assert called("hello", choice=ToolChoice("required", ("current_time",))) == [("current_time", {})]
    assert called(both, choice=ToolChoice("auto", ("current_time",))) == [("current_time", {})]
    assert called(both, choice=ToolChoice("none")) == []
    assert len(called(both, choice=ToolChoice(parallel=False))) == 1


def test_arguments_satisfy_their_schema():
    schema = {
        "type": "object",
        "properties": {"unit": {"enum": ["kelvin", "celsius"]}, "days": {"type": "integer", "maximum": 9}},
        "required": ["unit", "days"],
    }
    request = chat("weather for 5 days in celsius", tools=(Tool("weather", parameters=schema),))
    arguments = json.loads(talker.answer(request).calls[0].arguments)
    assert arguments == {"unit": "celsius", "days": 5}


def test_results_are_quoted_and_end_the_round():
    call = ToolCall("c1", "get_weather", '{"city":"Oslo"}')
    result = ToolResult("c1", (Text("12 °C and rain"),), "get_weather")
    failed = ToolResult("c2", (Text("no such city"), picture()), failed=True)
    asked = Message("user", (Text("The weather in Oslo?"),))
    request = ChatRequest(
        messages=(asked, Message("assistant", (call,)), Message("user", (result, failed))), tools=(WEATHER,)
    )
    answer = talker.answer(request)
    said = "".join(answer.text)
    assert answer.finish is Finish.STOP and not answer.calls
    assert "The tool get_weather said “12 °C and rain”." in said
    assert "The tool failed and said “no such city” and a JPEG picture of 300 × 150 pixels." in said


def test_ids_of_calls_differ_between_turns_and_not_between_attempts():
    first = chat("weather in Oslo and Bergen", tools=(WEATHER,))
    later = ChatRequest(
        messages=(*first.messages, Message("assistant", (Text("x"),)), *first.messages), tools=(WEATHER,)
    )
    ids = [call.id for request in (first, first, later) for call in talker.answer(request).calls]
    assert ids[:2] == ids[2:4] and len(set(ids)) == 4


def test_a_call_that_does_not_fit_is_not_made():
    answer = talker.answer(chat("weather in Oslo and Bergen", tools=(WEATHER,), max_tokens=14))
    assert (len(answer.calls), answer.finish) == (1, Finish.LENGTH)


def test_custom_tools_get_text():
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": r"\d{2}:\d{2}"}}
    tools = (Tool("poem", custom=True), Tool("alarm", custom=True, grammar=grammar))
    poem, alarm = talker.answer(chat("a poem and an alarm", tools=tools)).calls
    assert (poem.custom, poem.arguments, alarm.arguments) == (True, "a poem and an alarm", "11:11")
    lark = Tool("alarm", custom=True, grammar={"syntax": "lark", "definition": "start: x"})
    with pytest.raises(Unsupported, match="grammar"):
        talker.answer(chat("an alarm", tools=(lark,)))


def test_tools_of_the_vendor_are_left_alone():
    assert text_of("search the web", tools=(HostedTool("web_search", "x", {}),))


# ── structured output ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_of_a_schema_and_of_none():
    made = json.loads(text_of("the weather in Oslo", output=JsonOutput(CITY)))
    assert made == {"city": "Oslo"} and jsonschema_rs.is_valid(CITY, made)
    assert json.loads(text_of("the weather in Oslo", output=JsonOutput())) == {"sample": True, "about": "Oslo"}


# ── counting, vectors, moderation ─────────────────────────────────────────────────────────────────────────────────────


def test_everything_that_is_read_counts():
    bare = tokens.of_chat(chat("a fox"))
    assert bare == {Unit.INPUT_TOKEN: 2}
    rich = tokens.of_chat(chat("a fox", picture(size=(750, 100)), sound(), tools=(WEATHER,)))
    assert rich[Unit.INPUT_TOKEN] > 2
    assert (rich[Unit.IMAGE_INPUT_TOKEN], rich[Unit.AUDIO_INPUT_TOKEN]) == (100, 64)
    assert tokens.of_embed(EmbedRequest(inputs=("a fox", (1, 2, 3)))) == {Unit.INPUT_TOKEN: 5}


def near(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_vectors_are_of_length_one_and_similar_texts_are_near():
    fox, foxes, ship, same = embedding.vectors(
        EmbedRequest(
            inputs=("a red fox in snow", "red foxes in the snow", "container ships at sea", "a red fox in snow")
        )
    )
    assert len(fox) == 1536 and near(fox, fox) == pytest.approx(1, abs=1e-5)
    assert fox == same and near(fox, foxes) > near(fox, ship) + 0.3


@pytest.mark.parametrize(
    ("model", "asked", "size"),
    [
        ("openai/text-embedding-3-small", None, 1536),
        ("text-embedding-3-large", None, 3072),
        ("gemini-embedding-001", None, 3072),
        ("text-embedding-004", None, 768),
        ("google/gemini-other", None, 768),
        ("acme/vectors", 8, 8),
    ],
)
def test_dimensions(model, asked, size):
    made = embedding.vectors(EmbedRequest(model, ("", "a fox", (1, 2)), asked))
    assert [len(one) for one in made] == [size] * 3
    assert all(near(one, one) == pytest.approx(1, abs=1e-5) for one in made)


def test_too_many_dimensions_are_refused():
    with pytest.raises(InvalidInput, match="4096"):
        embedding.vectors(EmbedRequest("m", ("x",), 5000))


def moderated(given) -> list[dict]:
    return json.loads(moderation.answer(json.dumps({"input": given}).encode(), "m"))["results"]


def test_moderation_flags_words_and_directives():
    kind, cruel = moderated(["a kind word", "I will kill you"])
    assert not kind["flagged"] and not any(kind["categories"].values())
    assert cruel["flagged"] and cruel["categories"]["violence"] and cruel["category_scores"]["violence"] > 0.9
    assert moderated("x [[flag:self-harm/intent]]")[0]["categories"]["self-harm/intent"]
    parts = [{"type": "text", "text": "a bomb"}, {"type": "image_url", "image_url": {"url": "https://example.com/x"}}]
    assert [one["categories"]["illicit/violent"] for one in moderated(parts)] == [True]


@pytest.mark.parametrize("given", [None, 3, [], [1], ["x", {}]])
def test_moderation_of_nothing_is_refused(given):
    with pytest.raises(InvalidInput, match="input"):
        moderated(given)
