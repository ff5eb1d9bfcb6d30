"""Resident memory: at rest, and after 200,000 status queries and 20,000 creations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import wrk
from bench.gateway import Gateway
from bench.nginx import Nginx
from bench.rows import Row
from bench.seeding import CREATE, GET, seed

FINISHED, QUERIES, CREATIONS = 10_000, 200_000, 20_000
SLICE_S = 3
SLICES_MOST = 10
ROUNDS = 2


def measure(folder: Path) -> Iterator[Row]:
    with Nginx.upstream(folder / "upstream") as upstream:
        seeded = seed(folder / "data", upstream.url, finished=FINISHED)
        with Gateway(seeded.data) as gateway:
            time.sleep(1)
            rest = gateway.rss_mb
            query = wrk.Load(gateway.url, [GET + id for id in seeded.finished], seeded.key, seconds=SLICE_S)
            after = []
            for _ in range(ROUNDS):
                _until(query, gateway, QUERIES // ROUNDS)
                after.append(gateway.rss_mb)
            create = wrk.Load(gateway.url, [CREATE.path], seeded.key, CREATE.body, seconds=SLICE_S)
            made = _until(create, gateway, CREATIONS)
            full = gateway.rss_mb
    yield Row("memory: at rest, MB", rest, f"{rest:.0f} MB", at_most=120)
    yield Row(
        "memory: status queries, MB",
        after[-1] - after[0],
        f"{after[0]:.0f} MB after {QUERIES // ROUNDS:,} queries over {FINISHED:,} tasks, {after[-1]:.0f} MB after"
        " twice as many",
        at_most=5,
    )
    yield Row(
        "memory: a task in flight, kB",
        (full - after[-1]) * 1024 / made,
        f"{full:.0f} MB with {made:,} tasks in flight, {(full - after[-1]) * 1024 / made:.1f} kB each",
    )


def _until(load: wrk.Load, gateway: Gateway, count: int) -> int:
    done = 0
    for _ in range(SLICES_MOST):
        if done < count:
            done += wrk.run(load, gateway.pid).requests
    return done
