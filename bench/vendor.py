"""`python -m bench.vendor PORT PACE_MS CHUNKS`: an upstream that streams every answer, a chunk each `PACE_MS`.

Every chunk tells when it was sent, in microseconds of the machine's monotonic clock, after `MARK`, which occurs nowhere
else: so a reader of any gateway's stream can count chunks and tell how long each was on its way.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import time
from typing import Self, cast

import uvloop

from bench import machine
from bench.ports import free_port

MARK, DIGITS = b"@", 16
_EVENT = (
    b'data: {"id":"chatcmpl-C5x0f2N8m1q7bZ4r9sTUvW3yKjLh","object":"chat.completion.chunk","created":1763740800,'
    b'"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_50cad350e4","choices":[%b]%b}\n\n'
)
_SAYS = _EVENT % (
    b'{"index":0,"delta":{"role":"assistant","content":"' + MARK + b"%016d water,"
    b'"},"logprobs":null,"finish_reason":null}',
    b"",
)
_STOPS = _EVENT % (b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}', b"")
_COUNTS = _EVENT % (b"", b',"usage":{"prompt_tokens":71,"completion_tokens":192,"total_tokens":263}')


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(_SAYS % 0), _SAYS)
END = b"".join([_framed(_STOPS), _framed(_COUNTS), _framed(b"data: [DONE]\n\n"), b"0\r\n\r\n"])
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Wheel:
    """Streams in slots, a millisecond each; each time a slot comes round its streams get a chunk. New ones go where
    the fewest are, so that the load is even."""

    def __init__(self, pace_ms: int, chunks: int) -> None:
        self.chunks = chunks
        self._slots: list[set[Stream]] = [set() for _ in range(pace_ms)]
        self._began, self._at = time.monotonic(), 0

    def add(self, stream: Stream) -> None:
        stream.slot = min(self._slots, key=len)
        stream.slot.add(stream)

    def turn(self) -> None:
        until = int((time.monotonic() - self._began) * 1000)
        while self._at < until:
            self._at += 1
            for stream in tuple(self._slots[self._at % len(self._slots)]):
                stream.say()
        asyncio.get_running_loop().call_later(0.001, self.turn)


class Stream(asyncio.Protocol):
    """One connection: reads a request, streams an answer, and so on."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._got = b""
        self._left = 0
        self.slot: set[Stream] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.slot.discard(self)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        self._got = b""
        self._left = self._wheel.chunks
        self._transport.write(HEAD)
        self._wheel.add(self)

    def say(self) -> None:
        self._left -= 1
        chunk = CHUNK % (time.monotonic_ns() // 1000)
        if self._left:
            self._transport.write(chunk)
        else:
            self.slot.discard(self)
            self._transport.write(chunk + END)


async def _serve(port: int, pace_ms: int, chunks: int) -> None:
    wheel = Wheel(pace_ms, chunks)
    wheel.turn()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(wheel), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class Vendor:
    """It as a process on the load's core."""

    def __init__(self, pace_ms: int, chunks: int) -> None:
        self.pace_ms, self.chunks = pace_ms, chunks
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "bench.vendor", str(self.port), str(pace_ms), str(chunks)]
        self.process = subprocess.Popen(command, preexec_fn=lambda: machine.pin(machine.LOAD_CORE))

    def __enter__(self) -> Self:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        raise RuntimeError("the streaming upstream did not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


if __name__ == "__main__":
    uvloop.run(_serve(*map(int, sys.argv[1:])))
