"""What OpenAI's refusals, and those of vendors like it, mean; how they are asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.providers.talks import recorded

from penstock import plugins
from penstock.canonical.chat import ChatRequest, EmbedRequest, Message, Text, ToolCall, ToolResult
from penstock.errors import (
    CallerError,
    ChannelRejected,
    ContentRefused,
    ContextTooLong,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
)
from penstock.formats._base import Operation
from penstock.providers._base import Provider
from penstock.providers.compatible import VENDORS
from penstock.providers.openai import OpenAI

PROVIDERS: dict[str, Provider] = plugins.find("providers", Provider)
NAMES = [vendor.name for vendor in VENDORS]
CHAT = ChatRequest(messages=(Message("user", (Text("Hi"),)),), max_tokens=9, stream=True, user="u", top_k=5)


def asked(name: str, request: ChatRequest = CHAT) -> dict[str, Any]:
    endpoint = PROVIDERS[name].call(Operation.CHAT, "openai_chat")
    assert endpoint is not None
    body = endpoint.format.write_request(request, "up").body
    return dict(json.loads(endpoint.asked(body, "up", stream=True).body or b""))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("401", ChannelRejected),
        ("404", UpstreamForgot),
        ("429_busy", UpstreamBusy),
        ("429_quota", ChannelRejected),
        ("429_moonshot", ChannelRejected),
        ("429_zhipu", ChannelRejected),
        ("400_context", ContextTooLong),
        ("400_policy", ContentRefused),
        ("400_field", CallerError),
        ("500", UpstreamError),
    ],
)
def test_refusals(name: str, kind: type[PenstockError]) -> None:
    found = recorded("openai", f"refused_{name}")
    error = OpenAI().refusal(found["status"], found["body"], 3.0, creates=False)
    assert type(error) is kind
    assert str(error) == found["body"]["error"]["message"]
    assert error.retry_after_s == 3.0


def test_a_page_in_the_place_of_an_error_is_not_quoted() -> None:
    assert "html" not in str(OpenAI().refusal(502, "<html>", None, creates=False))


def test_openai_is_asked_at_its_paths() -> None:
    paths = {endpoint.format.name: endpoint.path for endpoint in OpenAI.calls}
    assert paths["openai_embeddings"] == "/embeddings"
    assert paths["openai_moderations"] == "/moderations"
    ask = OpenAI.calls[0].asked(b'{"model":"m"}', "m", stream=True)
    assert (ask.method, ask.path, ask.body) == ("POST", "/chat/completions", b'{"model":"m"}')


@pytest.mark.parametrize("name", NAMES)
def test_every_vendor_is_found_and_can_chat(name: str) -> None:
    provider = PROVIDERS[name]
    assert provider.base_url.startswith(("http://", "https://")) or name in ("compatible", "azure")
    assert not provider.base_url.endswith("/")
    body = asked(name)
    assert (body["model"], body["stream"]) == ("up", True)
    assert body["max_completion_tokens" if name in ("azure", "xai") else "max_tokens"] == 9


def test_mistral_is_told_nothing_that_it_refuses() -> None:
    call, result = ToolCall("call_0fypS1hVX", "f"), ToolResult("call_0fypS1hVX")
    turns = (*CHAT.messages, Message("assistant", (call,)), Message("user", (result,)))
    body = asked("mistral", ChatRequest(messages=turns, stream=True, user="u", seed=1, store=False))
    assert set(body) == {"model", "messages", "stream"}
    assert len(body["messages"][2]["tool_call_id"]) == 9


def test_azure_has_a_header_of_its_own() -> None:
    assert PROVIDERS["azure"].auth.headers("k") == {"api-key": "k"}
    assert PROVIDERS["vllm"].auth.headers("") == {}


def test_moderation_at_openrouter_is_no_bad_key() -> None:
    body = {"error": {"code": 403, "message": "Your input was flagged."}}
    assert type(PROVIDERS["openrouter"].refusal(403, body, None, creates=False)) is ContentRefused
    assert type(PROVIDERS["groq"].refusal(403, body, None, creates=False)) is ChannelRejected


def test_vendors_that_send_plain_numbers_are_translated() -> None:
    endpoint = PROVIDERS["ollama"].call(Operation.EMBED, "openai_embeddings")
    assert endpoint is not None
    assert endpoint.format.name != "openai_embeddings"
    body = json.loads(endpoint.format.write_request(EmbedRequest("m", ("a",)), "up").body)
    assert body["encoding_format"] == "float"
    assert PROVIDERS["groq"].call(Operation.EMBED, "openai_embeddings") is None
