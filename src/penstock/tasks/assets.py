"""Files of tasks: what callers put in made ready for vendors, what vendors make copied before their links die."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import mimetypes
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from penstock.canonical.plan import Channel
from penstock.canonical.task import File, Report, Task
from penstock.canonical.who import Caller
from penstock.clock import after, now
from penstock.context import Context
from penstock.errors import CallerError, InvalidField, InvalidInput, NotFound, PenstockError, UpstreamError
from penstock.ids import new_id
from penstock.providers._base import Ask
from penstock.routing import Channels, Providers
from penstock.store import Step, files
from penstock.store.blobs import Kept
from penstock.wire.http import Request

IS_FILE = re.compile(r"(?:(?:https?|sandbox)://\S+|data:[^\s,]*,.*)\Z", re.DOTALL)
SPELLINGS = r"(?:/replicate/v1/v1|/replicate/v1|/replicate)?/files/([0-9a-z]{26})(?:/.*)?\Z"
INLINE_MOST = 64 << 10
"""`data:` URLs longer than this are kept as files: the task row stays small."""
FETCH_S = 60.0
Leaf = Callable[[str, tuple[str | int, ...]], Awaitable[Any]]


# ── what callers put in ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Gathered:
    """`known`: {string in the input: id of our file}; `steps` are the new files' rows, for the task's transaction."""

    known: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


async def gather(ctx: Context, caller: Caller, task: str, input: dict[str, Any], *, fetch: bool) -> Gathered:
    """The files that the input speaks of.

    Own files must be the caller's; long `data:` URLs are kept; other URLs are checked, and with `fetch` brought here,
    so that an upstream on a private network never has to. Raises InvalidInput naming the field.
    """
    gathered = Gathered()

    async def leaf(text: str, path: tuple[str | int, ...]) -> str:
        try:
            file = await _gathered(ctx, caller, task, text, fetch=fetch)
        except PenstockError as error:
            where = ".".join(["input", *map(str, path)])
            raise InvalidInput(fields=(InvalidField(where, "url", str(error)),)) from None
        if file is not None:
            gathered.known[text] = file.id
            gathered.steps.append(files.insert(file))
        return text

    await _walk(input, leaf)
    return gathered


async def _gathered(ctx: Context, caller: Caller, task: str, text: str, *, fetch: bool) -> File | None:
    if (own := own_file(ctx, text)) is not None:
        file = await files.get(ctx.store, own)
        if file is None or (file.account, file.mode) != (caller.account, caller.mode):
            raise NotFound("File not found")
        return file
    owner = (caller.account, caller.mode, task, "input")
    if text.startswith("data:"):
        if len(text) <= INLINE_MOST:
            return None
        content_type, data = decode_data_url(text)
        kept = await ctx.blobs.keep(_once(data), ctx.settings.max_file)
        return _gathered_file(owner, "input", content_type, kept)
    if not fetch:
        await ctx.guard.check(text)
        return None
    async with ctx.guard.fetch(text, ctx.settings.max_file, FETCH_S) as reply:
        if reply.status != 200:
            raise CallerError(f"the URL answered {reply.status}")
        kept = await ctx.blobs.keep(reply, ctx.settings.max_file)
        content_type = reply.headers.get("content-type") or ""
    return _gathered_file(owner, _name(text, content_type), content_type, kept)


async def ready(ctx: Context, task: Task, channel: Channel, *, inline: bool) -> dict[str, Any]:
    """The input as this channel's vendor gets it: files of ours as URLs that it can fetch, or as `data:` URLs."""
    input: dict[str, Any] = msgspec.json.decode(task.input)
    known: dict[str, str] = msgspec.json.decode(task.files or "{}")
    base = callback_base(ctx, channel)

    async def leaf(text: str, path: tuple[str | int, ...]) -> str:
        file = await files.get(ctx.store, known[text]) if text in known else None
        if file is None:
            return text
        if inline or base is None:
            data = base64.b64encode(await ctx.blobs.whole(file.sha256)).decode()
            return f"data:{file.content_type};base64,{data}"
        return f"{base}/files/{file.id}/{ctx.signer.sign('file', file.id, None)}/{file.name}"

    return await _walk(input, leaf)  # type: ignore[no-any-return]


