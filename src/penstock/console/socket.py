"""The operator's line to a running gateway: a Unix socket in the data directory, one JSON line each way.

Who can open the socket (mode 0600) is the operator. While a server runs, commands go through it, so that there is one
writer and a revocation is at once; otherwise a command takes the directory's lock and opens the database itself.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from penstock.config import Settings
from penstock.console import acts
from penstock.context import Context
from penstock.errors import GatewayError, PenstockError
from penstock.gateway import opened
from penstock.log import redact

MOST = 16 << 20
NAME_MOST = 100
"""A Unix socket's path may have about so many bytes."""
_PEER = struct.Struct("3i")
"""`struct ucred` of Linux: process, user, group."""


class Refused(PenstockError):
    """What the running gateway said no with."""


def path(data: Path) -> Path:
    return data / "penstock.sock"


@asynccontextmanager
async def listening(ctx: Context) -> AsyncIterator[None]:
    """Take operators' acts while the server runs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.LimitOverrunError, ValueError):
            writer.write(await _answered(ctx, await reader.readline(), _peer(writer)) + b"\n")
            await writer.drain()
        writer.close()

    where = path(ctx.settings.data)
    where.unlink(missing_ok=True)
    with _short(where) as short:
        bound = _bound(short)
    server = await asyncio.start_unix_server(answer, sock=bound, limit=MOST)
    try:
        yield
    finally:
        server.close()
        where.unlink(missing_ok=True)


def _bound(where: str) -> socket.socket:
    """A socket that was never anybody else's: its mode is set by the mask, before it is there."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        bound.bind(where)
    finally:
        os.umask(mask)
    return bound


def _peer(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end, as the kernel says; where it does not (off Linux), the server's own user, for whom alone
    the socket opens."""
    if not hasattr(socket, "SO_PEERCRED"):
        return _user(os.getuid())
    told = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return _user(_PEER.unpack(told)[1])


def _user(uid: int) -> str:
    """As the audit log names them."""
    try:
        return f"cli/{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"cli/{uid}"


async def _answered(ctx: Context, line: bytes, actor: str) -> bytes:
    try:
        asked = msgspec.json.decode(line)
        result = await acts.do(ctx, asked["act"], asked["given"], actor)
        return msgspec.json.encode({"result": result})
    except PenstockError as error:
        return msgspec.json.encode({"error": redact(str(error))})
    except Exception as error:  # noqa: BLE001  the operator reads it, and the server goes on
        return msgspec.json.encode({"error": redact(f"{type(error).__name__}: {error}")})


async def operate(settings: Settings, act: str, given: dict[str, Any]) -> Any:
    """Do an act: through the running server, else here. Raises PenstockError."""
    where = path(settings.data)
    if where.exists():
        try:
            return await _ask(where, act, given)
        except (ConnectionRefusedError, FileNotFoundError):
            where.unlink(missing_ok=True)  # left by a server that was killed
    async with opened(settings) as ctx:
        return await acts.do(ctx, act, given, _user(os.getuid()))


async def _ask(where: Path, act: str, given: dict[str, Any]) -> Any:
    with _short(where) as short:
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


class _short:
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
