"""Files that vendors make: copied here before their links die."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from penstock.canonical.task import File, Report, Task
from penstock.catalog.loaded import catalog
from penstock.context import Context
from penstock.errors import UpstreamError
from penstock.providers._base import Ask
from penstock.routing import Channels, Providers
from penstock.store import files
from penstock.store.blobs import Kept
from penstock.tasks import assets
from penstock.wire.http import Request


async def keep(ctx: Context, task: Task, report: Report) -> Any:
    """The report's output with every file copied here: `{"$file": id, "name": …}` in place of its URL.

    What is here already is not fetched again. Raises UpstreamError, or UrlRefused, where a file can't be had.
    """
    output = _unforged(report.output)
    if report.text or output is None or not _makes_files(ctx, task):
        return output
    have = {file.metadata: file for file in await files.of_task(ctx.store, task.id) if file.role == "output"}
    several = isinstance(output, list)
    count = 0

    async def leaf(text: str, path: tuple[str | int, ...]) -> Any:
        nonlocal count
        source = msgspec.json.encode(
            {"source": text if len(text) < 2000 else hashlib.sha256(text.encode()).hexdigest()}
        ).decode()
        file = have.get(source) or await _received(ctx, task, text)
        if file is None:
            stem = f"out-{count}" if several else "output"
            file = await _fetched(ctx, task, text, stem, source)
        count += 1
        return {"$file": file.id, "name": file.name}

    return await assets.walk(output, leaf)


def _makes_files(ctx: Context, task: Task) -> bool:
    """Whether the model's schema, where it is known, has files in its output: a URL that a language model says is no
    file."""
    model = catalog(ctx).find(task.model)
    version = (model.version(task.version) or model.latest) if model else None
    return version is None or version.makes_files


def _unforged(output: Any) -> Any:
    """Without anything that looks like a file of ours: a vendor, or a model that echoes, must not name one."""
    if isinstance(output, dict):
        return {"file" if key == "$file" else key: _unforged(part) for key, part in output.items()}
    return [_unforged(part) for part in output] if isinstance(output, list) else output


async def without_data_urls(ctx: Context, task: Task, report: Report) -> Report:
    """The report with `data:` URLs already kept, so that it is small enough to write down."""

    async def leaf(text: str, path: tuple[str | int, ...]) -> Any:
        if not text.startswith("data:"):
            return text
        file = await _fetched(ctx, task, text, "output", '{"source": "callback"}')
        return f"{callback_here(ctx)}/internal/received/{file.id}/{file.name}"

    return msgspec.structs.replace(report, output=await assets.walk(report.output, leaf))


def callback_here(ctx: Context) -> str:
    return ctx.settings.public_url


async def receive(ctx: Context, task: Task, name: str, content_type: str, chunks: AsyncIterator[bytes]) -> str:
    """A vendor puts a file of this task. The URL that stands for it in the report, where nobody can read it."""
    kept = await ctx.blobs.keep(chunks, ctx.settings.max_output)
    file = await _recorded(ctx, task, assets.clean(name), content_type, kept, '{"source": "received"}')
    return f"{callback_here(ctx)}/internal/received/{file.id}/{file.name}"


async def _received(ctx: Context, task: Task, text: str) -> File | None:
    match = re.match(r"https?://[^/]+/internal/received/([0-9a-z]{26})/", text)
    file = await files.get(ctx.store, match.group(1)) if match else None
    return file if file is not None and file.task == task.id else None


async def _fetched(ctx: Context, task: Task, url: str, stem: str, source: str) -> File:
    if url.startswith("data:"):
        content_type, data = assets.decode_data_url(url)
        kept = await ctx.blobs.keep(assets.pieces(data), ctx.settings.max_output)
        return await _recorded(ctx, task, stem + assets.suffix("", content_type, kept.head), content_type, kept, source)
    content_type, kept = await _download(ctx, task, url)
    name = stem + assets.suffix(urlsplit(url).path, content_type, kept.head)
    return await _recorded(ctx, task, name, content_type, kept, source)


async def _download(ctx: Context, task: Task, url: str) -> tuple[str, Kept]:
    most = ctx.settings.max_output
    channel = ctx.of(Channels).get(task.channel or "")
    if channel is not None and (transport := ctx.of(Providers).transport(channel.provider)):
        status, headers, body = await transport.answer(Ask("GET", url))
        _check(status)
        return headers.get("content-type", ""), await ctx.blobs.keep(assets.pieces(body), most)
    if channel is not None and urlsplit(url)[:2] == urlsplit(channel.base_url)[:2]:
        # without our credential: what a model says must not be read with it
        async with ctx.http.stream(Request("GET", url, timeout_s=3600.0), cap_bytes=most) as reply:
            _check(reply.status)
            return reply.headers.get("content-type") or "", await ctx.blobs.keep(reply, most)
    async with ctx.guard.fetch(url, most, 3600.0) as reply:
        _check(reply.status)
        return reply.headers.get("content-type") or "", await ctx.blobs.keep(reply, most)


def _check(status: int) -> None:
    if status != 200:
        raise UpstreamError(f"an output's link answered {status}")


async def _recorded(ctx: Context, task: Task, name: str, content_type: str, kept: Kept, source: str) -> File:
    file = assets.file_row(task.account, task.mode, task.id, "output", name, content_type, kept, source, None)
    await ctx.store.write(files.insert(file))
    return file
