"""Replicate, and every relay that speaks its API; penstock itself is one.

Source: Replicate's HTTP API reference and its Python client 1.0.7; read 2026-11-21.
Bills: by run, output, or second, as its models' pages say; `metrics.predict_time` is the seconds.
Quirk: a create has no idempotency key there, and a prediction can't be asked for by ours. Relays that honour
`Idempotency-Key` (penstock does) get the channel option `idempotent`. Our callback URL holds our tag, so a create whose
reply was lost is found when its first webhook comes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from penstock.canonical.media import OpenJob
from penstock.canonical.task import Report, State, TaskId
from penstock.canonical.usage import Unit
from penstock.errors import CallerError
from penstock.providers._base import Every, Provider, Talk, TaskEndpoint, get, post

STATES = {
    "starting": State.QUEUED,
    "processing": State.RUNNING,
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "canceled": State.CANCELED,
    "aborted": State.CANCELED,
}
UNITS = {
    "image_count": Unit.OUTPUT,
    "predict_time": Unit.SECOND,
    "input_token_count": Unit.INPUT_TOKEN,
    "output_token_count": Unit.OUTPUT_TOKEN,
    "video_output_duration_seconds": Unit.VIDEO_SECOND,
    "audio_output_duration_seconds": Unit.AUDIO_SECOND,
}
EVENTS = ["start", "output", "logs", "completed"]


class ReplicatePrediction(TaskEndpoint):
    polls = Every(0.5, growing_to_s=15, of_usual=0.02)

    def submit(self, job: OpenJob, tag: TaskId) -> Talk[Report]:
        path = f"/models/{quote(job.upstream_model)}/predictions"
        body: dict[str, Any] = {"input": job.input}
        if job.version:
            path, body = "/predictions", {"version": job.version, **body}
        if job.callback and job.callback.startswith("https://"):
            body |= {"webhook": job.callback, "webhook_events_filter": EVENTS}
        headers = {"idempotency-key": tag}
        if job.lifetime_s:
            headers["cancel-after"] = f"{max(5, round(job.lifetime_s))}s"
        return self.report((yield post(path, body, headers)))

    def watch(self, ref: str) -> Talk[Report]:
        return self.report((yield get(f"/predictions/{quote(ref)}")))

    def cancel(self, ref: str) -> Talk[Report | None]:
        return self.report((yield post(f"/predictions/{quote(ref)}/cancel")))

    def hear(self, body: bytes, tag: TaskId) -> Report | None:
        try:
            return self.report(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            raise CallerError("not a prediction") from None

    def report(self, prediction: dict[str, Any]) -> Report:
        metrics = prediction.get("metrics") or {}
        output = prediction.get("output")
        return Report(
            STATES.get(prediction["status"], State.QUEUED),  # a relay's own word for what goes on is no verdict
            output=output,
            text=is_text(output),
            logs=prediction.get("logs") or "",
            metrics={name: value for name, value in metrics.items() if name != "total_time"},
            usage={unit: metrics[name] for name, unit in UNITS.items() if isinstance(metrics.get(name), int | float)},
            reason=prediction.get("error"),
            ref=prediction["id"],
        )


def is_text(output: Any) -> bool:
    """Whether the output is words. A list of several strings that are not all URLs is what a language model yields,
    and one of them may well look like a URL."""
    strings = output if isinstance(output, list) else [output]
    return any(isinstance(item, str) and not item.startswith(("http://", "https://", "data:")) for item in strings)


class Replicate(Provider):
    name, base_url = "replicate", "https://api.replicate.com/v1"
    probe = "/account"
    tasks = (ReplicatePrediction(),)
