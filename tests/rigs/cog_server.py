"""Real Cog servers for tests, started from the cog package without docker: both generations, on 127.0.0.1 only.

`CogServer` is the Rust server (cog 0.17 and later, from the project's own environment), `OldCogServer` the Python one
(cog 0.16, from an environment of its own that is made on first use). Each serves one predictor of `rigs/cog/`, copied
to a folder of its own.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.contract.environments import python_client

PREDICTORS = Path(__file__).parent / "cog"
OVER = {"SETUP_FAILED", "DEFUNCT", "UNHEALTHY"}


class CogServer:
    """A server of the new generation. `with CogServer("picture") as cog:` yields it READY; leaving stops it.

    `port` may be fixed in advance. With `upload_url` (`--upload-url`) outputs are PUT there instead of coming back as
    data URLs. `env` adds to the server's environment. With `wait=False` it is yielded as soon as its port answers.
    """

    def __init__(
        self,
        predictor: str,
        port: int | None = None,
        upload_url: str | None = None,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
        ready_within_s: float = 30.0,
    ) -> None:
        self.predictor, self.upload_url, self.env, self.wait = predictor, upload_url, dict(env or {}), wait
        self.ready_within_s = ready_within_s
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="cog-"))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts it; after `stop` or `kill` again, on the same port. Raises RuntimeError if it does not get ready."""
        self.prepare()
        command = [str(self.python()), "-m", "cog.server.http", "--host", "127.0.0.1"]
        if self.upload_url:
            command += ["--upload-url", self.upload_url]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        self.wait_for({"READY"} if self.wait else {"READY", "STARTING", *OVER})

    def prepare(self) -> None:
        """What `cog build` would have put beside the predictor."""
        shutil.copy(PREDICTORS / f"{self.predictor}.py", self.folder)
        described = subprocess.run(
            [self.python(), PREDICTORS / "describe.py", self.predictor], capture_output=True, check=True, timeout=30
        )
        (self.folder / ".cog").mkdir(exist_ok=True)
        (self.folder / ".cog" / "openapi_schema.json").write_bytes(described.stdout)

    def python(self) -> Path:
        return Path(sys.executable)

    def environment(self) -> dict[str, str]:
        """The server starts its worker as `python` from PATH, so the environment's own comes first."""
        return {
            **os.environ,
            "PATH": f"{self.python().parent}{os.pathsep}{os.environ['PATH']}",
            "PORT": str(self.port),
            "COG_PREDICT_TYPE_STUB": f"{self.predictor}.py:Predictor",
            "TMPDIR": str(self.folder),  # predictors leave their outputs behind: `close` removes them
            "NO_PROXY": "*",
            **self.env,
        }

    def wait_for(self, states: set[str]) -> str:
        """Waits for /health-check to say one of `states`, and returns that. Raises RuntimeError, with the log."""
        deadline = time.monotonic() + self.ready_within_s
        state = None
        while time.monotonic() < deadline and self.is_alive():
            state = self.state()
            if state in states:
                return state
            if state in OVER:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the Cog server is {state}, not one of {sorted(states)}:\n{self.log()}")

    def health(self) -> dict[str, Any] | None:
        """The health document; None while nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/health-check", timeout=5) as answer:
                document: dict[str, Any] = json.load(answer)
                return document
        except OSError:
            return None

    def state(self) -> str | None:
        document = self.health()
        return document["status"] if document else None

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """SIGTERM; SIGKILL for the whole process group when it has not ended within five seconds."""
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for the whole process group: the server and its worker."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_worker(self) -> None:
        """SIGKILL for the process that runs the predictor; the HTTP server lives on."""
        os.kill(self.worker(), signal.SIGKILL)

    def worker(self) -> int:
        """Pid of the process that runs the predictor. Raises RuntimeError if there is none."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        for pid in (pid for file in children for pid in file.read_text().split()):
            # multiprocessing's bookkeeper is a child too
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        raise RuntimeError("the Cog server has no worker")

    def log(self) -> str:
        """Everything that the server and its predictor printed."""
        file = self.folder / "server.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class OldCogServer(CogServer):
    """A server of the old generation. It reads `cog.yaml` and works the schema out for itself."""

    def prepare(self) -> None:
        shutil.copy(PREDICTORS / f"{self.predictor}.py", self.folder)
        (self.folder / "cog.yaml").write_text(f"predict: {self.predictor}.py:Predictor\n")

    def python(self) -> Path:
        return python_client("cog-old")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
