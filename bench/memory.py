"""Resident memory: at rest; after 200,000 status queries and 20,000 creations; and over many chat calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench import chat, wrk
from bench.gateway import Gateway
from bench.nginx import Nginx
from bench.rows import Row
from bench.seeding import CREATE, GET, seed, seed_chat

FINISHED, QUERIES, CREATIONS = 10_000, 200_000, 20_000
SLICE_S = 3
SLICES_MOST = 10
ROUNDS = 2
CALLS, FULL = 200_000, 1_000_000
EACH = 100_000
FLAT_MB = 2.0


def measure(folder: Path, calls: int = CALLS) -> Iterator[Row]:
    """`calls`: over how many chat calls; the first 100,000 of them fill what is kept at hand."""
    yield from _tasks(folder / "tasks")
    yield _calls(folder / "calls", calls)


def _calls(folder: Path, calls: int) -> Row:
    with Nginx.completing(folder / "upstream", chat.COMPLETION) as upstream:
        key = seed_chat(folder / "data", f"{upstream.url}/v1")
        with Gateway(folder / "data") as gateway:
            time.sleep(1)
            done, rest = 0, gateway.rss_mb
            seen: list[tuple[int, float]] = []
            while done < calls:
                made = _until(replace(chat.load(gateway.url, key), seconds=SLICE_S), gateway, EACH)
                if not made:
                    raise RuntimeError("the gateway answers no calls")
                done += made
                seen.append((done, gateway.rss_mb))
    (first, least), (last, most) = seen[0], seen[-1]
    slope = (most - least) / max(1, last - first) * EACH
    return Row(
        "memory: over 100,000 more chat calls, MB",
        slope,
        f"{rest:.0f} MB at rest, {least:.1f} MB after {first:,} calls, {most:.1f} MB after {last:,}",
        "in between " + ", ".join(f"{mb:.1f}" for _, mb in seen[1:-1]) if len(seen) > 2 else "",
        at_most=FLAT_MB,
    )


def _tasks(folder: Path) -> Iterator[Row]:
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
