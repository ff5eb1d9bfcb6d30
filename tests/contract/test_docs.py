"""What the documents tell people to type works as it stands: each command of their `sh` blocks is run, in order, beside
a live server; the README's curl line leaves a picture, and so does its Python."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.asking import ask
from tests.contract.environments import python_client
from tests.live import Live

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
MODEL = "black-forest-labs/flux-schnell"
ELSEWHERE = re.compile(r"penstock (serve|run|backup|channels test)\b")
"""Commands that other tests run, or that need a vendor."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [line.split("  #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if re.match(r"(\w+=\S+ )?penstock ", line) and not ELSEWHERE.search(line)]


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
    for line in commands(page):
        line = line.replace(" ID", f" {made_task(server)}").replace(" NAME", " default").replace("0.02", "0.000001")
        environment, words = {}, shlex.split(line)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environment[name] = value
        command = [sys.executable, "-m", *words, "--data", str(server.data)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
        done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_the_readmes_curl_leaves_a_picture(server: Live, tmp_path: Path) -> None:
    [block] = [block for block in blocks(ROOT / "README.md", "sh") if block.startswith("curl")]
    script = block.replace("http://127.0.0.1:8700", server.url)
    environment = os.environ | {"KEY": server.test_key}
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=60)
    Image.open(tmp_path / "boat.webp").verify()


def test_the_readmes_python_leaves_a_picture(server: Live, tmp_path: Path) -> None:
    [script] = blocks(ROOT / "README.md", "python")
    script = script.replace("http://127.0.0.1:8700", server.url).replace("sk-test-…", server.test_key)
    subprocess.run([python_client("replicate-1"), "-c", script], cwd=tmp_path, check=True, timeout=60)
    Image.open(tmp_path / "boat.webp").verify()


def test_what_make_run_prints_leaves_a_picture(tmp_path: Path) -> None:
    """The very lines, pasted into a shell."""
    with Live(tmp_path, options=("--welcome",)) as server:
        printed = server.log.read_text()
        script = printed[printed.index("curl -s") : printed.index("  Ctrl-C")]
        subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, timeout=60)
        Image.open(tmp_path / "boat.webp").verify()
