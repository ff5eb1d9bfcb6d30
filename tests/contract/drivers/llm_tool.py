"""Drives `llm`, the command-line tool, set up as its users do: a model of its own in a file; see harness.py.

Quirks: the key of such a model is a named one in `keys.json`; its embedding models can't be told where to go, so the
variable of OpenAI's client says it; a folder of its own keeps what it logs.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatting import CALL, PICTURE_SEEN, STATE, SUNNY, TELL, Case, Weather, text, vectors
from harness import PICTURE, Mode, equal, main, scenario, true

LLM = Path(sys.executable).parent / "llm"
FUNCTION = f'def get_weather(city: str) -> str:\n    "The weather in a city."\n    return "{SUNNY}"\n'


@contextmanager
def home(case: Case) -> Iterator[Path]:
    """The tool's folder, with a model for each API of OpenAI's."""
    able = {"supports_schema": True, "supports_tools": True, "vision": True, "api_key_name": "penstock"}
    model = able | {"model_name": case.model, "api_base": f"{case.url}/v1"}
    models = [model | {"model_id": "by-chat"}, model | {"model_id": "by-responses", "responses": True}]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "extra-openai-models.yaml").write_text(json.dumps(models))  # JSON is YAML
        (Path(folder) / "keys.json").write_text(json.dumps({"penstock": case.key}))
        (Path(folder) / "boat.png").write_bytes(PICTURE)
        yield Path(folder)


async def llm(case: Case, folder: Path, *words: str) -> str:
    """What the command prints. Raises AssertionError with its words where it fails."""
    told = {"LLM_USER_PATH": str(folder), "OPENAI_API_KEY": case.key, "OPENAI_BASE_URL": f"{case.url}/v1"}
    streams = {
        "stdin": asyncio.subprocess.DEVNULL,
        "stdout": asyncio.subprocess.PIPE,
        "stderr": asyncio.subprocess.PIPE,
    }
    child = await asyncio.create_subprocess_exec(str(LLM), *words, env=os.environ | told, cwd=folder, **streams)
    out, err = await child.communicate()
    true(child.returncode == 0, f"`llm {' '.join(words)}` ended with {child.returncode}: {err.decode()}{out.decode()}")
    return out.decode()


@scenario
async def prompts(case: Case) -> None:
    """Streamed and not, and what it logs of it."""
    with home(case) as folder:
        streamed = await llm(case, folder, "-m", "by-chat", "-s", "Be brief.", TELL)
        whole = await llm(case, folder, "-m", "by-responses", "-s", "Be brief.", "--no-stream", TELL)
        equal(text(streamed), whole, "the streamed text")
        logged = json.loads(await llm(case, folder, "logs", "--json", "-n", "0"))
        equal(len(logged), 2, "what it logged")
        true(all(one["input_tokens"] and one["output_tokens"] for one in logged), f"not counted: {logged!r}")


@scenario
async def goes_on(case: Case) -> None:
    with home(case) as folder:
        await llm(case, folder, "-m", "by-responses", TELL)
        text(await llm(case, folder, "-m", "by-responses", "-c", "And of canals?"))


@scenario
async def schema(case: Case) -> None:
    with home(case) as folder:
        asked = ("--schema", json.dumps(Weather.model_json_schema()), STATE)
        Weather.model_validate_json(await llm(case, folder, "-m", "by-responses", *asked))
        short = json.loads(await llm(case, folder, "-m", "by-chat", "--schema", "city, degrees int", STATE))
        equal({name: type(value) for name, value in short.items()}, {"city": str, "degrees": int}, "the answer")


@scenario
async def tool(case: Case) -> None:
    with home(case) as folder:
        for model in ("by-chat", "by-responses"):
            text(await llm(case, folder, "-m", model, "--functions", FUNCTION, CALL), tells=SUNNY)


@scenario
async def picture(case: Case) -> None:
    with home(case) as folder:
        text(await llm(case, folder, "-m", "by-chat", "What is this?", "-a", "boat.png"), tells=PICTURE_SEEN)


@scenario
async def embedding(case: Case) -> None:
    with home(case) as folder:
        vectors([json.loads(await llm(case, folder, "embed", "-m", "3-small-512", "-c", "a boat"))], 1, 512)


@scenario
async def endpoint(case: Case) -> None:
    """Without any setting up."""
    with home(case) as folder:
        where = ("openai", "endpoint", f"{case.url}/v1", "--key", case.key)
        true(case.model in (await llm(case, folder, *where, "--models")).split(), f"{case.model} is not in the list")
        text(await llm(case, folder, *where, "-m", case.model, TELL))


if __name__ == "__main__":
    main(Case, (Mode("sync"),))
