"""LiteLLM as the peer: its own proxy in an environment of its own, made from `litellm.lock` once and used again.

Set up as it was quickest in our trials, and so that it does less than we do: no database, one master key, no charges.
Without the OpenTelemetry SDK 1.106 tries and fails to import it on each request, which costs it 40 %.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

import msgspec

from bench import machine
from bench.ports import free_port
from bench.seeding import CHAT_MODEL

LOCK = Path(__file__).with_suffix(".lock")
CACHE = Path(".cache")
KEY = "sk-bench"
INSTALL_WITHIN_S, READY_WITHIN_S = 900.0, 120.0
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "NO_PROXY": "*"}


class Unavailable(Exception):
    """Why LiteLLM can't be measured here."""


class LiteLLM:
    """Serves the chat model from an upstream in OpenAI's words. Raises Unavailable."""

    def __init__(self, folder: Path, upstream: str) -> None:
        program = _environment() / "bin" / "litellm"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_bytes(_config(upstream))
        self.log = folder / "log"
        serving = ["--host", "127.0.0.1", "--port", str(self.port), "--num_workers", "1"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(program), "--config", str(folder / "config.yaml"), *serving],
                env=os.environ | QUIET,
                cwd=folder,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: machine.pin(machine.SERVER_CORE),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def rss_mb(self) -> float:
        return machine.rss_mb(self.pid)

    def __enter__(self) -> Self:
        until = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/health/liveliness", timeout=5).close()
            except OSError:
                time.sleep(0.2)
            else:
                return self
        self.__exit__()
        raise Unavailable(f"it did not start: {' '.join(self.log.read_text(errors='replace').split())[-300:]}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def version() -> str:
    """As the lock names it."""
    found = re.search(r"^litellm==(\S+)", LOCK.read_text(), re.MULTILINE)
    return found[1] if found else "?"


def _config(upstream: str) -> bytes:
    """JSON is YAML."""
    behind = {"model": f"openai/{CHAT_MODEL}", "api_base": f"{upstream}/v1", "api_key": "none"}
    models = [{"model_name": CHAT_MODEL, "litellm_params": behind}]
    return msgspec.json.encode({"model_list": models, "general_settings": {"master_key": KEY}})


def _environment() -> Path:
    """The folder of its environment; one that was left half-made is made again."""
    made_from = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    folder = (CACHE / f"litellm-{made_from[:16]}").absolute()
    complete = folder / ".complete"
    if not complete.exists():
        print("making an environment for LiteLLM (once, some minutes) …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _done(sys.executable, "-m", "venv", str(folder))
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        _done(*pip, "--require-hashes", "-r", str(LOCK))
        complete.touch()
    return folder


def _done(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise Unavailable("its environment took too long to make") from None
    if done.returncode:
        raise Unavailable(f"its environment could not be made: {' '.join(done.stderr.split())[-300:]}")
