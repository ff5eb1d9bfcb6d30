"""A counting upstream: speaks Replicate's API as one process, and counts creates by the tag that their sender gave.

The first segment of a path names an *account* of this upstream (`http://127.0.0.1:PORT/first` is a channel's base URL),
each with a behaviour and books of its own; an account comes into being when first spoken to. `Counting` starts the
process and talks to it; `python -m tests.rigs.counting PORT` is the process. The tag is the header `idempotency-key`.

    POST /{account}/predictions                        a create; also /{account}/models/{owner}/{name}/predictions
    GET  /{account}/predictions/{id}                   and POST …/cancel
    GET  /{account}/predictions?tag=T                  {"results": […]}: what can be asked by tag
    GET  /{account}/files/{name}                       an output
    POST /control  {"account": A, …behaviour}          GET /creates?account=A: its books
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import parse_qs, urlsplit

import httptools
import msgspec

from tests.live import free_port

ROOT = Path(__file__).parents[2]
TIME = "%Y-%m-%dT%H:%M:%S"


class Behaviour(msgspec.Struct):
    """How creates go. A create's own `input["rig"]` overrides the account's."""

    honours_keys: bool = False
    """The same tag again is the same prediction."""
    askable: bool = True
    """The list can be filtered by tag."""
    duration_s: float | None = 0.2
    """None: never ends."""
    outcome: str = "succeeded"
    output: str = "file"
    """`file`: one URL here; `text`: words."""
    heeds_cancel: bool = True
    answer: int = 0
    """A status to refuse creates with, with a `detail` where `words` is true, else with a page; 0: accept."""
    words: bool = True
    retry_after_s: float | None = None
    hang_up: str = ""
    """`before` or `after` accepting: the connection is closed without a reply."""
    garbled: bool = False
    """The reply to an accepted create is not JSON."""
    times: int | None = None
    """How many attempts of a tag `answer` and `hang_up` are for; None: all."""
    before_s: float = 0.0
    """A pause before a create is accepted; it is accepted also when its sender has gone."""
    after_s: float = 0.0
    """A pause between accepting and replying."""


class Prediction(msgspec.Struct):
    id: str
    tag: str
    model: str
    input: Any
    rig: Behaviour
    created_at: float
    canceled_at: float | None = None

    def ended_at(self, at: float) -> float | None:
        end = None if self.rig.duration_s is None else self.created_at + self.rig.duration_s
        end = self.canceled_at if self.canceled_at is not None else end
        return end if end is not None and end <= at else None


class Books(msgspec.Struct):
    """What one account has seen."""

    rig: Behaviour = msgspec.field(default_factory=Behaviour)
    predictions: dict[str, Prediction] = msgspec.field(default_factory=dict)
    by_tag: dict[str, list[str]] = msgspec.field(default_factory=dict)
    attempts: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    unfinished: dict[str, Prediction] = msgspec.field(default_factory=dict)
    most_at_once: int = 0
    cancels: list[str] = msgspec.field(default_factory=list)
    polls: int = 0


Reply = tuple[int, Any, dict[str, str]] | None


class Upstream:
    """The accounts, and what they answer; None: hang up."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.accounts: dict[str, Books] = defaultdict(Books)

    async def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
        split = urlsplit(url)
        first, *rest = split.path.strip("/").split("/")
        if first == "control":
            given = json.loads(body)
            books = self.accounts[given.pop("account")]
            books.rig = msgspec.convert(msgspec.to_builtins(books.rig) | given, Behaviour)
            return 200, {}, {}
        if first == "creates":
            return 200, self.report(parse_qs(split.query).get("account", [None])[0]), {}
        books = self.accounts[first]
        match method, rest:
            case "POST", ["predictions"]:
                return await self.create(first, books, json.loads(body).get("version", ""), headers, body)
            case "POST", ["models", owner, name, "predictions"]:
                return await self.create(first, books, f"{owner}/{name}", headers, body)
            case "GET", ["predictions"]:
                tag = parse_qs(split.query).get("tag", [""])[0]
                made = books.by_tag.get(tag, []) if books.rig.askable else []
                return 200, {"results": [self.shown(first, books.predictions[id]) for id in made]}, {}
            case "GET", ["predictions", id] if id in books.predictions:
                books.polls += 1
                return 200, self.shown(first, books.predictions[id]), {}
            case "POST", ["predictions", id, "cancel"] if id in books.predictions:
                return 200, self.cancel(first, books, books.predictions[id]), {}
            case "GET", ["files", *_]:
                return 200, b"made by the counting upstream\n", {"content-type": "text/plain"}
        return 404, {"detail": "not here"}, {}

    async def create(self, account: str, books: Books, model: str, headers: dict[str, str], body: bytes) -> Reply:
        tag = headers.get("idempotency-key", "")
        input = json.loads(body)["input"]
        rig = msgspec.convert(msgspec.to_builtins(books.rig) | input.get("rig", {}), Behaviour)
        books.attempts[tag] += 1
        troubled = rig.times is None or books.attempts[tag] <= rig.times
        if rig.before_s:
            await asyncio.sleep(rig.before_s)
        if troubled and rig.answer:
            said: Any = {"detail": f"scripted {rig.answer}"} if rig.words else b"<html>scripted</html>"
            return rig.answer, said, {} if rig.retry_after_s is None else {"retry-after": f"{rig.retry_after_s:g}"}
        if troubled and rig.hang_up == "before":
            return None
        made = self.made(books, tag, model, input, rig)
        if troubled and rig.hang_up == "after":
            return None
        if rig.after_s:
            await asyncio.sleep(rig.after_s)
        return 201, b"<html>made</html>" if rig.garbled else self.shown(account, made), {}

    def made(self, books: Books, tag: str, model: str, input: Any, rig: Behaviour) -> Prediction:
        before = books.by_tag.setdefault(tag, [])
        if before and rig.honours_keys:
            return books.predictions[before[0]]
        at = time.time()
        made = Prediction(f"p{len(books.predictions):06}", tag, model, input, rig, at)
        books.predictions[made.id] = books.unfinished[made.id] = made
        before.append(made.id)
        for id in [id for id, other in books.unfinished.items() if other.ended_at(at) is not None]:
            del books.unfinished[id]
        books.most_at_once = max(books.most_at_once, len(books.unfinished))
        return made

    def cancel(self, account: str, books: Books, made: Prediction) -> Any:
        books.cancels.append(made.tag)
        if made.rig.heeds_cancel and made.ended_at(time.time()) is None:
            made.canceled_at = time.time()
        return self.shown(account, made)

    def shown(self, account: str, made: Prediction) -> dict[str, Any]:
        at = time.time()
        ended_at = made.ended_at(at)
        ran_s = (ended_at or at) - made.created_at
        status = "processing" if ended_at is None else "canceled" if made.canceled_at else made.rig.outcome
        output = "words" if made.rig.output == "text" else [f"{self.base}/{account}/files/{made.id}.txt"]
        base = f"{self.base}/{account}/predictions/{made.id}"
        return {
            "id": made.id,
            "model": made.model,
            "version": "hidden",
            "input": made.input,
            "status": status,
            "created_at": written(made.created_at),
            "started_at": written(made.created_at),
            "completed_at": ended_at and written(ended_at),
            "logs": "".join(f"step {step}\n" for step in range(min(1 + int(ran_s / 0.4), 50))),
            "output": output if status == "succeeded" else None,
            "error": "scripted failure" if status == "failed" else None,
            "metrics": {} if ended_at is None else {"predict_time": ran_s},
            "urls": {"get": base, "cancel": f"{base}/cancel"},
        }

    def report(self, account: str | None) -> dict[str, Any]:
        chosen = [self.accounts[account]] if account else list(self.accounts.values())
        return {
            "creates": _added([{tag: len(ids) for tag, ids in books.by_tag.items() if ids} for books in chosen]),
            "attempts": _added([books.attempts for books in chosen]),
            "most_at_once": max((books.most_at_once for books in chosen), default=0),
            "cancels": [tag for books in chosen for tag in books.cancels],
            "polls": sum(books.polls for books in chosen),
        }


