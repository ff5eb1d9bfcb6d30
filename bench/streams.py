"""Many streamed chat calls at once on one core, paid for like whole ones: beside nginx and LiteLLM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from bench import books
from bench.books import Books
from bench.chat import BODY, PATH
from bench.gateway import Gateway
from bench.litellm import KEY, LiteLLM, Unavailable, version
from bench.machine import Span
from bench.nginx import Nginx
from bench.reader import Read, Reading, read
from bench.rows import Row, quietest
from bench.seeding import seed_chat
from bench.vendor import Vendor

STREAMED = msgspec.json.encode({**msgspec.json.decode(BODY), "stream": True}).decode()
QUICK = 20, 64
LONG = 100, 200
"""Milliseconds between two chunks, and chunks: the long ones outlast the measurement."""
RAMP_S = 5.0
FULL, HALF, OPEN = 1_000, 500, 2_000
THEIRS = 20
"""What LiteLLM keeps up with; at some 40 it delivers no more."""
CHUNKS_S = 25_000


@dataclass(frozen=True)
class Ours:
    load: Read
    books: Books
    rss_mb: float

    @property
    def span(self) -> Span:
        return self.load.span


def measure(folder: Path) -> Iterator[Row]:
    with Vendor(*QUICK) as vendor:
        with Nginx.passing(folder / "peer", vendor.url, streams=True) as nginx:
            peer = quietest(lambda: _read(vendor, nginx.port, nginx.pid, FULL))
        yield _peer_row(peer)
        full = quietest(lambda: _ours(folder, vendor, FULL))
        yield _full_row(full, peer)
        half = quietest(lambda: _ours(folder, vendor, HALF))
        yield _half_row(half)
        yield _their_row(folder / "litellm", vendor, full.load)
    with Vendor(*LONG) as vendor:
        open_ = quietest(lambda: _ours(folder, vendor, OPEN))
    yield _open_row(open_)
    ours = full, half, open_
    all_books = reduce(add, [each.books for each in ours])
    yield all_books.row("streams", sum(each.load.ended for each in ours))


def _read(vendor: Vendor, port: int, pid: int, streams: int, key: str = "") -> Read:
    """Opened over the time that a short stream takes, so that as many end as begin at any time."""
    ramp_s = min(vendor.pace_ms * vendor.chunks / 1000, RAMP_S)
    return read(Reading(port, PATH, key, STREAMED, streams, ramp_s), pid)


def _ours(folder: Path, vendor: Vendor, streams: int) -> Ours:
    data = Path(mkdtemp(dir=folder)) / "data"
    key = seed_chat(data, f"{vendor.url}/v1")
    with Gateway(data) as gateway:
        load = _read(vendor, gateway.port, gateway.pid, streams, key)
        rss_mb = gateway.rss_mb
        counted = books.counted(gateway, data)
    return Ours(load, books.checked(data, *counted), rss_mb)


def _peer_row(peer: Read) -> Row:
    return Row(
        "nginx: the same streams passed on, chunks/s",
        peer.per_s,
        f"{peer.per_s:,.0f}/s in {FULL:,} streams, {_delay(peer)}, {peer.cpu:.0%} of the core" + _trouble(peer),
        f"{peer.per_cpu_s:,.0f} chunks per CPU second; the reader used {peer.busy:.0%} of its core",
        disturbed=peer.span.foreign,
    )


def _full_row(ours: Ours, peer: Read) -> Row:
    load = ours.load
    return Row(
        "streams: chunks/s",
        load.per_s,
        f"{load.per_s:,.0f}/s in {FULL:,} streams, {_delay(load)}, {load.cpu:.0%} of the core, {ours.rss_mb:.0f} MB"
        + _trouble(load),
        f"{load.per_cpu_s:,.0f} chunks per CPU second, {load.per_cpu_s / peer.per_cpu_s:.0%} of nginx",
        at_least=CHUNKS_S,
        disturbed=load.span.foreign,
    )


def _half_row(ours: Ours) -> Row:
    load = ours.load
    return Row(
        f"streams: delay p99 of a chunk in {HALF}, ms",
        load.p99_ms,
        f"{load.per_s:,.0f} chunks/s in {HALF:,} streams, {_delay(load)}, {load.cpu:.0%} of the core" + _trouble(load),
        disturbed=load.span.foreign,
    )


def _open_row(ours: Ours) -> Row:
    load = ours.load
    return Row(
        "streams: open at once",
        load.open,
        f"{load.open:,} open, {load.per_s:,.0f} chunks/s, {_delay(load)}, {load.cpu:.0%} of the core,"
        f" {ours.rss_mb:.0f} MB" + _trouble(load),
        at_least=OPEN,
        disturbed=load.span.foreign,
    )


def _their_row(folder: Path, vendor: Vendor, ours: Read) -> Row:
    try:
        with LiteLLM(folder, vendor.url) as peer:
            load = quietest(lambda: _read(vendor, peer.port, peer.pid, THEIRS, KEY))
    except Unavailable as missing:
        alone = f"ours alone: {ours.per_s:,.0f} chunks/s"
        return Row("streams: LiteLLM is missing; ours, chunks/s", ours.per_s, alone, f"LiteLLM {version()}: {missing}")
    times = f"{ours.per_cpu_s / load.per_cpu_s:,.0f} times as many by us" if load.chunks else "none came"
    return Row(
        "LiteLLM: chunks/s",
        load.per_s,
        f"{load.per_s:,.0f}/s in {THEIRS} streams, {_delay(load)}, {load.cpu:.0%} of the core" + _trouble(load),
        f"LiteLLM {version()}: {load.per_cpu_s:,.0f} chunks per CPU second, {times}",
        disturbed=load.span.foreign,
    )


def _delay(load: Read) -> str:
    return f"on their way p50 {load.p50_ms:.2f} ms, p99 {load.p99_ms:.1f} ms"


def _trouble(load: Read) -> str:
    return f"; {load.lost:,} lost: {' '.join(load.why.split())[:200]}" if load.lost else ""
