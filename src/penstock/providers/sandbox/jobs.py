"""A sandbox job: what is written down once, and what it shows at any moment, which follows from that and the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from penstock.clock import Nanos, after, seconds
from penstock.errors import InvalidInput
from penstock.providers.sandbox import orders, script, words
from penstock.providers.sandbox.orders import Order

QUEUED_S = 0.1
LIFE_S = {"image": (1.0, 1.0, 3.0), "video": (0.02, 2.0, 6.0), "audio": (0.06, 2.0, 6.0), "text": (0.0, 2.0, 2.0)}
"""How long a job runs: a share of what the real model usually takes, within two bounds in seconds, so that it can be
watched and doesn't bore."""
OTHER_LIFE_S = (0.2, 0.5, 2.0)
STAGES = {"audio": "music"}
COUNTED = {"image": "image_count", "video": "video_count", "audio": "audio_count"}
ENDED = ("succeeded", "failed", "canceled")
REFUSED = "The sandbox refused this request, as its script says: it was flagged as sensitive."


class NewJob(msgspec.Struct, frozen=True):
    """What a client posts to make a job."""

    tag: str
    model: str
    kind: str
    input: dict[str, Any]
    usual_s: float = 10.0
    output_schema: dict[str, Any] = {}


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job as it is kept. `ends_s` (None: never) and `forgotten_s` count from its start, `queued_s` before it.

    `output` is the whole of it; with `streams` it is a list that grows. `turned_away` counts the submits that were
    answered busy; while `created_at` is 0 the job has not been taken on.
    """

    tag: str
    kind: str
    created_at: Nanos = 0
    turned_away: int = 0
    queued_s: float = 0.0
    takes_s: float = 0.0
    ends_s: float | None = 0.0
    forgotten_s: float | None = None
    flaky: bool = False
    reason: str | None = None
    output: Any = None
    text: bool = False
    streams: bool = False
    files: int = 0
    order: Order | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    steps: int = 4
    canceled_at: Nanos | None = None

    @property
    def started_at(self) -> Nanos:
        return after(self.queued_s, self.created_at)

    def completed_at(self, at: Nanos) -> Nanos | None:
        """When it ended, None if it has not by `at`."""
        end = None if self.ends_s is None else after(self.ends_s, self.started_at)
        if self.canceled_at is not None and (end is None or self.canceled_at < end):
            return self.canceled_at
        return end if end is not None and at >= end else None

    def status(self, at: Nanos) -> str:
        end = self.completed_at(at)
        if end is None:
            return "queued" if at < self.started_at else "running"
        if end == self.canceled_at:
            return "canceled"
        return "succeeded" if self.reason is None else "failed"

    def forgotten(self, at: Nanos) -> bool:
        return self.forgotten_s is not None and at >= after(self.forgotten_s, self.started_at)


# ── taking one on ─────────────────────────────────────────────────────────────────────────────────────────────────────


def behaviour(new: NewJob) -> script.Script:
    share, least, most = LIFE_S.get(new.kind, OTHER_LIFE_S)
    said = "\n".join(text[:20_000] for text in orders.texts(new.input))
    return script.read(new.model, said, orders.within(share * new.usual_s, least, most))


def taken_on(new: NewJob, source: bytes | None, at: Nanos) -> Job:
    """The job that a request makes. A picture that can't be read makes one that fails and says so."""
    acting = behaviour(new)
    prompt = script.clean(orders.prompt_of(new.input))
    try:
        order, reason = orders.order(new.kind, new.model, new.input, prompt, new.tag, source), acting.reason
    except InvalidInput as error:
        order, reason = None, str(error).strip()
    job = Job(
        new.tag,
        new.kind,
        at,
        queued_s=min(QUEUED_S, acting.takes_s / 4),
        takes_s=acting.takes_s,
        ends_s=acting.takes_s / 2 if reason is not None and not acting.hangs else acting.ends_s,
        forgotten_s=acting.forgotten_s,
        flaky=acting.flaky,
        reason=reason,
        order=order,
        input_tokens=len(words.pieces(prompt)),
        steps=round(orders.within(orders.number(new.input, ("num_inference_steps", "steps")) or 10, 4, 50)),
    )
    return job if order is None else with_output(job, order, new, acting.outputs or orders.count_of(new.input))


