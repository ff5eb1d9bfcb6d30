"""wrk, with `wrk.lua`: so many connections, for so long, paths drawn at random."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import machine
from bench.machine import Span, spanning

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Load:
    """`pause_ms` paces every connection; the tool starts the next request so long after an answer."""

    url: str
    paths: Iterable[str]
    key: str = ""
    body: str | None = None
    connections: int = 64
    seconds: int = 5
    pause_ms: int = 0

    def at(self, url: str) -> Load:
        return replace(self, url=url)


@dataclass(frozen=True)
class Result:
    requests: int
    seconds: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float
    bytes: int
    span: Span

    @property
    def per_s(self) -> float:
        return (self.requests - self.refused) / self.seconds

    @property
    def per_cpu_s(self) -> float:
        return (self.requests - self.refused) / self.span.cpu_s if self.span.cpu_s else 0.0


def trouble(result: Result) -> str:
    """In words, what went wrong; empty if nothing did."""
    return f"; {result.refused} refused, {result.broken} broken" if result.refused or result.broken else ""


def run(load: Load, pid: int) -> Result:
    """Put the load on the server with this process id."""
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as paths, spanning(pid) as span:
        paths.write("\n".join(load.paths))
        paths.flush()
        said, _ = _start(load, paths.name).communicate(timeout=load.seconds + 60)
    return Result(**json.loads(said.strip().splitlines()[-1]), span=span)


def _start(load: Load, paths: str) -> subprocess.Popen[str]:
    given = {"PATHS": paths, "KEY": load.key, "PAUSE_MS": str(load.pause_ms)}
    if load.body is not None:
        given |= {"METHOD": "POST", "BODY": load.body}
    size = ["-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "10s"]
    return subprocess.Popen(
        ["wrk", *size, "-s", str(SCRIPT), load.url],
        env=os.environ | given,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: machine.pin(machine.LOAD_CORE),
    )
