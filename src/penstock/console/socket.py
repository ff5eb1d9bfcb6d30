"""The operator's line to a running gateway: a Unix socket in the data directory, one JSON line each way.

Who can open the socket (mode 0600) is the operator; `asking` is its other end.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from penstock.console import acts
from penstock.console.asking import MOST, Short, path
from penstock.context import Context
from penstock.errors import PenstockError
from penstock.log import redact

_PEER = struct.Struct("3i")
"""`struct ucred` of Linux: process, user, group."""


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
    with Short(where) as short:
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
        return user(os.getuid())
    told = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return user(_PEER.unpack(told)[1])


def user(uid: int) -> str:
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
