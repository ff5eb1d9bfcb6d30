"""A chat upstream in a thread: writes exactly the bytes that a script asks for, and counts requests by their tag.

The first segment of a path names an *account* (`http://127.0.0.1:PORT/first` begins a channel's base URL), the tag is
the text of the last message; a script is for one tag at one account. It writes bytes as they are, heads and all, and
waits; `HANG_UP` resets the connection. At a script's end the connection is closed.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

HANG_UP = "hang up"
Script = Iterable[bytes | float | str]


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    account: str
    tag: str
    body: dict[str, Any]

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))


class Chatting:
    """`with Chatting() as upstream:`; what nobody wrote a script for is answered by `usual`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.left: dict[str, float] = {}
        """When the gateway closed the connection before the script's end, by tag (`time.monotonic`)."""
        self._scripts: dict[tuple[str, str], Script] = {}
        self._started = threading.Event()

    def script(self, account: str, tag: str, *steps: bytes | float | str) -> None:
        """What to do at this account for this tag; `""`: for all that have no script of their own."""
        self._scripts[account, tag] = steps

    def base_url(self, account: str) -> str:
        return f"http://127.0.0.1:{self.port}/{account}"

    def counts(self) -> Counter[str]:
        """Requests by tag."""
        return Counter([asked.tag for asked in self.asked])

    def at(self, tag: str) -> list[str]:
        """The accounts that were asked, in order."""
        return [asked.account for asked in self.asked if asked.tag == tag]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()], daemon=True)
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=2048)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._over.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _request(reader)
            self.asked.append(asked)
            script = self._scripts.get((asked.account, asked.tag)) or self._scripts.get((asked.account, ""))
            await self._play(script or usual(asked), asked.tag, reader, writer)
        except (OSError, EOFError):
            pass  # a gateway that was killed, or a connection that nobody used
        finally:
            writer.close()

    async def _play(self, script: Script, tag: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.ensure_future(reader.read(1))
        try:
            for step in script:
                if step == HANG_UP:
                    writer.transport.abort()
                    return
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                else:
                    await asyncio.wait([gone], timeout=float(step))
                if gone.done():
                    self.left[tag] = time.monotonic()
                    return
        except OSError:
            self.left[tag] = time.monotonic()
        finally:
            gone.cancel()


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
    account = head[0].split("/")[1]
    said = body["messages"][-1]["content"]
    return Asked(account, said if isinstance(said, str) else said[0]["text"], body)


# ── bytes for scripts ─────────────────────────────────────────────────────────────────────────────────────────────────


def head(status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    """A body follows to the end of the connection, or as `headers` say."""
    lines = [f"HTTP/1.1 {status} Scripted", f"content-type: {kind}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def whole(body: Any, status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    """A whole reply; what is not bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, kind, content_length=str(len(raw)), **headers) + raw


STREAM = head(200, "text/event-stream", transfer_encoding="chunked")
END = b"0\r\n\r\n"
"""Of a chunked body; one that ends without it broke off."""


def part(raw: bytes) -> bytes:
    """Of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(raw), raw)


def event(value: Any) -> bytes:
    """One server-sent event of a stream, as a chunk of its body."""
    return part(b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n")


DONE = event(b"[DONE]")


# ── OpenAI's shapes ───────────────────────────────────────────────────────────────────────────────────────────────────


def usage(prompt: int, completion: int, cached: int | None = None, reasoning: int | None = None) -> dict[str, Any]:
    said: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    said["total_tokens"] = prompt + completion
    if cached is not None:
        said["prompt_tokens_details"] = {"cached_tokens": cached}
    if reasoning is not None:
        said["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return said


def completion(text: str, counted: dict[str, Any] | None = None) -> dict[str, Any]:
    said = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    made = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted", "choices": [said]}
    return made | ({"usage": counted} if counted is not None else {})


def chunk(text: str = "", finish: str | None = None) -> bytes:
    """One piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return event({**_CHUNK, "choices": [choice]})


def counting(counted: dict[str, Any]) -> bytes:
    """The chunk that only counts."""
    return event({**_CHUNK, "choices": [], "usage": counted})


_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
PROMPT, COMPLETION = 10, 20
"""What `usual` counts."""


def usual(asked: Asked) -> Iterator[bytes | float | str]:
    """A short answer, in two halves where it is streamed."""
    counted = usage(PROMPT, COMPLETION)
    if not asked.stream:
        yield whole(completion("A weir, at dusk.", counted))
        return
    yield STREAM + chunk("A weir, ")
    yield 0.005
    yield chunk("at dusk.") + chunk(finish="stop") + counting(counted) + DONE + END
