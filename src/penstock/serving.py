"""Serve a gateway over HTTP until told to stop; then finish what is begun, within a bound."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
from functools import partial
from pathlib import Path
from types import FrameType

import msgspec
import uvicorn

from penstock import gateway
from penstock.access import Keys
from penstock.config import FILE, Settings
from penstock.console.audit import recorded, told
from penstock.console.socket import listening
from penstock.context import Context
from penstock.declared import applying, comparing, document
from penstock.errors import PenstockError
from penstock.log import logger
from penstock.protocol import Protocol
from penstock.server import App

COLLECT_AFTER = 20_000, 20, 50
"""Garbage is mostly freed without the collector here, and 50,000 watched tasks are long for it to walk over."""


class _Server(uvicorn.Server):
    """Lets waiting clients go as soon as a signal comes, so that stopping does not wait for them; SIGHUP applies the
    configuration file anew."""

    def __init__(self, options: uvicorn.Config, ctx: Context) -> None:
        super().__init__(options)
        self._ctx = ctx
        self._at_terminal = os.isatty(0)
        self._reloads: set[asyncio.Task[None]] = set()

    def hang_up(self) -> None:
        """But whoever closes the terminal that the server was started in means to end it."""
        if self._at_terminal and not os.isatty(0):
            self.handle_exit(signal.SIGTERM, None)
            return
        task = asyncio.get_running_loop().create_task(_reload(self._ctx))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        gateway.close(self._ctx)
        self.force_exit = self.should_exit and sig == signal.SIGINT  # a second Ctrl-C
        self.should_exit = True


def serve_until_told(settings: Settings, tls_cert: Path | None, tls_key: Path | None, *, welcome: bool = False) -> int:
    """The exit code."""
    _open_files()
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(_serve(settings, tls_cert, tls_key, welcome))


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _open_files() -> None:
    """As many as we may: every open stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(settings: Settings, tls_cert: Path | None, tls_key: Path | None, welcome: bool) -> int:
    async with gateway.opened(settings, serves=True) as ctx, listening(ctx):
        app = App(ctx)
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        options = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=partial(Protocol, at_once=app.at_once),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            backlog=4096,
            timeout_graceful_shutdown=max(1, int(settings.shutdown_s / 2)),
            ssl_certfile=str(tls_cert) if tls_cert else None,
            ssl_keyfile=str(tls_key) if tls_key else None,
            proxy_headers=False,
        )
        server = _Server(options, ctx)
        await _declare(ctx)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.hang_up)
        logger("serving").info("serving", url=settings.public_url, data=str(settings.data), pid=os.getpid())
        if welcome:
            await _welcome(ctx)
        try:
            await server.serve()
        except SystemExit:  # uvicorn's way to say that it could not bind
            words = f"can't listen on {settings.host}:{settings.port}: {_why(settings)}"
            logger("serving").error(words)
            return 1
    return 0


async def _reload(ctx: Context) -> None:
    """A file that is broken changes nothing."""
    try:
        await _declare(ctx)
    except (PenstockError, OSError, UnicodeDecodeError) as error:
        logger("serving").error("the file was not applied", file=str(FILE), reason=str(error))
    except Exception:  # noqa: BLE001  what was served before is served on
        logger("serving").exception("the file was not applied", file=str(FILE))


async def _declare(ctx: Context) -> None:
    """Apply what the configuration file declares. Raises PenstockError, and then nothing was done."""
    if not FILE.is_file():
        return
    declared = document.read(FILE.read_text(), os.environ, str(FILE))
    given = told({"document": msgspec.to_builtins(declared)})
    async with ctx.of(applying.Turns).lock:
        due = [step for step in await comparing.planned(ctx, declared) if step.change.verb != comparing.SAME]
        seen = [step for step in due if not applying.is_new_key(step)]
        if seen:
            await recorded(ctx, str(FILE), "declared.apply", given, partial(applying.carry_out, ctx, seen))
    for step in seen:
        change = step.change
        logger("serving").info("declared", part=change.part, name=change.name, verb=change.verb)
    if left := len(due) - len(seen):
        logger("serving").warning("keys are made by penstock apply, which shows them", count=left)
    logger("serving").info("applied", file=str(FILE), changes=len(due))


async def _welcome(ctx: Context) -> None:
    """A test key, the same one at each start, and a line to paste that leaves a picture."""
    kept = ctx.settings.data / "test-key"
    if not kept.exists():
        made = await ctx.of(Keys).create("make run", "test", "default")
        gateway.write_private(kept, made["key"])
    key, url = kept.read_text().strip(), ctx.settings.public_url
    print(
        f"""
  penstock is at  {url}        (reference: {url}/docs)
  your test key   {key}

  Paste this into another terminal; it leaves a picture, boat.webp:

curl -s {url}/replicate/v1/models/black-forest-labs/flux-schnell/predictions \\
  -H 'Authorization: Bearer {key}' -H 'Prefer: wait' \\
  -H 'Content-Type: application/json' -d '{{"input": {{"prompt": "a paper boat on a lake at sunset"}}}}' \\
  | grep -o '"http[^"]*/files/[^"]*"' | head -n 1 | xargs curl -s -o boat.webp && ls -l boat.webp

  Ctrl-C stops it.
""",
        flush=True,
    )


def _why(settings: Settings) -> str:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return error.strerror or str(error)
    return "see above"
