"""Many streamed chat calls at once on one core, paid for like whole ones: beside nginx and LiteLLM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
QUICK_MS, SLOW_MS = 20, 100
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
    with Vendor(QUICK_MS) as vendor:
        with Nginx.passing(folder / "peer", vendor.url, streams=True) as nginx:
            peer = quietest(lambda: _read(nginx.port, nginx.pid, FULL))
        yield _peer_row(peer)
        full = quietest(lambda: _ours(folder, vendor, FULL))
        yield _full_row(full, peer)
        half = quietest(lambda: _ours(folder, vendor, HALF))
        yield _half_row(half)
        yield _their_row(folder / "litellm", vendor, full.load)
    with Vendor(SLOW_MS) as vendor:
        open_ = quietest(lambda: _ours(folder, vendor, OPEN, SLOW_MS))
    yield _open_row(open_)
    yield (full.books + half.books + open_.books).row("streams")


def _read(port: int, pid: int, streams: int, pace_ms: int = QUICK_MS, key: str = "") -> Read:
    return read(Reading(port, PATH, key, STREAMED, streams, pace_ms), pid)


def _ours(folder: Path, vendor: Vendor, streams: int, pace_ms: int = QUICK_MS) -> Ours:
    data = Path(mkdtemp(dir=folder)) / "data"
    key = seed_chat(data, f"{vendor.url}/v1")
    with Gateway(data) as gateway:
        load = _read(gateway.port, gateway.pid, streams, pace_ms, key)
        rss_mb = gateway.rss_mb
        counted = books.counted(gateway, data)
    return Ours(load, books.checked(data, *counted), rss_mb)


def _peer_row(peer: Read) -> Row:
    return Row(
        "nginx: the same streams passed on, chunks/s",
        peer.per_s,
        f"{peer.per_s:,.0f}/s in {FULL:,} streams, {_delay(peer)}, {peer.cpu:.0%} of the core" + _trouble(peer, FULL),
        f"{peer.per_cpu_s:,.0f} chunks per CPU second; the reader used {peer.busy:.0%} of its core",
        disturbed=peer.span.foreign,
    )


def _full_row(ours: Ours, peer: Read) -> Row:
    load = ours.load
    return Row(
        "streams: chunks/s",
        load.per_s,
        f"{load.per_s:,.0f}/s in {FULL:,} streams, {_delay(load)}, {load.cpu:.0%} of the core, {ours.rss_mb:.0f} MB"
        + _trouble(load, FULL),
        f"{load.per_cpu_s:,.0f} chunks per CPU second, {load.per_cpu_s / peer.per_cpu_s:.0%} of nginx",
        at_least=CHUNKS_S,
        disturbed=load.span.foreign,
    )


def _half_row(ours: Ours) -> Row:
    load = ours.load
    return Row(
        f"streams: delay p99 of a chunk in {HALF}, ms",
        load.p99_ms,
        f"{load.per_s:,.0f} chunks/s in {HALF:,} streams, {_delay(load)}, {load.cpu:.0%} of the core"
        + _trouble(load, HALF),
        disturbed=load.span.foreign,
    )


def _open_row(ours: Ours) -> Row:
    load = ours.load
    return Row(
        "streams: open at once",
        load.open,
        f"{load.open:,} open, {load.per_s:,.0f} chunks/s, {_delay(load)}, {load.cpu:.0%} of the core,"
        f" {ours.rss_mb:.0f} MB" + _trouble(load, OPEN),
        at_least=OPEN,
        disturbed=load.span.foreign,
    )


def _their_row(folder: Path, vendor: Vendor, ours: Read) -> Row:
    try:
        with LiteLLM(folder, vendor.url) as peer:
            load = quietest(lambda: _read(peer.port, peer.pid, THEIRS, key=KEY))
    except Unavailable as missing:
        alone = f"ours alone: {ours.per_s:,.0f} chunks/s"
        return Row("streams: LiteLLM is missing; ours, chunks/s", ours.per_s, alone, f"LiteLLM {version()}: {missing}")
    times = f"{ours.per_cpu_s / load.per_cpu_s:,.0f} times as many by us" if load.chunks else "none came"
    return Row(
        "LiteLLM: chunks/s",
        load.per_s,
        f"{load.per_s:,.0f}/s in {THEIRS} streams, {_delay(load)}, {load.cpu:.0%} of the core" + _trouble(load, THEIRS),
        f"LiteLLM {version()}: {load.per_cpu_s:,.0f} chunks per CPU second, {times}",
        disturbed=load.span.foreign,
    )


def _delay(load: Read) -> str:
    return f"on their way p50 {load.p50_ms:.2f} ms, p99 {load.p99_ms:.1f} ms"


def _trouble(load: Read, streams: int) -> str:
    if load.open == streams and not load.why:
        return ""
    return f"; {streams - load.open} not open: {' '.join(load.why.split())[:200] or 'too slow'}"
