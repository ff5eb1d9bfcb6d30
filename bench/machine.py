"""The machine under the figures: its cores, what runs on it, and how much of a core a process used."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
"""The server under test has a core to itself; upstream and load share the other, if there is one."""

PARTS = ("uvicorn", "uvloop", "httptools", "pyreqwest", "msgspec", "sqlalchemy")
TOOLS = {"nginx": ("-v", r"nginx/(\S+)"), "wrk": ("-v", r"wrk \S*?([\d.]+)")}


@dataclass
class Span:
    """What happened between two moments: seconds, CPU seconds of the process under test, and what others took."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    foreign: float = field(default=0.0)
    """The part of the server's core that went to neither the server nor idleness; interrupts are in it."""


@contextmanager
def spanning(pid: int) -> Iterator[Span]:
    span, began, cpu, busy = Span(), time.monotonic(), cpu_s(pid), _busy_s(SERVER_CORE)
    yield span
    span.seconds = time.monotonic() - began
    span.cpu_s = cpu_s(pid) - cpu
    span.foreign = max(0.0, _busy_s(SERVER_CORE) - busy - span.cpu_s) / span.seconds


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of the children that it waited for; of nginx, whose worker is a child, of all."""
    return sum(_own_cpu_s(each) for each in (pid, *_children(pid)))


def rss_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def described() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    found = {
        "cpu": f"{cpu[1] if cpu else platform.machine()}, {len(CORES)} cores",
        "one loop": f"{loop_ms():.0f} ms",
        "load": " ".join(f"{each:.2f}" for each in os.getloadavg()),
        "python": sys.version.split()[0],
        "sqlite": _sqlite(),
    }
    return found | {name: version(name) for name in PARTS} | {name: tool(name) or "missing" for name in TOOLS}


def loop_ms() -> float:
    """CPU time of two million rounds of a plain loop: how fast this machine is just now, for figures to be compared."""
    began, total = time.process_time(), 0
    for number in range(2_000_000):
        total += number & 7
    return (time.process_time() - began) * 1000


def tool(name: str) -> str | None:
    """The version of a program, None where it is not installed."""
    if not shutil.which(name):
        return None
    option, pattern = TOOLS[name]
    said = subprocess.run([name, option], capture_output=True, text=True, check=False)
    found = re.search(pattern, said.stdout + said.stderr)
    return found[1] if found else "?"


def pin(core: int) -> None:
    """For a child before it starts: stay on this core."""
    os.sched_setaffinity(0, {core})


def _own_cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _busy_s(core: int) -> float:
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _wait, irq, soft, steal = (int(each) for each in line.split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


def _sqlite() -> str:
    import sqlite3

    return sqlite3.sqlite_version