def callback_base(ctx: Context, channel: Channel) -> str | None:
    """Where this channel's vendor reaches us: for one nearby the bound address, else the public URL if it is public."""
    settings = ctx.settings
    if settings.callback_url:
        return settings.callback_url.rstrip("/")
    if is_nearby(channel):
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
        return f"http://{host}:{settings.port}" if not settings.public_url.startswith("https") else settings.public_url
    with suppress(CallerError):
        ctx.guard.check_literal(settings.public_url)
        return settings.public_url
    return None


def is_nearby(channel: Channel) -> bool:
    """Whether the channel's host is this machine or a private address."""
    return _is_nearby(channel.base_url)


@lru_cache(256)
def _is_nearby(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def own_file(ctx: Context, text: str) -> str | None:
    """The id of the file of ours that this URL names, in any spelling of our base URL."""
    for base in {ctx.settings.public_url, f"http://{ctx.settings.host}:{ctx.settings.port}"}:
        if text.startswith(base + "/") and (match := re.match(SPELLINGS, text[len(base) :].partition("?")[0])):
            return match.group(1)
    return None


# ── what vendors make ─────────────────────────────────────────────────────────────────────────────────────────────────


async def keep(ctx: Context, task: Task, report: Report) -> Any:
    """The report's output with every file copied here: `{"$file": id, "name": …}` in place of its URL.

    What is here already is not fetched again. Raises UpstreamError, or UrlRefused, where a file can't be had.
    """
    if report.text or report.output is None:
        return report.output
    have = {file.metadata: file for file in await files.of_task(ctx.store, task.id) if file.role == "output"}
    several = isinstance(report.output, list)
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

    return await _walk(_unforged(report.output), leaf)


def _unforged(output: Any) -> Any:
    """Without anything that looks like a file of ours: a vendor, or a model that echoes, must not name one."""
    if isinstance(output, dict):
        return {key.replace("$file", "file"): _unforged(part) for key, part in output.items()}
    return [_unforged(part) for part in output] if isinstance(output, list) else output


async def without_data_urls(ctx: Context, task: Task, report: Report) -> Report:
    """The report with `data:` URLs already kept, so that it is small enough to write down."""
    if "data:" not in str(report.output)[:200_000_000]:
        return report

    async def leaf(text: str, path: tuple[str | int, ...]) -> Any:
        if not text.startswith("data:"):
            return text
        file = await _fetched(ctx, task, text, "output", '{"source": "callback"}')
        return f"{callback_here(ctx)}/internal/received/{file.id}/{file.name}"

    return msgspec.structs.replace(report, output=await _walk(report.output, leaf))


def callback_here(ctx: Context) -> str:
    return ctx.settings.public_url


async def receive(ctx: Context, task: Task, name: str, content_type: str, chunks: AsyncIterator[bytes]) -> str:
    """A vendor puts a file of this task. The URL that stands for it in the report, where nobody can read it."""
    kept = await ctx.blobs.keep(chunks, ctx.settings.max_output)
    file = await _recorded(ctx, task, _clean(name), content_type, kept, '{"source": "received"}')
    return f"{callback_here(ctx)}/internal/received/{file.id}/{file.name}"


async def _received(ctx: Context, task: Task, text: str) -> File | None:
    match = re.match(r"https?://[^/]+/internal/received/([0-9a-z]{26})/", text)
    file = await files.get(ctx.store, match.group(1)) if match else None
    return file if file is not None and file.task == task.id else None


async def _fetched(ctx: Context, task: Task, url: str, stem: str, source: str) -> File:
    if url.startswith("data:"):
        content_type, data = decode_data_url(url)
        kept = await ctx.blobs.keep(_once(data), ctx.settings.max_output)
        return await _recorded(ctx, task, stem + _suffix("", content_type, kept.head), content_type, kept, source)
    content_type, kept = await _download(ctx, task, url)
    name = stem + _suffix(urlsplit(url).path, content_type, kept.head)
    return await _recorded(ctx, task, name, content_type, kept, source)


async def _download(ctx: Context, task: Task, url: str) -> tuple[str, Kept]:
    most = ctx.settings.max_output
    channel = ctx.of(Channels).get(task.channel or "")
    if channel is not None and (transport := ctx.of(Providers).transport(channel.provider)):
        status, headers, body = await transport.answer(Ask("GET", url))
        _check(status)
        return headers.get("content-type", ""), await ctx.blobs.keep(_once(body), most)
    if channel is not None and urlsplit(url)[:2] == urlsplit(channel.base_url)[:2]:
        auth = ctx.of(Providers)[channel.provider].auth.headers(channel.credential)
        async with ctx.http.stream(Request("GET", url, auth, None, 3600.0), cap_bytes=most) as reply:
            _check(reply.status)
            return reply.headers.get("content-type") or "", await ctx.blobs.keep(reply, most)
    async with ctx.guard.fetch(url, most, 3600.0) as reply:
        _check(reply.status)
        return reply.headers.get("content-type") or "", await ctx.blobs.keep(reply, most)


def _check(status: int) -> None:
    if status != 200:
        raise UpstreamError(f"an output's link answered {status}")


# ── both ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _walk(value: Any, leaf: Leaf, path: tuple[str | int, ...] = ()) -> Any:
    """The value with every string that is a file's URL replaced by what `leaf` makes of it."""
    if isinstance(value, str):
        return await leaf(value, path) if IS_FILE.match(value) else value
    if isinstance(value, dict):
        return {key: await _walk(part, leaf, (*path, key)) for key, part in value.items()}
    if isinstance(value, list):
        return [await _walk(part, leaf, (*path, index)) for index, part in enumerate(value)]
    return value


def decode_data_url(url: str) -> tuple[str, bytes]:
    """(content type, bytes). Raises CallerError."""
    head, comma, data = url[5:].partition(",")
    content_type, _, encoding = head.rpartition(";") if head.endswith(";base64") else (head, "", "")
    try:
        raw = base64.b64decode(data, validate=False) if encoding == "base64" else unquote_to_bytes(data)
    except ValueError:
        raise CallerError("a data: URL that can't be decoded") from None
    if not comma:
        raise CallerError("a data: URL without data")
    return content_type.partition(";")[0] or "text/plain", raw


SIGNATURES = (
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"glTF", "model/gltf-binary"),
    (b"MThd", "audio/midi"),
    (b"%PDF", "application/pdf"),
)


