"""A penstock server as its users start it: a child process on a data directory, with the command line beside it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import trustme

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM: the server's chain and key, and the authority that its clients shall trust."""

    chain: Path
    key: Path
    authority: Path

    @classmethod
    def issue(cls, folder: Path) -> Self:
        """A fresh authority and a certificate from it for 127.0.0.1 and localhost."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        made = cls(folder / "server.pem", folder / "server.key", folder / "authority.pem")
        made.chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(made.key)
        authority.cert_pem.write_to_path(made.authority)
        return made


@dataclass
class Live:
    """One server on one data directory and one port, both kept over `kill` and `restart`.

    `folder` holds the data directory and the log; `environment` is added to what the server and the commands see (no
    `PENSTOCK_…` of the caller's is handed on); `options` are added to `serve`.
    """

    folder: Path
    certificate: Certificate | None = None
    environment: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    port: int = 0
    ready_at: str = "/readyz"
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def ca_file(self) -> Path | None:
        return self.certificate.authority if self.certificate else None

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """What a client of ours needs to trust the server; None over plain HTTP."""
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None

    @cached_property
    def test_key(self) -> str:
        return self.keys("tests")["key"]

    @cached_property
    def test_key_2(self) -> str:
        """A key of another account."""
        return self.keys("strangers", account="strangers")["key"]

    @cached_property
    def admin_key(self) -> str:
        return self.keys("operators", mode="live", options=("--scope", "admin"))["key"]

    def start(self) -> Self:
        """Start and wait until it is ready. Raises RuntimeError, with the end of the log, if it isn't in time."""
        cert = self.certificate
        tls = ["--tls-cert", str(cert.chain), "--tls-key", str(cert.key)] if cert else []
        command = [sys.executable, "-m", "penstock", "serve", "--port", str(self.port), *tls, *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data)], env=self._environ(), cwd=self.folder, stdout=log, stderr=log
            )
        self._wait_until_ready()
        return self

    def stop(self) -> int:
        """Ask it to end and wait; what doesn't end in time is killed. Returns the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """`kill -9`: what was not on disk is lost."""
        return self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Start again on the same data and port; a server that still runs is stopped first."""
        if self.process is not None:
            self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.stop()

    def cli(self, *args: str) -> str:
        """What `penstock ARGS --data DIR` prints. Raises RuntimeError with its words when it fails."""
        command = [sys.executable, "-m", "penstock", *args, "--data", str(self.data)]
        done = subprocess.run(command, env=self._environ(), cwd=self.folder, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"penstock {' '.join(args)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def keys(
        self, name: str, *, account: str = "default", mode: str = "test", options: tuple[str, ...] = ()
    ) -> dict[str, str]:
        """A new key as `keys create --json` prints it: `id`, `name`, `key`, `mode`, `account`."""
        made = self.cli("keys", "create", "--name", name, f"--{mode}", "--account", account, "--json", *options)
        return dict(json.loads(made))

    def log_tail(self, lines: int = 60) -> str:
        words = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(words.splitlines()[-lines:])

    def _environ(self) -> dict[str, str]:
        ours = {"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8", "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        return inherited | ours | self.environment

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server was not ready in {READY_WITHIN_S:g} s\n{self.log_tail()}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{self.ready_at}", timeout=5, context=self.tls) as reply:
                return bool(reply.status == 200)
        except OSError:  # refused, reset, or an HTTP error: not yet
            return False

    def _end(self, how: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            raise RuntimeError("the server is not running")
        process.send_signal(how)
        try:
            return process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def free_port() -> int:
    """Below those that the kernel gives to whoever asks for any: a server that is down for a moment keeps its own."""
    while True:
        port = random.randint(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
