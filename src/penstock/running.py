"""`penstock run`: submit a model through any gateway, show how far it is, save what it makes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from penstock import config
from penstock.errors import CallerError, PenstockError, UpstreamError
from penstock.ids import new_id
from penstock.wire.http import Http, Request
from penstock.wire.sse import Event, Reader

SUCCEEDED, FAILED, CANCELED = 0, 1, 130
EXITS = {"succeeded": SUCCEEDED, "failed": FAILED, "canceled": CANCELED, "aborted": CANCELED}
TQDM = re.compile(r"^\s*(\d+)%\s*\|.+?\|\s*(\d+)/(\d+)")
MOST = 4 << 30
err = Console(stderr=True, markup=False, emoji=False, highlight=False)


class Client:
    """Speaks /replicate/v1 to the gateway that the environment names."""

    def __init__(self, http: Http) -> None:
        settings = config.load()
        self.base = os.environ.get("PENSTOCK_BASE_URL", settings.public_url).rstrip("/") + "/replicate/v1"
        self.key = os.environ.get("PENSTOCK_API_KEY") or ""
        if not self.key:
            raise CallerError("set PENSTOCK_API_KEY to a key of the gateway (penstock keys create)")
        self.http = http

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The decoded answer. Raises UpstreamError with the gateway's own words."""
        raw = None if body is None else msgspec.json.encode(body)
        given = {"authorization": f"Bearer {self.key}", "content-type": "application/json", **headers}
        url = path if path.startswith("http") else self.base + path
        reply = await self.http.send(Request(method, url, given, raw), limit=64 << 20)
        if reply.status >= 400:
            with suppress(msgspec.DecodeError):
                said = msgspec.json.decode(reply.body)
                raise UpstreamError(str(said.get("detail") or said.get("title") or reply.status).strip())
            raise UpstreamError(f"the gateway answered {reply.status}")
        return msgspec.json.decode(reply.body) if reply.body else None

    async def upload(self, path: Path) -> str:
        """The URL that stands for a local file in an input."""
        edge = f"penstock-{new_id()}"
        head = f'--{edge}\r\nContent-Disposition: form-data; name="content"; filename="{path.name}"\r\n\r\n'.encode()

        async def form() -> AsyncIterator[bytes]:
            yield head
            with path.open("rb") as file:
                while chunk := file.read(1 << 16):
                    yield chunk
            yield f"\r\n--{edge}--\r\n".encode()

        given = {"authorization": f"Bearer {self.key}", "content-type": f"multipart/form-data; boundary={edge}"}
        reply = await self.http.send(Request("POST", f"{self.base}/files", given, form(), 600.0))
        if reply.status != 201:
            raise UpstreamError(f"the gateway refused {path.name} with {reply.status}")
        return str(msgspec.json.decode(reply.body)["urls"]["get"])

    async def follow(self, url: str) -> AsyncIterator[Event]:
        """The prediction's events, taken up again where a connection broke."""
        last = ""
        while True:
            given = {"accept": "text/event-stream"} | ({"last-event-id": last} if last else {})
            with suppress(UpstreamError):
                reader = Reader()
                async with self.http.stream(Request("GET", url, given, None, 86400.0), cap_bytes=MOST) as stream:
                    async for chunk in stream:
                        for event in reader.feed(chunk):
                            last = event.id or last
                            yield event
                            if event.name == "done":
                                return
            await asyncio.sleep(0.5)

    async def save(self, url: str, target: Path) -> None:
        given = {"authorization": f"Bearer {self.key}"} if url.startswith(self.base) else {}
        async with self.http.stream(Request("GET", url, given, None, 3600.0), cap_bytes=MOST) as stream:
            if stream.status != 200:
                raise UpstreamError(f"an output's link answered {stream.status}")
            with target.open("wb") as file:
                async for chunk in stream:
                    file.write(chunk)


async def run_model(model: str, inputs: list[str], folder: Path, *, logs: bool, as_json: bool) -> int:
    """Run it; the exit code. Ctrl-C cancels the prediction."""
    async with Http(connect_timeout_s=10) as http:
        client = Client(http)
        input = {name: await _value(client, text) for name, text in map(_pair, inputs)}
        prediction = await _create(client, model, input)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: loop.create_task(_cancel(client, prediction["id"])))
        await _show(client, prediction, logs=logs)
        done = await _ended(client, prediction["id"])
        saved = await _save(client, done, folder) if done["status"] == "succeeded" else []
    _tell(done, saved, as_json=as_json)
    return EXITS[done["status"]]


async def _create(client: Client, model: str, input: dict[str, Any]) -> Any:
    path, _, version = model.partition(":")
    if "/" not in path:
        raise CallerError("name a model as owner/name, such as black-forest-labs/flux-schnell")
    key = {"idempotency-key": new_id()}
    if version:
        return await client.ask("POST", "/predictions", {"version": version, "input": input}, **key)
    return await client.ask("POST", f"/models/{path}/predictions", {"input": input}, **key)


async def _cancel(client: Client, id: str) -> None:
    err.print("canceling", style="yellow")
    with suppress(PenstockError):
        await client.ask("POST", f"/predictions/{id}/cancel")


async def _show(client: Client, prediction: Any, *, logs: bool) -> None:
    """Progress on standard error; a language model's words on standard output, as they come."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        job = bar.add_task("starting", total=100)
        async for event in client.follow(prediction["urls"]["stream"]):
            bar.update(job, description="running")
            if event.name == "logs":
                for line in event.data.splitlines():
                    if found := TQDM.match(line):
                        bar.update(job, completed=int(found.group(1)))
                    elif logs and line.strip():
                        bar.console.print(line)
            elif event.name == "output" and not event.data.startswith(("http://", "https://")):
                sys.stdout.write(event.data)
                sys.stdout.flush()


async def _ended(client: Client, id: str) -> Any:
    while (found := await client.ask("GET", f"/predictions/{id}"))["status"] not in EXITS:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    return found


async def _save(client: Client, done: Any, folder: Path) -> list[Path]:
    urls = [text for text in _strings(done["output"]) if text.startswith(("http://", "https://"))]
    if urls:
        folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for url in urls:
        target = _free(folder, Path(unquote(urlsplit(url).path)).name or "output")
        await client.save(url, target)
        saved.append(target)
    return saved


def _tell(done: Any, saved: list[Path], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(done | {"saved": [str(path) for path in saved]}))
        return
    for path in saved:
        print(path)
    if done["status"] == "failed":
        err.print(Text.assemble(("failed:", "red"), f" {done['error']}"), soft_wrap=True)
    elif done["status"] != "succeeded":
        err.print(done["status"], style="yellow")
    elif not saved and isinstance(done["output"], list):
        print()
    elif not saved and not isinstance(done["output"], str):
        print(json.dumps(done["output"], ensure_ascii=False, indent=2))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CallerError(f"{text!r} is not key=value")
    return name, value


async def _value(client: Client, text: str) -> Any:
    """JSON where it is JSON, `@file` a file to upload, else the text itself."""
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise CallerError(f"there is no file {path}")
        return await client.upload(path)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _strings(part)]


def _free(folder: Path, name: str) -> Path:
    """A path in the folder that nothing has yet: `out.png`, `out-2.png`, …"""
    path, stem, suffix = folder / name, Path(name).stem, Path(name).suffix
    for number in range(2, 10_000):
        if not path.exists():
            return path
        path = folder / f"{stem}-{number}{suffix}"
    raise CallerError(f"{folder} has too many files named {name}")
