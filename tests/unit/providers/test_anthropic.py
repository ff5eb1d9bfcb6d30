"""What Anthropic says, as answers and errors: bodies as they are documented or reported."""

from __future__ import annotations

import json

import pytest
from tests.unit.providers.talks import recorded, reply

from penstock.canonical.chat import Reasoning, Text, ToolCall
from penstock.canonical.events import Counted, Finish, collect
from penstock.canonical.usage import Unit
from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContentRefused,
    ContextTooLong,
    PenstockError,
    TooLarge,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
    UpstreamTimeout,
)
from penstock.formats._base import Operation
from penstock.providers.anthropic import Anthropic

VENDOR = Anthropic()
REFUSALS: dict[str, type[PenstockError]] = {
    "credit_400": ChannelRejected,
    "limit_400": ChannelRejected,
    "long_400": ContextTooLong,
    "context_400": ContextTooLong,
    "filtered_400": ContentRefused,
    "invalid_400": CallerError,
    "key_401": ChannelRejected,
    "billing_402": ChannelRejected,
    "forbidden_403": ChannelRejected,
    "model_404": UpstreamForgot,
    "large_413": TooLarge,
    "rate_429": UpstreamBusy,
    "internal_500": UpstreamError,
    "timeout_504": UpstreamTimeout,
    "overloaded_529": UpstreamBusy,
}


@pytest.mark.parametrize(("name", "error"), REFUSALS.items(), ids=REFUSALS)
def test_what_a_refusal_means(name: str, error: type[PenstockError]) -> None:
    said = recorded("anthropic", name)
    exc = VENDOR.refusal(said["status"], said["body"], 7.0, creates=False)
    assert type(exc) is error
    assert (str(exc), exc.retry_after_s) == (said["body"]["error"]["message"], 7.0)


def test_a_page_in_place_of_json() -> None:
    assert type(VENDOR.refusal(400, "<html>", None, creates=False)) is CallerError
    assert type(VENDOR.refusal(503, None, None, creates=False)) is UpstreamBusy


def test_a_request_goes_out() -> None:
    endpoint = VENDOR.call(Operation.CHAT, "anthropic_messages")
    assert endpoint is not None
    ask = endpoint.asked(b"{}", "claude-sonnet-4-5", stream=True)
    assert (ask.method, ask.path) == ("POST", "/v1/messages")
    assert VENDOR.auth.headers("sk-ant") == {"x-api-key": "sk-ant", "anthropic-version": "2023-06-01"}
    count = VENDOR.call(Operation.COUNT, "gemini_count")
    assert count is not None
    assert count.path == "/v1/messages/count_tokens"


def test_an_answer_comes_in() -> None:
    done = collect(VENDOR.calls[0].format.read_reply(json.dumps(reply("anthropic", "message")).encode()))
    assert done.content == [
        Reasoning("They want the weather.", "EqQBCgIYAhIM", family="anthropic"),
        Text("Checking."),
        ToolCall("toolu_01A09q90qw90lq917835lq9", "get_weather", '{"city": "Oslo"}'),
    ]
    assert (done.finish, done.usage[Unit.OUTPUT_TOKEN], done.usage[Unit.REASONING_TOKEN]) == (Finish.TOOLS, 67, 20)


def test_a_count_comes_in() -> None:
    body = json.dumps(reply("anthropic", "count")).encode()
    assert VENDOR.calls[1].format.read_reply(body) == [Counted({Unit.INPUT_TOKEN: 412})]
