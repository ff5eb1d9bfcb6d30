"""A penstock server on one core, as its users start it, and what its /metrics says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bench import machine
from bench.ports import free_port

READY_WITHIN_S = 30.0


class Gateway:
    """Starts at once; `ready` waits. `began` is the moment before the process was made."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "penstock", "serve", "--port", str(self.port), "--data", str(data)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        self.log = data.with_suffix(".log")
        self.began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=inherited | environment,
                cwd=data.parent,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: machine.pin(machine.SERVER_CORE),
            )

    def ready(self) -> Self:
        while time.monotonic() - self.began < READY_WITHIN_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway ended\n{self.log.read_text()[-2000:]}")
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        raise RuntimeError("the gateway was not ready in time")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def rss_mb(self) -> float:
        return machine.rss_mb(self.pid)

    def get(self, path: str, key: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return bytes(reply.read())

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with labels: `penstock_task_steps_total{outcome="polled"}`."""
        lines = self.get("/metrics", "").decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def __enter__(self) -> Self:
        return self.ready()

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def quantile_s(before: Mapping[str, float], now: Mapping[str, float], name: str, part: float) -> float:
    """A histogram's quantile between two readings, straight lines drawn within a bucket."""
    head = f'{name}_bucket{{le="'
    edges = sorted((float(key[len(head) : -2]), now[key] - before.get(key, 0.0)) for key in now if key.startswith(head))
    wanted, below, low = part * edges[-1][1], 0.0, 0.0
    for edge, count in edges:
        if count >= wanted and count > 0:
            return low if edge == float("inf") else low + (edge - low) * (wanted - below) / max(count - below, 1e-9)
        below, low = count, edge
    return low
