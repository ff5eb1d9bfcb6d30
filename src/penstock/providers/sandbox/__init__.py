"""The pretend vendor behind test keys: every model of the catalogue, real files, scripted failures; spends nothing.

It answers in this process (`vendor`) and remembers its jobs on disk, so that they outlive the gateway as a real
vendor's do; calls it answers in whatever format they come (`calls`). What a prompt or a model's name can ask for is in
`script`. Bills nothing; reports the units of its kind.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.canonical.media import OpenJob
from penstock.canonical.task import Report, State, TaskId
from penstock.canonical.usage import Unit
from penstock.errors import PenstockError
from penstock.formats._installed import formats
from penstock.providers._base import CallEndpoint, Every, Provider, Talk, TaskEndpoint, Transport, get, post
from penstock.providers.sandbox.calls import REFUSALS
from penstock.providers.sandbox.vendor import Vendor

UNITS = {
    "image_count": Unit.OUTPUT,
    "video_count": Unit.OUTPUT,
    "audio_count": Unit.OUTPUT,
    "predict_time": Unit.SECOND,
    "video_output_duration_seconds": Unit.VIDEO_SECOND,
    "audio_output_duration_seconds": Unit.AUDIO_SECOND,
    "input_token_count": Unit.INPUT_TOKEN,
    "output_token_count": Unit.OUTPUT_TOKEN,
}


class SandboxTask(TaskEndpoint):
    polls = Every(0.15, growing_to_s=1.0)  # asking costs nothing here, and a job of 2 s should be seen to move
    idempotent = True
    findable = True
    inlines = True
    doubt_s = 2.0  # only a script makes this vendor forget

    def submit(self, job: OpenJob, tag: TaskId) -> Talk[Report]:
        asked = {
            "tag": tag,
            "model": job.upstream_model,
            "kind": job.kind,
            "input": job.input,
            "usual_s": job.usual_s,
            "output_schema": job.output_schema,
        }
        return self.report((yield post("/jobs", asked)))

    def watch(self, ref: str) -> Talk[Report]:
        return self.report((yield get(f"/jobs/{quote(ref)}")))

    def cancel(self, ref: str) -> Talk[Report | None]:
        return self.report((yield post(f"/jobs/{quote(ref)}/cancel")))

    def find(self, tag: TaskId) -> Talk[Report | None]:
        found = yield get(f"/jobs?tag={quote(tag)}")
        return self.report(found["jobs"][0]) if found["jobs"] else None

    def report(self, shown: dict[str, Any]) -> Report:
        metrics: dict[str, Any] = shown["metrics"]
        return Report(
            State(shown["status"]),
            output=shown["output"],
            text=shown["text"],
            logs=shown["logs"],
            metrics=metrics,
            usage={unit: metrics[name] for name, unit in UNITS.items() if name in metrics},
            reason=shown["error"],
            ref=shown["id"],
            started_at=shown["started_at"],
            completed_at=shown["completed_at"],
        )


@cache
def endpoints() -> tuple[CallEndpoint, ...]:
    """Whatever the client speaks is spoken here, so that its own bytes are what is tested."""
    return tuple(CallEndpoint(format, f"/calls/{format.name}/{{model}}") for format in formats().values())


class Sandbox(Provider):
    name = "sandbox"
    tasks = (SandboxTask(),)

    @property
    def calls(self) -> tuple[CallEndpoint, ...]:  # type: ignore[override]  # formats are found when they are needed
        return endpoints()

    def refusal(self, status: int, body: Any, retry_after_s: float | None, *, creates: bool) -> PenstockError:
        """Of a call by its `code`, of a job by its status."""
        kind = REFUSALS.get(body.get("code", "")) if isinstance(body, dict) else None
        if kind is None:
            return super().refusal(status, body, retry_after_s, creates=creates)
        error = kind(self.words(status, body))
        error.retry_after_s = retry_after_s
        return error

    def transport(self, data: Path) -> Transport:
        return Vendor(data)
