"""Creations on one core: key check, validation, hold, durable row; and their submits to a vendor that ends none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from bench import wrk
from bench.flight import POLLED
from bench.gateway import Gateway
from bench.machine import Span
from bench.nginx import Nginx
from bench.rows import Row, quietest
from bench.seeding import CREATE, MODEL, seed

AIM = 2_000
SECONDS = 10


@dataclass(frozen=True)
class Created:
    """`submitted` of the creations had left for the vendor when the load ended; `polls` were made meanwhile."""

    load: wrk.Result
    submitted: float
    polls: float

    @property
    def span(self) -> Span:
        return self.load.span


def measure(folder: Path) -> Iterator[Row]:
    with Nginx.upstream(folder / "upstream") as upstream:
        made = quietest(lambda: _once(Path(mkdtemp(dir=folder)) / "data", upstream))
    load = made.load
    yield Row(
        "create: creations, /s",
        load.per_s,
        f"{load.per_s:,.0f}/s for {load.seconds:.0f} s ({MODEL}), {load.per_cpu_s:,.0f} per CPU second,"
        f" p50 {load.p50_ms:.0f} ms, p99 {load.p99_ms:.0f} ms at 64 clients" + wrk.trouble(load),
        f"{made.submitted / load.requests:.0%} submitted by the end, and {made.polls / load.seconds:,.0f} polls/s,"
        f" in the same {load.span.cpu_s / load.span.seconds:.0%} of a core",
        at_least=AIM,
        disturbed=load.span.foreign,
    )


def _once(data: Path, upstream: Nginx) -> Created:
    """On a fresh data directory: what earlier creations left to poll would be counted with these."""
    seeded = seed(data, upstream.url)
    load = wrk.Load("", [CREATE.path], seeded.key, CREATE.body, seconds=SECONDS)
    with Gateway(data) as gateway:
        before = upstream.requests()
        result = wrk.run(load.at(gateway.url), gateway.pid)
        polls = gateway.metrics().get(POLLED, 0.0)
        return Created(result, upstream.requests() - before - 1 - polls, polls)
