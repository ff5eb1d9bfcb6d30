"""What the documents tell people to type works as it stands: each command of their `sh` blocks is run, in order, beside
a live server; each block of Python with the client that it imports, each line of curl in a shell. The README's leave a
picture. What they name is there: settings, and vendors."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from penstock.config import Settings
from penstock.providers.compatible import VENDORS
from tests.asking import ask
from tests.contract.environments import python_client
from tests.live import Live

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
EVERY = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
HERE = "http://127.0.0.1:8700"
CLIENTS = {"openai": "openai-3", "anthropic": "anthropic-2", "google": "genai-3", "replicate": "replicate-1"}
"""By what an example imports, the environment that it is run in."""
OTHERS = {"API_KEY", "CREDENTIAL", "IMPORT_KEY", "TESTS_COMPLETE"}
"""What commands and tests read from the environment, beside the settings."""
MODEL = "black-forest-labs/flux-schnell"
ELSEWHERE = re.compile(r"penstock (serve|run|backup|channels test|import|prices import|apply moved)\b")
"""Commands that other tests run, or that need a vendor."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [line.split("  #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if re.match(r"(\w+=\S+ )?penstock ", line) and not ELSEWHERE.search(line)]


def curls(page: Path) -> list[str]:
    return [block for block in blocks(page, "sh") if block.startswith("curl")]


def examples() -> list[Any]:
    """Every block of Python that is a whole program, with the client that it needs."""
    found = []
    for page in (ROOT / "README.md", *PAGES):
        for number, block in enumerate(blocks(page, "python"), 1):
            words = re.findall(r"^(?:from|import) (\w+)", block, re.MULTILINE)
            imported = next(word for word in words if word in CLIENTS)
            found.append(pytest.param(CLIENTS[imported], block, id=f"{page.name}-{number}-{imported}"))
    return found


def in_shell(server: Live, script: str, folder: Path) -> str:
    """What it prints."""
    command = ["sh", "-c", script.replace(HERE, server.url)]
    environment = os.environ | {"KEY": server.test_key, "ADMIN": server.admin_key}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("documents")) as running:
        running.cli("accounts", "create", "default")
        yield running


def made_task(server: Live) -> str:
    """An ended live task that cost something, for the commands that want one's id."""
    url = f"{server.url}/replicate/v1/models/{MODEL}/predictions"
    done = ask(url, "POST", key=server.test_key, body={"input": {"prompt": "x"}}, prefer="wait").json
    assert done["status"] == "succeeded"
    return str(done["id"])


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_work(server: Live, page: Path, tmp_path: Path) -> None:
    """Beside a `penstock.toml` of all that the page has in TOML."""
    (tmp_path / "penstock.toml").write_text("\n".join(blocks(page, "toml")))
    for line in commands(page):
        line = line.replace(" ID", f" {made_task(server)}").replace(" NAME", " default").replace("0.02", "0.000001")
        environment, words = {}, shlex.split(line)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environment[name] = value
        command = [sys.executable, "-m", *words, "--data", str(server.data)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
        clean |= environment
        done = subprocess.run(command, env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_the_readmes_curl_leaves_a_picture(server: Live, tmp_path: Path) -> None:
    [block] = [block for block in blocks(ROOT / "README.md", "sh") if block.startswith("curl")]
    in_shell(server, block, tmp_path)
    Image.open(tmp_path / "boat.webp").verify()


@pytest.mark.parametrize("page", [page for page in PAGES if curls(page)], ids=lambda page: page.name)
def test_the_curl_lines_of_a_page_are_answered(server: Live, page: Path, tmp_path: Path) -> None:
    for block in curls(page):
        answer = json.loads(in_shell(server, block, tmp_path))
        assert "error" not in answer, f"{block}\n{answer}"


@pytest.mark.parametrize(("client", "script"), examples())
@pytest.mark.timeout(400)  # the first one makes the client's environment
def test_the_python_of_the_pages_works(server: Live, client: str, script: str, tmp_path: Path) -> None:
    script = script.replace(HERE, server.url).replace("sk-test-…", server.test_key)
    command = [str(python_client(client)), "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    if "boat.webp" in script:
        Image.open(tmp_path / "boat.webp").verify()
    else:
        assert "sandbox" in done.stdout, f"{script}\n{done.stdout}"


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.name)
def test_the_settings_that_a_page_names_exist(page: Path) -> None:
    named = {name.rstrip("_") for name in re.findall(r"PENSTOCK_([A-Z_]+)", page.read_text())}
    assert {name.lower() for name in named - OTHERS} <= set(Settings.model_fields)


def test_every_vendor_is_named() -> None:
    page = (ROOT / "docs" / "first-channel.md").read_text()
    assert [vendor.name for vendor in VENDORS if f"`{vendor.name}`" not in page] == []


def test_what_make_run_prints_leaves_a_picture(tmp_path: Path) -> None:
    """The very lines, pasted into a shell."""
    with Live(tmp_path, options=("--welcome",)) as server:
        printed = server.log.read_text()
        script = printed[printed.index("curl -s") : printed.index("  Ctrl-C")]
        subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, timeout=60)
        Image.open(tmp_path / "boat.webp").verify()
