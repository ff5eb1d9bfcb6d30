"""A command's way to the gateway: through the socket of the one that runs, so that there is one writer and a revocation
is at once; otherwise it takes the directory's lock and opens the database itself.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

from penstock.config import Settings
from penstock.errors import GatewayError, PenstockError

MOST = 16 << 20
NAME_MOST = 100
"""A Unix socket's path may have about so many bytes."""


class Refused(PenstockError):
    """What the running gateway said no with."""


def path(data: Path) -> Path:
    return data / "penstock.sock"


async def operate(settings: Settings, act: str, given: dict[str, Any]) -> Any:
    """Do an act: through the running server, else here. Raises PenstockError."""
    where = path(settings.data)
    if where.exists():
        try:
            return await _ask(where, act, given)
        except (ConnectionRefusedError, FileNotFoundError):
            where.unlink(missing_ok=True)  # left by a server that was killed
    from penstock.console import acts  # only now: a command that asks a server starts twice as quickly without all this
    from penstock.console.socket import user
    from penstock.gateway import opened

    async with opened(settings) as ctx:
        return await acts.do(ctx, act, given, user(os.getuid()))


async def _ask(where: Path, act: str, given: dict[str, Any]) -> Any:
    with Short(where) as short:
        reader, writer = await asyncio.open_unix_connection(short, limit=MOST)
    writer.write(msgspec.json.encode({"act": act, "given": given}) + b"\n")
    await writer.drain()
    line = await reader.readline()
    writer.close()
    if not line:
        raise GatewayError("the running server closed the connection; see its log")
    answer = msgspec.json.decode(line)
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["result"]


class Short:
    """The path, or where it is too long for a socket, one through the directory's descriptor that means the same."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._fd: int | None = None

    def __enter__(self) -> str:
        whole = str(self._where)
        if len(whole.encode()) < NAME_MOST:
            return whole
        self._fd = os.open(self._where.parent, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._fd}/{self._where.name}"

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