def sniffed(head: bytes) -> str | None:
    """The content type that a file's first bytes tell, for what these files usually are."""
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return "video/mp4"
    return next((kind for start, kind in SIGNATURES if head.startswith(start)), None)


def _suffix(path: str, content_type: str, head: bytes) -> str:
    own = re.search(r"\.[A-Za-z0-9]{1,5}\Z", path)
    if own:
        return own.group().lower()
    kind = sniffed(head) or content_type.partition(";")[0]
    return {"image/jpeg": ".jpg", "audio/wav": ".wav", "image/webp": ".webp"}.get(kind) or (
        mimetypes.guess_extension(kind) or ".bin"
    )


def _name(url: str, content_type: str) -> str:
    return _clean(urlsplit(url).path.rpartition("/")[2]) or "input" + _suffix("", content_type, b"")


def _clean(name: str) -> str:
    """A file name that is safe in a URL and on any disk."""
    return re.sub(r"[^\w.-]+", "_", name.rpartition("/")[2])[-100:].strip("._") or "file"


async def _once(data: bytes) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(view), 1 << 18):
        yield bytes(view[start : start + (1 << 18)])


def _gathered_file(owner: tuple[str, str, str, str], name: str, content_type: str, kept: Kept) -> File:
    account, mode, task, role = owner
    if not re.search(r"\.[A-Za-z0-9]{1,5}\Z", name):
        name += _suffix("", content_type, kept.head)
    return _file(account, mode, task, role, name, content_type, kept, "{}", None)


async def _recorded(ctx: Context, task: Task, name: str, content_type: str, kept: Kept, source: str) -> File:
    file = _file(task.account, task.mode, task.id, "output", name, content_type, kept, source, None)
    await ctx.store.write(files.insert(file))
    return file


def _file(
    account: str,
    mode: str,
    task: str | None,
    role: str,
    name: str,
    content_type: str,
    kept: Kept,
    metadata: str,
    expires_s: float | None,
) -> File:
    plain = content_type.partition(";")[0].strip().lower()
    if plain in ("", "application/octet-stream", "binary/octet-stream"):
        plain = sniffed(kept.head) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return File(
        new_id(),
        account,
        mode,
        task,
        role,
        name,
        plain,
        kept.size,
        kept.sha256,
        kept.md5,
        metadata,
        now(),
        after(expires_s) if expires_s is not None else None,
    )


def uploaded(caller: Caller, name: str, content_type: str, kept: Kept, metadata: str, expires_s: float) -> File:
    """The row of a file that a caller uploaded."""
    return _file(caller.account, caller.mode, None, "upload", name, content_type, kept, metadata, expires_s)
