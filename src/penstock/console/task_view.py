"""A task as its page shows it: what came out, how far it is, when what happened, what it cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.canonical.task import File, State, Task
from penstock.canonical.usage import Micros
from penstock.canonical.who import TEST
from penstock.catalog import Model
from penstock.clock import now, rfc3339
from penstock.dialects.penstock import progress
from penstock.wire.signing import Signer

STATES = {
    State.QUEUED: ("Queued", "waits"),
    State.WAITING: ("Waiting for an answer", "waits"),
    State.RUNNING: ("Running", "runs"),
    State.CANCELING: ("Canceling", "runs"),
    State.SUCCEEDED: ("Succeeded", "good"),
    State.FAILED: ("Failed", "bad"),
    State.CANCELED: ("Canceled", "ended"),
}
ADVICE = {
    "content_refused": "The model's vendor refused this input. Word it differently, then create a new task.",
    "invalid_input": "Correct the input, then create a new task.",
    "timed_out": "Try again. If it keeps happening, ask for less in one task, or ask your operator.",
    "fate_unknown": "The hold was given back, so a new task is not paid twice. Your operator can look into this one.",
    "output_lost": "Create a new task. If it happens again, tell your operator.",
    "no_channel": "Ask your operator to add a channel for this model, or try again later.",
    "channel_rejected": "Your operator has to look after a channel. Try again later.",
    "channel_removed": "Create a new task: it will go through another channel.",
    "upstream_busy": "The vendor is busy. Try again in a few minutes.",
    "upstream_timeout": "The vendor did not answer. Try again in a few minutes.",
    "upstream_unreachable": "The vendor can't be reached. Try again in a few minutes.",
    "upstream_forgot": "The vendor lost this work. Create a new task.",
}
ADVICE_ELSE = "Read the logs below: they often say why. Then correct the input, or try again."
FOLDED_FROM = 300
"""Characters from which on a value is folded away."""

LOGS_MOST = 100_000
"""Characters of logs on a page, from their end."""

UNITS = {"run": "run", "output": "output", "second": "second", "video_second": "second of video"}
UNITS |= {"audio_second": "second of audio", "input_token": "input token", "output_token": "output token"}


@dataclass(frozen=True, slots=True)
class Media:
    """One file of the output. `width` and `height` are only its shape, which keeps its place; None where unknown."""

    kind: str  # image, video, audio, file
    url: str
    name: str
    content_type: str
    size: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One input. `text` as the caller said it, strings without quotes."""

    name: str
    text: str
    folded: bool
    preview: str
    media: Media | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """`since`: how long after the moment before, in words. `ticks`: Unix seconds since which it goes on."""

    name: str
    at: str | None
    clock: str
    since: str = ""
    ticks: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    id: str
    model: str
    version: str
    dialect: str
    state: str
    tone: str
    ended: bool
    canceled: bool
    test: bool
    data_removed: bool
    progress: int | None
    media: tuple[Media, ...]
    text: str | None
    json: str | None
    places: tuple[tuple[int, int], ...]  # shapes of pictures that are still to come
    error: str | None
    advice: str
    logs: str
    moments: tuple[Moment, ...]
    took: str | None
    held: str
    charged: str | None
    arithmetic: tuple[str, ...]
    fields: tuple[Field, ...]
    metrics: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What a view is made of besides the task: its files by id, its settling's detail, its model where we know it."""

    files: Mapping[str, File]
    detail: Mapping[str, Any]
    model: Model | None
    signer: Signer
    root: str

    def url(self, file: str, name: str) -> str:
        return f"{self.root}/files/{file}/{self.signer.sign('file', file, None)}/{name}"


def view(task: Task, known: Known) -> View:
    state = task.shown
    words, tone = STATES[state]
    ended = task.ended or state is State.CANCELED
    output = msgspec.json.decode(task.output) if task.output else None
    shape = _shape(task, known)
    media = tuple(_media(file, name, known, shape) for file, name in _files(output))
    text = None if media else _text(output)
    return View(
        id=task.id,
        model=task.model,
        version=task.version,
        dialect=task.dialect,
        state=words,
        tone=tone,
        ended=ended,
        canceled=state is State.CANCELED,
        test=task.mode == TEST,
        data_removed=bool(task.data_removed),
        progress=None if ended else progress(task),
        media=media,
        text=text,
        json=_pretty(output) if text is None and not _is_plain(output) else None,
        places=_places(task, known, shape) if not ended and not media else (),
        error=task.error or "It failed." if state is State.FAILED else None,
        advice=ADVICE.get(task.error_code or "", ADVICE_ELSE),
        logs=task.logs[-LOGS_MOST:],
        moments=tuple(_moments(task, ended)),
        took=span(task.completed_at - task.created_at) if ended and task.completed_at else None,
        held=dollars(task.hold),
        charged=dollars(task.charge) if task.ended and task.charge is not None else None,
        arithmetic=tuple(arithmetic(known.detail)),
        fields=tuple(_fields(task, known)),
        metrics=tuple(_metrics(task)),
    )


# ── what came out ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _files(output: Any) -> Iterator[tuple[str, str]]:
    """(id, name) of every file of ours in an output, wherever it is."""
    if isinstance(output, dict) and output.keys() == {"$file", "name"}:
        yield output["$file"], output["name"]
    elif isinstance(output, list | dict):
        for part in output.values() if isinstance(output, dict) else output:
            yield from _files(part)


