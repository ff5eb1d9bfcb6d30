"""Commands about files: uploaded by callers, put by vendors, downloaded by whoever holds the capability."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack

import msgspec

from penstock.canonical.commands import Download, Receive, Upload
from penstock.canonical.results import Body
from penstock.canonical.task import File
from penstock.canonical.who import Caller
from penstock.clock import now
from penstock.context import Context
from penstock.errors import CallerError, NotFound, RangeNotSatisfiable, Unauthenticated
from penstock.routing import Channels, row_of
from penstock.store import files, tasks
from penstock.store.blobs import Kept, Writing
from penstock.tasks import assets, outputs
from penstock.wire.multipart import Part, read_form


async def upload(ctx: Context, caller: Caller, command: Upload) -> File:
    """One file part named `content`; `filename`, `type`, and `metadata` may come beside it. Raises CallerError."""
    ctx.blobs.check_space()
    texts: dict[str, str] = {}
    part, kept = Part(""), None
    async with AsyncExitStack() as stack:
        opened: list[Writing] = []

        def open_file(_: Part) -> Writing:
            if opened:
                raise CallerError("send one file at a time, as the form's part `content`")
            opened.append(ctx.blobs.writing(ctx.settings.max_file))
            stack.push_async_exit(opened[0])
            return opened[0]

        limits = {"max_part_bytes": ctx.settings.max_file, "open_file": open_file}
        async for got, value in read_form(command.chunks, command.content_type, **limits):  # type: ignore[arg-type]
            if isinstance(value, str):
                texts[got.name] = value
            else:
                part, kept = got, await opened[0].finish()
    if kept is None:
        raise CallerError("the form has no file part named `content`")
    return await _uploaded(ctx, caller, part, kept, texts)


async def _uploaded(ctx: Context, caller: Caller, part: Part, kept: Kept, texts: dict[str, str]) -> File:
    name = _plain(texts.get("filename") or part.filename or "")
    content_type = texts.get("type") or part.content_type or ""
    try:
        metadata = msgspec.json.encode(msgspec.json.decode(texts.get("metadata") or "{}", type=dict)).decode()
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise CallerError("`metadata` must be a JSON object") from None
    kept_s = ctx.settings.upload_retention_s
    file = assets.uploaded(caller, name, content_type, kept, metadata, kept_s)
    await ctx.store.write(files.insert(file))
    return file


def _plain(name: str) -> str:
    """The name as its owner knows it, without folders and what no file name holds."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join([c for c in last if c.isprintable()])[:255].strip(" .") or "file"


async def receive(ctx: Context, caller: Caller, command: Receive) -> str:
    """A vendor puts an output file of a task on its channel. The URL that its report will name."""
    channel = ctx.of(Channels).by_secret(command.secret)
    task = await tasks.get(ctx.store, command.task) if channel else None
    if channel is None or task is None or row_of(task.channel) != channel.id or task.ended:
        raise Unauthenticated()
    return await outputs.receive(ctx, task, command.name, command.content_type, command.chunks)


async def download(ctx: Context, caller: Caller, command: Download) -> Body:
    file = await files.get(ctx.store, command.file)
    gone = file is None or (file.expires_at is not None and file.expires_at < now())
    if file is None or gone or not _may(ctx, caller, command, file):
        raise NotFound("File not found")
    span = _span(command.range, file.size)
    start, end = span or (0, file.size)
    return Body(file, start, end, span is not None, ctx.blobs.read(file.sha256, start, end if span else None))


def _may(ctx: Context, caller: Caller, command: Download, file: File) -> bool:
    """Who holds the capability may; who shows none must own it."""
    if not command.capability:
        return (file.account, file.mode) == (caller.account, caller.mode)
    return ctx.signer.verify("file", command.file, command.capability)


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for: one range, or None for all (as several ranges may be answered).

    Raises RangeNotSatisfiable.
    """
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", (header or "").strip())
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    if start >= end:
        raise RangeNotSatisfiable(size)
    return start, end
