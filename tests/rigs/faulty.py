"""A vendor in a thread that misbehaves as it is told, at OpenAI's chat completions and at Replicate's predictions.

The first segment of a path names an *account*; `bend` says what an account does to the good answer that it would have
given: the bytes that it writes instead, and the pauses between them. Requests are counted by account and by the model
that they name, predictions that were made by the tag that their sender gave.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from tests.rigs.chatting import (
    COMPLETION,
    DONE,
    END,
    PROMPT,
    STREAM,
    Chatting,
    Script,
    chunk,
    completion,
    counting,
    usage,
    whole,
)

TEXT = "A weir, at dusk."
FIRST = "A weir, "
"""What the first part of a streamed answer says."""
SUBMIT, WATCH, CALL = "submit", "watch", "call"
TLS_HELLO = b"\x16"


@dataclass(frozen=True)
class Good:
    """The answer that the vendor would have given, in parts: of a whole one its head with half of the body, and the
    rest."""

    parts: tuple[bytes, ...]
    stream: bool = False


Bend = Callable[[Good], Script]


@dataclass
class Account:
    """How it misbehaves: at what (`SUBMIT`, `WATCH`, `CALL`), how often (None: always), and whether it takes the work
    all the same."""

    bend: Bend | None = None
    at: str = CALL
    times: int | None = None
    takes: bool = False
    away_s: float | None = None
    """How long nobody listens at its own door after it took a prediction."""
    asked: list[str] = field(default_factory=list)
    """The model of each call and each submission, as they came."""
    made: dict[str, str] = field(default_factory=dict)
    """Ids of predictions, and the tags that they were made for."""
    looks: Counter[str] = field(default_factory=Counter)
    """How often each prediction was asked for."""

    def bent(self, at: str) -> Bend | None:
        if self.bend is None or self.at != at or self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.bend


class Faulty(Chatting):
    """`with Faulty() as vendor:`"""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str, Account] = {}
        self.deaf_port = 0
        self._doors: dict[str, tuple[int, asyncio.Server]] = {}
        self._deaf = ExitStack()

    def account(self, name: str) -> Account:
        return self.accounts.setdefault(name, Account())

    def bend(
        self, name: str, bend: Bend | None, at: str = CALL, *, times: int | None = None, takes: bool = False
    ) -> None:
        account = self.account(name)
        account.bend, account.at, account.times, account.takes, account.away_s = bend, at, times, takes, None

    def leave(self, name: str, for_s: float) -> None:
        """Be away after each prediction that is taken; `door` gave the port."""
        self.account(name).away_s = for_s

    def door(self, name: str) -> int:
        """A port of this account's own."""
        return asyncio.run_coroutine_threadsafe(self._open(name), self._loop).result(10)

    async def _open(self, name: str, port: int = 0) -> int:
        server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        port = int(server.sockets[0].getsockname()[1])
        self._doors[name] = port, server
        return port

    async def _leave(self, name: str, for_s: float) -> None:
        port, server = self._doors.pop(name)
        server.close()
        await asyncio.sleep(for_s)
        await self._open(name, port)

    def __enter__(self) -> Self:
        self.deaf_port = self._deaf.enter_context(deaf())
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._deaf.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, path, headers, body = await _request(reader)
            script = self._script(method, path, headers, body)
            await self._play(script, path, reader, writer)
        except ConnectionAbortedError:
            writer.write(b"HTTP/1.1 400 This is no TLS\r\n\r\n")
        except (OSError, EOFError):
            pass  # a connection that nobody used, or that was reset
        finally:
            writer.close()

    def _script(self, method: str, path: str, headers: dict[str, str], body: Any) -> Script:
        split = path.strip("/").replace("?", "/").split("/")
        account = self.account(split[0])
        match method, split[1:]:
            case "POST", ["chat", "completions"]:
                account.asked.append(body["model"])
                return _bent(account.bent(CALL), _answer(stream=bool(body.get("stream"))))
            case "POST", ["models", owner, name, "predictions"]:
                account.asked.append(f"{owner}/{name}")
                if account.away_s is not None and split[0] in self._doors:
                    self._leaving = asyncio.ensure_future(self._leave(split[0], account.away_s))
                return self._create(account, headers["idempotency-key"])
            case "GET", ["predictions", query] if query.startswith("tag="):
                found = [id for id, tag in account.made.items() if tag == query.removeprefix("tag=")]
                return [whole({"results": [_prediction(account, id) for id in found]})]
            case "GET", ["predictions", id]:
                account.looks[id] += 1
                bend = account.bent(WATCH)
                return _bent(bend, _halved(whole(_prediction(account, id))))
        return [whole({"detail": "not here"}, 404)]

    def _create(self, account: Account, tag: str) -> Script:
        bend = account.bent(SUBMIT)
        if bend is not None and not account.takes:
            return bend(_halved(whole({})))
        id = f"p{len(account.made):04}"
        account.made[id] = tag
        return _bent(bend, _halved(whole(_prediction(account, id), 201)))


def _bent(bend: Bend | None, good: Good) -> Script:
    return good.parts if bend is None else bend(good)


def _answer(*, stream: bool) -> Good:
    counted = usage(PROMPT, COMPLETION)
    if not stream:
        return _halved(whole(completion(TEXT, counted)))
    last = chunk(TEXT.removeprefix(FIRST)), chunk(finish="stop") + counting(counted) + DONE + END
    return Good((STREAM + chunk(FIRST), *last), stream=True)


def _halved(raw: bytes) -> Good:
    begins = raw.index(b"\r\n\r\n") + 4
    half = (begins + len(raw)) // 2
    return Good((raw[:half], raw[half:]))


def _prediction(account: Account, id: str) -> dict[str, Any]:
    """It is done at once, unless its watching is what goes wrong: then by the first look at it."""
    watched = account.away_s is not None or (account.bend is not None and account.at == WATCH)
    done = account.looks[id] > 0 or not watched
    return {
        "id": id,
        "status": "succeeded" if done else "processing",
        "output": TEXT if done else None,
        "error": None,
        "logs": "",
        "metrics": {"predict_time": 0.1} if done else {},
    }


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], Any]:
    """Raises ConnectionAbortedError for one who begins to speak TLS."""
    first = await reader.readexactly(1)
    if first == TLS_HELLO:
        raise ConnectionAbortedError
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
    return method, path, headers, body


@contextmanager
def deaf() -> Iterator[int]:
    """A port where no connection comes about, and none is refused: its queue is full."""
    with ExitStack() as open:
        listener = open.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = open.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
