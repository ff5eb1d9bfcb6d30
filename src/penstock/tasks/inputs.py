"""Files that callers put in: checked, kept, and made ready for vendors."""

from __future__ import annotations

import base64
import ipaddress
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from penstock.canonical.plan import Channel
from penstock.canonical.task import File, Task
from penstock.canonical.who import Caller
from penstock.context import Context
from penstock.errors import CallerError, InvalidField, InvalidInput, NotFound, PenstockError
from penstock.store import Step, files
from penstock.store.blobs import Kept
from penstock.tasks import assets

SPELLINGS = r"(?:/replicate/v1/v1|/replicate/v1|/replicate)?/files/([0-9a-z]{26})(?:/.*)?\Z"
INLINE_MOST = 64 << 10
"""`data:` URLs longer than this are kept as files: the task row stays small."""
FETCH_S = 60.0
FILES_MOST = 32


class Gathered(msgspec.Struct, frozen=True):
    """`known`: {string in the input: id of our file}; `steps` are the new files' rows, for the task's transaction."""

    known: dict[str, str] = {}
    steps: list[Step] = []


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
            if len(gathered.known) >= FILES_MOST:
                raise InvalidInput(fields=(InvalidField("input", "files", f"Must have at most {FILES_MOST} files"),))
            gathered.known[text] = file.id
            gathered.steps.append(files.insert(file))
        return text

    await assets.walk(input, leaf)
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
        content_type, data = assets.decode_data_url(text)
        kept = await ctx.blobs.keep(assets.pieces(data), ctx.settings.max_file)
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
    if not task.files:
        return input
    known: dict[str, str] = msgspec.json.decode(task.files)
    base = callback_base(ctx, channel)

    async def leaf(text: str, path: tuple[str | int, ...]) -> str:
        file = await files.get(ctx.store, known[text]) if text in known else None
        if file is None:
            return text
        if inline or base is None:
            data = base64.b64encode(await ctx.blobs.whole(file.sha256)).decode()
            return f"data:{file.content_type};base64,{data}"
        return f"{base}/files/{file.id}/{ctx.signer.sign('file', file.id, None)}/{quote(file.name, safe='')}"

    return await assets.walk(input, leaf)  # type: ignore[no-any-return]


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


def _name(url: str, content_type: str) -> str:
    return assets.clean(urlsplit(url).path.rpartition("/")[2]) or "input" + assets.suffix("", content_type, b"")


def _gathered_file(owner: tuple[str, str, str, str], name: str, content_type: str, kept: Kept) -> File:
    account, mode, task, role = owner
    if not re.search(r"\.[A-Za-z0-9]{1,5}\Z", name):
        name += assets.suffix("", content_type, kept.head)
    return assets.file_row(account, mode, task, role, name, content_type, kept, "{}", None)