def _media(id: str, name: str, known: Known, shape: tuple[int, int] | None) -> Media:
    file = known.files.get(id)
    content_type = file.content_type if file else "application/octet-stream"
    kind = content_type.partition("/")[0]
    if kind not in ("image", "video", "audio") or content_type in ("image/svg+xml", "audio/midi"):
        kind = "file"
    width, height = shape or (None, None)
    return Media(kind, known.url(id, name), name, content_type, size(file.size) if file else "", width, height)


def _text(output: Any) -> str | None:
    """Words, whole or in pieces as a language model gives them; None for anything else."""
    if isinstance(output, str):
        return output
    if isinstance(output, list) and output and all(isinstance(part, str) for part in output):
        return "".join(output)
    return None


def _is_plain(output: Any) -> bool:
    """Whether files are all there is, so that showing them says everything."""
    alone = isinstance(output, dict) and output.keys() == {"$file", "name"}
    return output is None or alone or (isinstance(output, list) and all(map(_is_plain, output)))


def _pretty(output: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(_named(output)), indent=2).decode()


def _named(output: Any) -> Any:
    if isinstance(output, dict):
        return output["name"] if output.keys() == {"$file", "name"} else {k: _named(v) for k, v in output.items()}
    return [_named(part) for part in output] if isinstance(output, list) else output


def _filled(task: Task, known: Known) -> dict[str, Any]:
    defaults = known.model.latest.defaults if known.model else {}
    return {**defaults, **msgspec.json.decode(task.input)}


def _shape(task: Task, known: Known) -> tuple[int, int] | None:
    """The pictures' proportions, as far as the input tells."""
    filled = _filled(task, known)
    ratio = re.fullmatch(r"(\d{1,4}):(\d{1,4})", str(filled.get("aspect_ratio", "")))
    if ratio and int(ratio[1]) and int(ratio[2]):
        return int(ratio[1]), int(ratio[2])
    width, height = filled.get("width"), filled.get("height")
    if isinstance(width, int) and isinstance(height, int) and 0 < width < 20_000 and 0 < height < 20_000:
        return width, height
    return None


def _places(task: Task, known: Known, shape: tuple[int, int] | None) -> tuple[tuple[int, int], ...]:
    if known.model is None or known.model.kind not in ("image", "video"):
        return ()
    count = _filled(task, known).get("num_outputs", 1)
    wide = (16, 9) if known.model.kind == "video" else (1, 1)
    return (shape or wide,) * (min(count, 8) if isinstance(count, int) and count > 0 else 1)


# ── what went in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _fields(task: Task, known: Known) -> Iterator[Field]:
    files = msgspec.json.decode(task.files) if task.files else {}
    for name, value in msgspec.json.decode(task.input).items():
        text = value if isinstance(value, str) else _pretty(value)
        file = files.get(value, "") if isinstance(value, str) else ""
        media = _media(file, "input", known, None) if file in known.files else None
        folded = len(text) > FOLDED_FROM
        yield Field(name, text[:20_000], folded, text[:80].replace("\n", " ") if folded else "", media)


def _metrics(task: Task) -> Iterator[tuple[str, str]]:
    for name, value in msgspec.json.decode(task.metrics).items():
        if isinstance(value, int | float | str) and name not in ("total_time", "predict_time"):
            shown = f"{value:,.2f}" if isinstance(value, float) else str(value)
            yield name.replace("_", " "), shown


# ── when, and how much ────────────────────────────────────────────────────────────────────────────────────────────────


def _moments(task: Task, ended: bool) -> Iterator[Moment]:
    happened = [("Created", task.created_at), ("Submitted", task.submitted_at), ("Started", task.started_at)]
    last = {State.FAILED: "Failed", State.CANCELED: "Canceled"}.get(task.shown, "Completed")
    happened.append((last, task.completed_at if ended else None))
    before: int | None = None
    for name, at in happened:
        if at is None:
            if not ended:
                yield Moment(name, None, "")
            continue
        since = span(max(0, at - before)) if before is not None else ""
        yield Moment(name, rfc3339(at, 3), rfc3339(at, 3)[11:-1], since)
        before = at
    if not ended and before is not None:
        yield Moment("So far", None, "", span(max(0, now() - task.created_at)), task.created_at / 1e9)


def span(nanos: int) -> str:
    """A duration in words of its size: `840 ms`, `3.41 s`, `2 min 05 s`, `1 h 02 min`."""
    seconds = nanos / 1e9
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def dollars(micros: Micros) -> str:
    """Two digits after the point, and as many more as there are: `$0.00`, `$0.003`, `$1.50`."""
    whole, fraction = divmod(abs(micros), 1_000_000)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}${whole:,}.{digits}"


def size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def arithmetic(detail: Mapping[str, Any]) -> Iterator[str]:
    """How a charge came about, a line for each unit: `4 outputs × $0.003`."""
    for line in detail.get("lines", ()):
        amount, unit = line["amount"], UNITS.get(line["unit"], line["unit"])
        count = f"{amount:,.3f}".rstrip("0").rstrip(".")
        head, _, tail = unit.partition(" of ")
        named = unit if amount == 1 else f"{head}s of {tail}" if tail else f"{unit}s"
        per = f" per {line['per']:,}" if line.get("per", 1) != 1 else ""
        yield f"{count} {named} × {dollars(line['micros'])}{per}"
