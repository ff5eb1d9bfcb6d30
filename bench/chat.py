"""Whole chat calls on one core, each authenticated, held for, and charged on disk before its answer: beside nginx,
which passes the same calls on, and LiteLLM, which does not charge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench import books, wrk
from bench.gateway import Gateway
from bench.litellm import KEY, LiteLLM, Unavailable, version
from bench.nginx import Nginx
from bench.rows import Row, quietest
from bench.seeding import CHAT_MODEL, seed_chat

PATH = "/v1/chat/completions"
CALLS_S, P99_MS, ADDED_MS, TIMES = 5_000, 5.0, 0.5, 35
SECONDS = 5
CLIENTS = 1, 16, 64

ASKED = (
    "The pump at the upper basin stopped twice last night. Its log says that the pressure fell below 2 bar before each"
    " stop, and that the inlet valve was open. What should we look at first?"
)
SAID = (
    "Look at the inlet before the pump. A fall in pressure with the valve open usually means that water does not reach"
    " the pump fast enough: a clogged screen, air in the suction line, or a basin that is lower than its gauge says."
    " First, read the basin level with your own eyes and compare it with the gauge. Second, lift the screen and clean"
    " it; after a storm it is the usual culprit. Third, listen to the suction line while the pump runs: a rattle tells"
    " of air, and then the flange seals come next. If all three are well, log the pressure each second for a night, so"
    " that the next stop shows whether it falls slowly, as a screen clogs, or at once, as a valve closes."
)
BODY = msgspec.json.encode(
    {
        "model": CHAT_MODEL,
        "messages": [
            {"role": "system", "content": "You help the keepers of a small hydropower station. Be brief."},
            {"role": "user", "content": ASKED},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
    }
).decode()
COMPLETION = msgspec.json.encode(
    {
        "id": "chatcmpl-C5x0f2N8m1q7bZ4r9sTUvW3yKjLh",
        "object": "chat.completion",
        "created": 1763740800,
        "model": f"{CHAT_MODEL}-2024-08-06",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": SAID, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 71,
            "completion_tokens": 152,
            "total_tokens": 223,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_50cad350e4",
    }
).decode()

Results = Mapping[int, wrk.Result]
"""By how many clients."""


@dataclass(frozen=True)
class Theirs:
    """LiteLLM's results, or why there are none."""

    results: Results
    rss_mb: float = 0.0
    why: str = ""

    @property
    def best(self) -> wrk.Result:
        return max(self.results.values(), key=lambda result: result.per_s)


def load(url: str, key: str = "") -> wrk.Load:
    return wrk.Load(url, [PATH], key, BODY, seconds=SECONDS)


def measure(folder: Path) -> Iterator[Row]:
    data = folder / "data"
    with Nginx.completing(folder / "upstream", COMPLETION) as upstream:
        with Nginx.passing(folder / "peer", upstream.url, streams=False) as nginx:
            peer = _at_each(load(nginx.url), nginx.pid)
        key = seed_chat(data, f"{upstream.url}/v1")
        with Gateway(data) as gateway:
            seen: list[int] = []
            ours = _at_each(load(gateway.url, key), gateway.pid, seen)
            rss_mb = gateway.rss_mb
            answers, charges = books.counted(gateway, data)
        theirs = _theirs(folder / "litellm", upstream.url)
    yield _peer_row(peer)
    yield _calls_row(ours[64], peer[64], rss_mb)
    yield _p99_row(ours[16], peer[16])
    yield _added_row(ours[1], peer[1])
    yield _times_row(ours[64], theirs)
    yield books.checked(data, answers, charges).row("chat", sum(seen), cut=len(seen) * max(CLIENTS))


def _at_each(load: wrk.Load, pid: int, seen: list[int] | None = None, clients: tuple[int, ...] = CLIENTS) -> Results:
    """Warm up, then measure at each number of clients. What clients had answered is added to `seen`."""

    def once(connections: int, seconds: int = SECONDS) -> wrk.Result:
        result = wrk.run(replace(load, connections=connections, seconds=seconds), pid)
        if seen is not None:
            seen.append(result.requests - result.refused)
        return result

    once(16, 2)
    return {connections: quietest(lambda n=connections: once(n)) for connections in clients}  # type: ignore[misc]


