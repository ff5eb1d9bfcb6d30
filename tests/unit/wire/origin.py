"""A raw HTTP/1.1 server on a free port of 127.0.0.1 that does what a test tells it, also what no good server would."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Got:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Got, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Origin:
    port: int = 0
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a client has gone."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def origin(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    here, tasks = Origin(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        here.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError, ssl.SSLError):
            while not writer.is_closing():
                got = await _read(reader)
                here.got.append(got)
                await answer(got, writer)
        here.left.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Got:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if "chunked" not in headers.get("transfer-encoding", ""):
        return Got(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return Got(method, path, headers, body)


def reply(body: bytes = b"ok", status: int = 200, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Fine", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(body: bytes = b"ok", status: int = 200, **headers: str) -> Answer:
    async def answer(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(body, status, **headers))

    return answer


async def silent(got: Got, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def reset(got: Got, writer: asyncio.StreamWriter) -> None:
    abort(writer)


async def hang_up(got: Got, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def babble(got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-hello\r\n\r\n")
    writer.close()


async def reset_within(got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(b"x" * 100)[:-60])
    await writer.drain()
    await asyncio.sleep(0.05)
    abort(writer)


async def stall_within(got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(b"x" * 100)[:-60])
    await asyncio.sleep(30)


async def drip(got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(b"x" * 1000)[:-1000])
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def cut_short(got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(b"x" * 100)[:-60])
    writer.close()


def abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def full_backlog() -> AsyncIterator[str]:
    """An address that takes no more connections, so that connecting times out."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()
