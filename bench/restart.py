"""From the start of the process until the vendor has been asked about each of 10,000 unfinished tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import machine
from bench.gateway import Gateway
from bench.nginx import Nginx
from bench.rows import Row
from bench.seeding import seed

TASKS = 10_000
MOST_S = 30.0


def measure(folder: Path) -> Iterator[Row]:
    with Nginx.upstream(folder / "upstream") as upstream:
        seeded = seed(folder / "data", upstream.url, running=TASKS)
        asked = upstream.requests()  # the vendor's own count, ours among it
        gateway = Gateway(seeded.data)
        with machine.spanning(gateway.pid) as span:
            while upstream.requests() - asked < TASKS and time.monotonic() - gateway.began < MOST_S:
                asked += 1
                time.sleep(0.02)
            took_s = time.monotonic() - gateway.began
        with gateway:
            rss_mb = gateway.rss_mb
    yield Row(
        "restart: 10,000 unfinished, s",
        took_s,
        f"{took_s:.2f} s until the last was polled, {span.cpu_s:.2f} s of CPU, {rss_mb:.0f} MB",
        at_most=5.0,
        disturbed=span.foreign,
    )
