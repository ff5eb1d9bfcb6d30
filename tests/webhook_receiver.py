"""A receiver of webhooks on 127.0.0.1 that remembers what came, byte for byte, and answers as it is told.

Use it `async with` in the test's own event loop, or `with`, when it lives on a loop in a thread of its own so that
synchronous tests and child processes can be delivered to. Each path is a mailbox: `GET` of a path answers with the JSON
list of what was posted there, for children who can't look into this process.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it came: header names in lower case, `arrived_at` (when the body was whole) in Unix seconds."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    arrived_at: float

    def json(self) -> object:
        return json.loads(self.body)

    def readable(self) -> dict[str, object]:
        body = base64.b64encode(self.body).decode()
        return {"path": self.path, "headers": self.headers, "body_base64": body, "arrived_at": self.arrived_at}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender is told, after a pause. `hang_up` closes the connection without a word."""

    status: int = 200
    delay_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False


class WebhookReceiver:
    """Records deliveries. `script` holds the answers to the next ones, in order; then all get `otherwise`.

    `port` 0: any that is free.
    """

    def __init__(self, script: Iterable[Answer] = (), otherwise: Answer | None = None, port: int = 0) -> None:
        self.script = deque(script)
        self.port = port
        self.otherwise = otherwise or Answer()
        self.deliveries: list[Delivery] = []
        self._server: asyncio.Server | None = None
        self._thread: LoopThread | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the receiver is not running")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def at(self, path: str) -> list[Delivery]:
        """What was posted to this path so far; a query string is part of the path."""
        return [delivery for delivery in self.deliveries if delivery.path == path]

    def wait(self, enough: Callable[[list[Delivery]], bool] | int, timeout_s: float = 15.0) -> list[Delivery]:
        """Block until so many deliveries came, or `enough` says so. Raises TimeoutError. Not for use on the loop."""
        deadline = time.monotonic() + timeout_s
        while not self._has(enough):
            self._give_up_after(deadline)
            time.sleep(0.01)
        return list(self.deliveries)

    async def arrived(self, enough: Callable[[list[Delivery]], bool] | int, timeout_s: float = 15.0) -> list[Delivery]:
        """As `wait`, for asynchronous tests."""
        deadline = time.monotonic() + timeout_s
        while not self._has(enough):
            self._give_up_after(deadline)
            await asyncio.sleep(0.01)
        return list(self.deliveries)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._server = None

    def __enter__(self) -> Self:
        self._thread = LoopThread()
        return self._thread.run(self.__aenter__())

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        self._thread.run(self.__aexit__())
        self._thread.stop()

    def _has(self, enough: Callable[[list[Delivery]], bool] | int) -> bool:
        return len(self.deliveries) >= enough if isinstance(enough, int) else enough(list(self.deliveries))

    def _give_up_after(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            came = [f"{delivery.path} {delivery.body[:200]!r}" for delivery in self.deliveries]
            raise TimeoutError(f"{len(came)} deliveries came:\n" + "\n".join(came))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        self._conversations.add(conversation)
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._conversations.discard(conversation)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delivery = await read_request(reader)
        if delivery.method == "GET":
            body = json.dumps([one.readable() for one in self.at(delivery.path)]).encode()
            writer.write(response(Answer(), body))
        else:
            self.deliveries.append(delivery)
            answer = self.script.popleft() if self.script else self.otherwise
            await asyncio.sleep(answer.delay_s)
            writer.write(b"" if answer.hang_up else response(answer))
        await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> Delivery:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await read_body(reader, headers)
    return Delivery(method, path, headers, body, time.time())


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def response(answer: Answer, body: bytes = b"") -> bytes:
    headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    lines = [f"{name}: {value}" for name, value in (headers | answer.headers).items()]
    return "\r\n".join([f"HTTP/1.1 {answer.status} Scripted", *lines, "", ""]).encode() + body


class LoopThread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="webhook-receiver", daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=10)
        self.loop.close()