def written(at: float) -> str:
    return time.strftime(TIME, time.gmtime(at)) + f".{int(at % 1 * 1e6):06}Z"


def _added(counts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for count in counts:
        for tag, number in count.items():
            total[tag] += number
    return total


class Conversation(asyncio.Protocol):
    """One connection: httptools' callbacks gather a request, a task answers it; a client sends one at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.working: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", dict[str, str](), b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        work = asyncio.ensure_future(self.respond(method, self.url.decode(), self.headers, self.body))
        self.working.add(work)
        work.add_done_callback(self.working.discard)

    async def respond(self, method: str, url: str, headers: dict[str, str], body: bytes) -> None:
        try:
            reply = await self.upstream.answer(method, url, headers, body)
        except (ValueError, KeyError, msgspec.ValidationError) as error:
            reply = 400, {"detail": repr(error)}, {}
        if self.transport.is_closing():
            return
        if reply is None:
            self.transport.abort()
            return
        status, value, more = reply
        raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
        kind = {"content-type": "application/json", "content-length": str(len(raw))} | more
        head = "".join(f"{name}: {value}\r\n" for name, value in kind.items())
        self.transport.write(f"HTTP/1.1 {status} Counted\r\n{head}\r\n".encode() + raw)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    upstream = Upstream(f"http://127.0.0.1:{port}")
    server = await loop.create_server(lambda: Conversation(upstream), "127.0.0.1", port, backlog=2048)
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    parent = os.getppid()
    while not over.is_set() and os.getppid() == parent:  # never outlive the tests
        try:
            async with asyncio.timeout(1.0):
                await over.wait()
        except TimeoutError:
            continue
    server.close()


class Counting:
    """The process, from outside. `with Counting() as upstream:`"""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def base_url(self, account: str) -> str:
        return f"{self.url}/{account}"

    def control(self, account: str, **behaviour: Any) -> None:
        self._ask("/control", json.dumps({"account": account, **behaviour}).encode())

    def report(self, account: str | None = None) -> dict[str, Any]:
        return self._ask("/creates" + (f"?account={account}" if account else ""))

    def creates(self, account: str | None = None) -> dict[str, int]:
        """How many predictions were made, by tag."""
        return dict(self.report(account)["creates"])

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, body, timeout=10) as reply:
            return dict(json.load(reply))

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.rigs.counting", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.report()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(10)


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
