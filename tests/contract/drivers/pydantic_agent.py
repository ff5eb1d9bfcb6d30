"""Drives agents of pydantic-ai, over OpenAI's two APIs and Anthropic's; see harness.py.

An agent asks, runs the tools that the model calls, sends back what they say, and checks the answer against a class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatting import CALL, STATE, SUNNY, TELL, Case, Weather, text
from harness import Mode, equal, main, scenario, true
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

QUICK = "[[slow:0]]"
"""In the instructions, where it holds for every turn."""


def by_chat(case: Case, model: str = "gpt-5.4") -> Any:
    return OpenAIChatModel(model, provider=OpenAIProvider(base_url=f"{case.url}/v1", api_key=case.key))


def by_responses(case: Case, model: str = "gpt-5.4") -> Any:
    return OpenAIResponsesModel(model, provider=OpenAIProvider(base_url=f"{case.url}/v1", api_key=case.key))


def by_messages(case: Case, model: str = "claude-sonnet-4-5") -> Any:
    return AnthropicModel(model, provider=AnthropicProvider(base_url=case.url, api_key=case.key))


WAYS: tuple[Callable[..., Any], ...] = (by_chat, by_responses, by_messages)


def teller(asked: list[str]) -> Callable[[str], str]:
    """A tool that notes what it was asked for."""

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return SUNNY

    return get_weather


@scenario
async def words(case: Case) -> None:
    for way in WAYS:
        done = await Agent(way(case), instructions="Be brief.").run(TELL)
        text(done.output)
        true(done.usage.input_tokens and done.usage.output_tokens, f"not counted: {done.usage!r}")
        went_on = await Agent(way(case)).run(f"And of canals? {QUICK}", message_history=done.all_messages())
        text(went_on.output)


@scenario
async def words_streamed(case: Case) -> None:
    for way in WAYS:
        async with Agent(way(case)).run_stream(TELL) as stream:
            pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
        text("".join(pieces))
        true(len(pieces) > 3, f"only {len(pieces)} pieces")


@scenario
async def tool(case: Case) -> None:
    for way in WAYS:
        asked: list[str] = []
        done = await Agent(way(case), instructions=QUICK, tools=[teller(asked)]).run(CALL)
        text(done.output, tells=SUNNY)
        equal(len(asked), 1, "calls")


@scenario
async def structured(case: Case) -> None:
    """As the answer itself, and as the arguments of a tool that must be called."""
    for way in WAYS:
        for kind in (NativeOutput(Weather), ToolOutput(Weather)):
            done = await Agent(way(case), instructions=QUICK, output_type=kind).run(STATE)
            true(isinstance(done.output, Weather), f"not parsed: {done.output!r}")


@scenario
async def tool_and_structured(case: Case) -> None:
    for way in WAYS:
        asked: list[str] = []
        agent = Agent(way(case), instructions=QUICK, tools=[teller(asked)], output_type=NativeOutput(Weather))
        true(isinstance((await agent.run(CALL)).output, Weather), "not parsed")
        equal(len(asked), 1, "calls")


@scenario
async def error(case: Case) -> None:
    for way in WAYS:
        failed = await case.raises(ModelHTTPError, Agent(way(case, "nobody-nothing")), "run", TELL)
        equal(failed.status_code, 404, "status")


if __name__ == "__main__":
    main(Case, (Mode("async"),))