def with_output(job: Job, order: Order, new: NewJob, count: int) -> Job:
    """The job with all that it will have made, in the shape that the model's schema says. What no schema says is the
    input again, as an operator's or a stranger's model is answered."""
    files: list[str] = []

    def file() -> str:
        files.append(f"sandbox://files/{job.tag}/{len(files)}.{order.format}")
        return files[-1]

    schema = new.output_schema or ({"type": "string", "format": "uri"} if job.kind in COUNTED else {})
    said = words.story(order.prompt, order.seed, orders.tokens_of(new.input))
    output: Any
    if not schema:
        output = msgspec.json.encode(orders.shortened(new.input)).decode()
    elif schema.get("type") == "object" and not schema.get("properties"):
        output = orders.shortened(new.input)
    elif schema.get("type") == "array" and is_words(schema.get("items") or {}):
        output = said
    else:
        output = shaped(schema, file, "".join(said), count)
    return msgspec.structs.replace(
        job,
        output=output,
        text=not files,
        files=len(files),
        streams=schema.get("x-cog-array-type") == "iterator" and isinstance(output, list),
        output_tokens=len(said if schema else words.pieces(output)) if job.kind == "text" else 0,
    )


def is_words(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and schema.get("format") != "uri" and not schema.get("enum")


def shaped(schema: dict[str, Any], file: Callable[[], str], text: str, count: int) -> Any:
    """A value that fits a schema: its links are files, its texts words."""
    options = [part for name in ("anyOf", "oneOf", "allOf") for part in schema.get(name) or ()]
    for option in options:
        if option.get("type") != "null":
            return shaped(option, file, text, count)
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "string" if schema.get("format") == "uri":
            return file()
        case "array":
            times = max(count, int(schema.get("minItems", 0)))
            return [shaped(schema.get("items") or {}, file, text, 1) for _ in range(times)]
        case "object":
            return {name: shaped(part, file, text, count) for name, part in (schema.get("properties") or {}).items()}
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return text


# ── showing one ───────────────────────────────────────────────────────────────────────────────────────────────────────


def shown(job: Job, at: Nanos) -> dict[str, Any]:
    """The job as the vendor shows it at a moment."""
    status, end = job.status(at), job.completed_at(at)
    began = status != "queued" and (end is None or end >= job.started_at)
    share = progress(job, end or at) if began else 0.0
    return {
        "id": job.tag,
        "status": status,
        "output": output(job, status, share),
        "text": job.text,
        "logs": logs(job, status, share) if began else "",
        "error": job.reason if status == "failed" else None,
        "metrics": metrics(job, status, share, seconds(end - job.started_at) if began else 0.0) if end else {},
        "started_at": job.started_at if began else None,
        "completed_at": end,
    }


def progress(job: Job, at: Nanos) -> float:
    """The share of the work that is done. A job that hangs comes to a halt on its way."""
    gone_s = seconds(max(0, at - job.started_at))
    share = min(1.0, gone_s / job.takes_s) if job.takes_s else 1.0
    return min(share, 0.6) if job.ends_s is None else share


def output(job: Job, status: str, share: float) -> Any:
    if status == "succeeded":
        return job.output
    if job.streams and status in ("running", "canceled"):
        return job.output[: int(share * len(job.output))] or None
    return None


def logs(job: Job, status: str, share: float) -> str:
    lines = words.lines(STAGES.get(job.kind, job.kind), job.steps)
    done = len(lines) if status == "succeeded" else min(len(lines) - 1, 1 + int(share * len(lines)))
    told = lines[:done]
    if status == "failed":
        told.append(f"Error: {job.reason}")
    return "".join(f"{line}\n" for line in told)


def metrics(job: Job, status: str, share: float, ran_s: float) -> dict[str, Any]:
    """What it came to: the time is the job's own, and what was not made is an honest zero."""
    ran_s = round(max(0.0, ran_s), 9)
    found: dict[str, Any] = {"predict_time": ran_s}
    files = job.files if status == "succeeded" else 0
    if job.kind in COUNTED:
        found[COUNTED[job.kind]] = files
    if job.kind in ("video", "audio") and job.order is not None:
        found[f"{job.kind}_output_duration_seconds"] = files * job.order.seconds
    if job.kind == "text" and job.output_tokens:
        written = int(share * job.output_tokens) if status != "failed" else 0
        found |= {"input_token_count": job.input_tokens, "output_token_count": written}
        if written:
            found["time_to_first_token"] = round(job.takes_s / job.output_tokens, 9)
            found["tokens_per_second"] = round(written / ran_s, 3) if ran_s else float(written)
    return found
