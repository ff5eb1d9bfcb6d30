"""50,000 tasks at a vendor that never ends one, on the schedules as shipped.

Their ages are spread over what the model usually takes; new ones come as fast as old ones would end, so that there are
always young ones, which are asked about more often."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

from bench import machine, wrk
from bench.gateway import Gateway, quantile_s
from bench.nginx import Nginx
from bench.rows import Row
from bench.seeding import CREATE, GET, MODEL, seed

TASKS = 50_000
WARM_UP_MOST_S = 45.0
MEASURED_S = 20
POLLED = 'penstock_task_steps_total{outcome="polled"}'
LAG = "penstock_task_lag_seconds"


def measure(folder: Path) -> Iterator[Row]:
    with Nginx.upstream(folder / "upstream") as upstream:
        seeded = seed(folder / "data", upstream.url, running=TASKS)
        with Gateway(seeded.data) as gateway:
            warm_s = _until_each_was_asked(gateway)
            creations = TASKS / seeded.usual_s
            seconds = MEASURED_S + 5
            create = wrk.Load(gateway.url, [CREATE.path], seeded.key, CREATE.body, 8, seconds, _pause_ms(8, creations))
            query = wrk.Load(gateway.url, [GET + id for id in seeded.running], seeded.key, None, 4, seconds, 20)
            results: dict[str, wrk.Result] = {}
            loads = [
                Thread(target=lambda n=name, at=load: results.__setitem__(n, wrk.run(at, gateway.pid)))  # type: ignore[misc]
                for name, load in (("create", create), ("query", query))
            ]
            for load in loads:
                load.start()
            time.sleep(3)
            before = gateway.metrics()
            with machine.spanning(gateway.pid) as span:
                time.sleep(MEASURED_S)
            after = gateway.metrics()
            rss_mb = gateway.rss_mb
            for load in loads:
                load.join()
    polls = (after[POLLED] - before[POLLED]) / span.seconds
    p99_s = quantile_s(before, after, LAG, 0.99)
    p50_s = quantile_s(before, after, LAG, 0.5)
    created, asked = results["create"], results["query"]
    unfinished = after["penstock_tasks_unfinished"]
    yield Row(
        "in flight: polls/s",
        polls,
        f"{polls:,.0f} polls/s over {unfinished:,.0f} tasks ({MODEL}), {created.per_s:.0f} creations/s beside",
        f"{span.cpu_s / span.seconds:.0%} of the core, {polls * span.seconds / span.cpu_s:,.0f} polls per CPU second,"
        f" {rss_mb:.0f} MB; first poll of all took {warm_s:.1f} s",
        at_least=5_000,
        disturbed=span.foreign,
    )
    yield Row(
        "in flight: lag p99, s",
        p99_s,
        f"lag p50 {p50_s * 1000:.0f} ms, p99 {p99_s * 1000:.0f} ms",
        at_most=1.0,
        disturbed=span.foreign,
    )
    yield Row(
        "in flight: status query p99, ms",
        asked.p99_ms,
        f"status queries meanwhile, {asked.per_s:.0f}/s: p50 {asked.p50_ms:.1f} ms, p99 {asked.p99_ms:.1f} ms;"
        f" creations p50 {created.p50_ms:.1f} ms, p99 {created.p99_ms:.1f} ms",
        disturbed=span.foreign,
    )


def _until_each_was_asked(gateway: Gateway) -> float:
    while gateway.metrics().get(POLLED, 0.0) < TASKS:
        if time.monotonic() - gateway.began > WARM_UP_MOST_S:
            raise RuntimeError(f"not every task was asked about within {WARM_UP_MOST_S:.0f} s")
        time.sleep(0.25)
    return time.monotonic() - gateway.began


def _pause_ms(connections: int, per_s: float) -> int:
    return math.floor(1000 * connections / per_s)
