"""`python -m bench.reader`, a `Reading` as JSON on standard input: keeps so many streams open, counts what comes.

It finds chunks by the vendor's mark and parses nothing; one stream in sixteen is timed. A stream that ends is followed
by the next on its connection. One that is refused or breaks is not, and counts as lost.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import uvloop

from bench import machine
from bench.machine import Span, spanning
from bench.vendor import DIGITS, MARK

TIMED_ONE_IN = 16
MOST_S, SETTLES_S = 30.0, 1.0
LAST = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Reading:
    """`ramp_s`: the streams are opened evenly over so long."""

    port: int
    path: str
    key: str
    body: str
    streams: int
    ramp_s: float
    seconds: float = 10.0


@dataclass(frozen=True)
class Read:
    """`chunks` came in the measured time; `open`: streams on their way at its end. `ended` and `lost` are of the whole
    run; `why` is what the last refusal said, `busy` the part of its core that the reader used itself."""

    seconds: float
    chunks: int
    open: int
    ended: int
    lost: int
    p50_ms: float
    p99_ms: float
    busy: float
    why: str
    span: Span

    @property
    def per_s(self) -> float:
        return self.chunks / self.seconds

    @property
    def per_cpu_s(self) -> float:
        return self.chunks / self.span.cpu_s if self.span.cpu_s else 0.0

    @property
    def cpu(self) -> float:
        return self.span.cpu_s / self.span.seconds


def read(reading: Reading, pid: int) -> Read:
    """Read from the server with this process id."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "bench.reader"],
        stdin=pipe,
        stdout=pipe,
        text=True,
        preexec_fn=lambda: machine.pin(machine.LOAD_CORE),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(asdict(reading)))
        process.stdin.close()
        process.stdout.readline()  # all are open: now it measures
        with spanning(pid) as span:
            process.stdout.readline()
        said = process.stdout.readline()
    return Read(**json.loads(said), span=span)


class Tally:
    def __init__(self) -> None:
        self.chunks = self.open = self.asked = self.begun = self.ended = self.lost = 0
        self.delays_us: list[int] = []
        self.why = ""
        self.over = False


class Stream(asyncio.Protocol):
    """One connection, with one stream after the other."""

    def __init__(self, tally: Tally, request: bytes, *, timed: bool) -> None:
        self._tally, self._request, self._timed = tally, request, timed
        self._tail = b""
        self._asked = self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asked:
            self._tally.lost += 1
            self._tally.open -= self._begun
            self._tally.why = self._tally.why or f"a stream broke off ({exc or 'closed by the server'})"

    def data_received(self, data: bytes) -> None:
        if not self._begun and not self._begin(data):
            return
        count = data.count(MARK)
        self._tally.chunks += count
        if self._timed and count:
            self._time(data)
        self._tail = data[-len(LAST) :] if len(data) >= len(LAST) else (self._tail + data)[-len(LAST) :]
        if self._tail == LAST:
            self._asked = self._begun = False
            self._tally.open -= 1
            self._tally.ended += 1
            if not self._tally.over:
                self._ask()

    def _ask(self) -> None:
        self._asked = True
        self._tally.asked += 1
        self._transport.write(self._request)

    def _begin(self, data: bytes) -> bool:
        if not data.startswith(b"HTTP/1.1 200"):
            self._tally.why = data[:300].decode("latin-1")
            self._transport.close()
            return False
        self._begun = True
        self._tally.begun += 1
        self._tally.open += 1
        return True

    def _time(self, data: bytes) -> None:
        now, at = time.monotonic_ns() // 1000, data.find(MARK)
        while at >= 0:
            sent = data[at + 1 : at + 1 + DIGITS]
            if len(sent) == DIGITS and sent.isdigit():  # else it was cut in two: counted, not timed
                self._tally.delays_us.append(now - int(sent))
            at = data.find(MARK, at + 1)


async def _read(reading: Reading) -> None:
    tally = Tally()
    made = await _open_all(tally, reading)
    await _until(lambda: tally.begun >= reading.streams or bool(tally.why))
    await asyncio.sleep(SETTLES_S)
    _say({})
    chunks, began, cpu = tally.chunks, time.monotonic(), time.process_time()
    tally.delays_us.clear()
    await asyncio.sleep(reading.seconds)
    seconds = time.monotonic() - began
    delays = sorted(tally.delays_us) or [0]
    said = {
        "seconds": seconds,
        "chunks": tally.chunks - chunks,
        "open": tally.open,
        "p50_ms": delays[len(delays) // 2] / 1000,
        "p99_ms": delays[len(delays) * 99 // 100] / 1000,
        "busy": (time.process_time() - cpu) / seconds,
    }
    _say({})
    tally.over = True
    await _until(
        lambda: tally.ended + tally.lost >= tally.asked
    )  # every answer to its end, so that it can be told what was charged
    _say(said | {"ended": tally.ended, "lost": tally.lost, "why": tally.why})
    for transport in made:
        transport.abort()
    await asyncio.sleep(0.2)


async def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + MOST_S
    while not true() and time.monotonic() < until:
        await asyncio.sleep(0.05)


async def _open_all(tally: Tally, reading: Reading) -> list[asyncio.Transport]:
    head = (
        f"POST {reading.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {reading.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(reading.body)}\r\n\r\n"
    )
    request = (head + reading.body).encode()
    loop, began, made = asyncio.get_running_loop(), time.monotonic(), []
    for number in range(reading.streams):
        due = began + number / reading.streams * reading.ramp_s
        if due > time.monotonic():
            await asyncio.sleep(due - time.monotonic())
        timed = number % TIMED_ONE_IN == 0
        opened = loop.create_connection(lambda t=timed: Stream(tally, request, timed=t), "127.0.0.1", reading.port)  # type: ignore[misc]
        made.append((await opened)[0])
    return made


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    uvloop.run(_read(Reading(**json.loads(sys.stdin.read()))))
