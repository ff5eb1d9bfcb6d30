"""Status queries on one core: one task over and over, many at random, running ones, and more than are kept at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench import wrk
from bench.gateway import Gateway
from bench.nginx import Nginx
from bench.rows import Row, quietest
from bench.seeding import GET, Seeded, seed

FINISHED, RUNNING, BEYOND = 10_000, 1_000, 60_000
AIM = 25_000


def measure(folder: Path) -> Iterator[Row]:
    with Nginx.upstream(folder / "upstream") as upstream:
        seeded = seed(folder / "data", upstream.url, finished=BEYOND, running=RUNNING)
        with Gateway(seeded.data) as gateway:
            body = gateway.get(GET + seeded.finished[0], seeded.key)
            with Nginx.static(folder / "static", body) as nginx:
                peer = quietest(lambda: wrk.run(wrk.Load(nginx.url, ["/file"], seeded.key, seconds=3), nginx.pid))
            yield Row(
                "nginx: the same bytes as a file, /s",
                peer.per_cpu_s,
                f"{peer.per_s:,.0f}/s, {peer.per_cpu_s:,.0f} per CPU second, {len(body)} bytes",
                disturbed=peer.span.foreign,
            )
            for what, ids, aim in _cases(seeded):
                yield _row(gateway, seeded, what, ids, aim, peer)


def _cases(seeded: Seeded) -> Iterator[tuple[str, list[str], float | None]]:
    yield "status: one finished task, /s", [*seeded.finished[:1]], AIM
    yield "status: 10,000 finished at random, /s", [*seeded.finished[:FINISHED]], AIM
    yield "status: 1,000 that run, /s", [*seeded.running], AIM
    yield "status: 60,000 at random, more than are kept at hand, /s", [*seeded.finished], None


def _row(gateway: Gateway, seeded: Seeded, what: str, ids: list[str], aim: float | None, peer: wrk.Result) -> Row:
    load = wrk.Load(gateway.url, [GET + id for id in ids], seeded.key, seconds=3)
    if aim is not None:  # what was never shown is read from the database once
        wrk.run(replace(load, seconds=2), gateway.pid)
    result = quietest(lambda: wrk.run(load, gateway.pid))
    return Row(
        what,
        result.per_cpu_s,
        f"{result.per_s:,.0f}/s, {result.per_cpu_s:,.0f} per CPU second, p50 {result.p50_ms:.2f} ms,"
        f" p99 {result.p99_ms:.1f} ms at 64 clients" + wrk.trouble(result),
        f"{result.per_cpu_s / peer.per_cpu_s:.0%} of nginx",
        at_least=aim,
        disturbed=result.span.foreign,
    )
