"""Bytes of files, by their SHA-256: on local disk or in a bucket. Nothing is ever held whole in memory."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import obstore
from obstore.store import LocalStore, ObjectStore

from penstock.errors import NotFound, StorageFull, TooLarge
from penstock.ids import new_id

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of a file's bytes; `head` is their first 64, for telling what they are."""

    sha256: str
    md5: str
    size: int
    head: bytes


class Blobs:
    """A store of bytes. The same bytes are kept once; `free` must be true before new work is taken."""

    def __init__(self, store: ObjectStore, disk: Path, min_free: int) -> None:
        self._store = store
        self._disk = disk
        self._min_free = min_free
        self._looked_at = -1.0
        self._full = False

    @classmethod
    def local(cls, root: Path, min_free: int) -> Blobs:
        root.mkdir(parents=True, exist_ok=True)
        return cls(LocalStore(root), root, min_free)

    def check_space(self) -> None:
        """Raises StorageFull before the disk is full in fact. Looks once a second."""
        if time.monotonic() < self._looked_at + 1.0 and not self._full:
            return
        self._looked_at = time.monotonic()
        self._full = shutil.disk_usage(self._disk).free < self._min_free
        if self._full:
            raise StorageFull()

    async def keep(self, chunks: AsyncIterator[bytes], limit: int) -> Kept:
        """Write the bytes as they come. Raises TooLarge beyond `limit`."""
        async with self.writing(limit) as file:
            async for chunk in chunks:
                await file.write(chunk)
            return await file.finish()

    def writing(self, limit: int) -> Writing:
        """A file to write piece by piece; unless it is finished, nothing of it stays."""
        return Writing(self._store, limit)

    async def read(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end` (exclusive, None for all), in pieces. Raises NotFound."""
        try:
            if end is not None and end <= start:
                return
            options = {"range": (start, end)} if end is not None else {"range": {"offset": start}} if start else {}
            found = await obstore.get_async(self._store, _path(sha256), options=options)  # type: ignore[arg-type]
        except FileNotFoundError:
            raise NotFound("File not found") from None
        async for piece in found.stream(min_chunk_size=CHUNK):
            yield bytes(piece)

    async def whole(self, sha256: str) -> bytes:
        return b"".join([piece async for piece in self.read(sha256)])

    async def delete(self, sha256: str) -> None:
        await _quietly_delete(self._store, _path(sha256))

    async def every(self, older_than_s: float = 0.0) -> AsyncIterator[str]:
        """The SHA-256 of all that was kept so long ago."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        async for batch in obstore.list(self._store, prefix="by-hash"):
            for found in batch:
                if found["last_modified"] <= before:
                    yield str(found["path"]).rpartition("/")[2]

    async def drop_parts(self, older_than_s: float) -> None:
        """Delete what a process that died left half written."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        async for batch in obstore.list(self._store, prefix="parts"):
            for found in batch:
                if found["last_modified"] <= before:
                    await _quietly_delete(self._store, str(found["path"]))


class Writing:
    """A file that is being written, under a name of its own until it is whole."""

    def __init__(self, store: ObjectStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._part = f"parts/{new_id()}"
        self._writer = obstore.open_writer_async(store, self._part, buffer_size=1 << 20, max_concurrency=2)
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._head = b""
        self._done = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._done:
            with suppress(Exception):
                await self._writer.close()
            await _quietly_delete(self._store, self._part)

    async def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise TooLarge(f"Files must be less than {self._limit >> 20}MB in size")
        self._head = self._head or bytes(chunk[:64])
        self._sha256.update(chunk)
        self._md5.update(chunk)
        await self._writer.write(chunk)

    async def finish(self) -> Kept:
        await self._writer.close()
        await obstore.rename_async(self._store, self._part, _path(self._sha256.hexdigest()))
        self._done = True
        return Kept(self._sha256.hexdigest(), self._md5.hexdigest(), self._size, self._head)


def _path(sha256: str) -> str:
    return f"by-hash/{sha256[:2]}/{sha256}"


async def _quietly_delete(store: ObjectStore, path: str) -> None:
    try:
        await obstore.delete_async(store, path)
    except (FileNotFoundError, OSError):
        return