def _theirs(folder: Path, upstream: str) -> Theirs:
    try:
        with LiteLLM(folder, upstream) as peer:
            results = _at_each(load(peer.url, KEY), peer.pid, clients=(16, 64))
            if not any(result.per_s for result in results.values()):
                raise Unavailable("it answered no call")
            return Theirs(results, peer.rss_mb)
    except Unavailable as missing:
        return Theirs({}, why=str(missing))


def _peer_row(peer: Results) -> Row:
    most = peer[64]
    return Row(
        "nginx: the same calls passed on, /s",
        most.per_s,
        f"{most.per_s:,.0f}/s, {most.per_cpu_s:,.0f} per CPU second at 64 clients; p50 {peer[1].p50_ms:.2f} ms at 1"
        + wrk.trouble(most),
        f"{len(BODY)} bytes in, {len(COMPLETION)} out",
        disturbed=most.span.foreign,
    )


def _calls_row(ours: wrk.Result, peer: wrk.Result, rss_mb: float) -> Row:
    return Row(
        "chat: whole calls, /s",
        ours.per_s,
        f"{ours.per_s:,.0f}/s, {ours.per_cpu_s:,.0f} per CPU second, p50 {ours.p50_ms:.1f} ms, p99 {ours.p99_ms:.1f} ms"
        " at 64 clients" + wrk.trouble(ours),
        f"{ours.per_cpu_s / peer.per_cpu_s:.1%} of nginx by CPU; {rss_mb:.0f} MB",
        at_least=CALLS_S,
        disturbed=ours.span.foreign,
    )


def _p99_row(ours: wrk.Result, peer: wrk.Result) -> Row:
    return Row(
        "chat: p99 at 16 clients, ms",
        ours.p99_ms,
        f"p50 {ours.p50_ms:.2f} ms, p99 {ours.p99_ms:.1f} ms at {ours.per_s:,.0f}/s" + wrk.trouble(ours),
        f"nginx: p50 {peer.p50_ms:.2f} ms, p99 {peer.p99_ms:.1f} ms at {peer.per_s:,.0f}/s",
        at_most=P99_MS,
        disturbed=ours.span.foreign,
    )


def _added_row(ours: wrk.Result, peer: wrk.Result) -> Row:
    return Row(
        "chat: p50 added at 1 client, ms",
        ours.p50_ms - peer.p50_ms,
        f"p50 {ours.p50_ms:.2f} ms, p99 {ours.p99_ms:.2f} ms" + wrk.trouble(ours),
        f"nginx: p50 {peer.p50_ms:.2f} ms, p99 {peer.p99_ms:.2f} ms",
        at_most=ADDED_MS,
        disturbed=max(ours.span.foreign, peer.span.foreign),
    )


def _times_row(ours: wrk.Result, theirs: Theirs) -> Row:
    if not theirs.results:
        alone = f"ours alone: {ours.per_s:,.0f}/s at 64 clients"
        return Row("chat: LiteLLM is missing; ours, /s", ours.per_s, alone, f"LiteLLM {version()}: {theirs.why}")
    best = theirs.best
    each = ", ".join(
        f"{result.per_s:,.0f}/s at {clients} clients (p50 {result.p50_ms:,.0f} ms, p99 {result.p99_ms:,.0f} ms)"
        + wrk.trouble(result)
        for clients, result in theirs.results.items()
    )
    return Row(
        "chat: times LiteLLM's calls",
        ours.per_s / best.per_s,
        f"{ours.per_s:,.0f}/s at 64 clients against its best; by CPU {ours.per_cpu_s / best.per_cpu_s:.0f} times",
        f"LiteLLM {version()}: {each}; {theirs.rss_mb:.0f} MB; it charges nothing",
        at_least=TIMES,
        disturbed=best.span.foreign,
    )
