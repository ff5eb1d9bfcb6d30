"""What inputs and outputs share: files in JSON values, `data:` URLs, what a file is, and its row."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from penstock.canonical.task import File
from penstock.canonical.who import Caller
from penstock.clock import after, now
from penstock.errors import CallerError
from penstock.ids import new_id
from penstock.store.blobs import Kept

IS_FILE = re.compile(r"(?:(?:https?|sandbox)://\S+|data:[^\s,]*,.*)\Z", re.DOTALL)
Leaf = Callable[[str, tuple[str | int, ...]], Awaitable[Any]]


async def walk(value: Any, leaf: Leaf, path: tuple[str | int, ...] = ()) -> Any:
    """The value with every string that is a file's URL replaced by what `leaf` makes of it."""
    if isinstance(value, str):
        return await leaf(value, path) if IS_FILE.match(value) else value
    if isinstance(value, dict):
        return {key: await walk(part, leaf, (*path, key)) for key, part in value.items()}
    if isinstance(value, list):
        return [await walk(part, leaf, (*path, index)) for index, part in enumerate(value)]
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


def suffix(path: str, content_type: str, head: bytes) -> str:
    own = re.search(r"\.[A-Za-z0-9]{1,5}\Z", path)
    if own:
        return own.group().lower()
    kind = sniffed(head) or content_type.partition(";")[0]
    return {"image/jpeg": ".jpg", "audio/wav": ".wav", "image/webp": ".webp"}.get(kind) or (
        mimetypes.guess_extension(kind) or ".bin"
    )


def clean(name: str) -> str:
    """A file name that is safe in a URL and on any disk."""
    return re.sub(r"[^\w.-]+", "_", name.rpartition("/")[2])[-100:].strip("._") or "file"


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(view), 1 << 18):
        yield bytes(view[start : start + (1 << 18)])


def file_row(
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
    return file_row(caller.account, caller.mode, None, "upload", name, content_type, kept, metadata, expires_s)
