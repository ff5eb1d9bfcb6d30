"""Cog: any running Cog server, of the Rust generation (0.17 and later) or the Python one (up to 0.16).

Source: docs and code of replicate/cog, and servers 0.23.1 and 0.16.12 observed; read 2026-11-21.
Bills: nothing; `predict_time` is the seconds of a run.
Quirks: a prediction can't be read back: news comes by webhook, in any order, and what a dead server knew is lost. Each
start of a server has another `setup.started_at`, so that names the run of the server that took our job; when it is
another one later, the job is gone. A worker that was killed leaves a server that takes no more work. A file input that
is no URL is opened as a path on the server's own disk. The Python generation answers nothing else while our webhook
receiver thinks, and leaves output files on its own disk unless it was started with `--upload-url`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from penstock.canonical.media import OpenJob
from penstock.canonical.task import Report, State, TaskId
from penstock.canonical.usage import Unit
from penstock.errors import (
    CallerError,
    ChannelRejected,
    InvalidField,
    InvalidInput,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
)
from penstock.providers._base import Every, Provider, Talk, TaskEndpoint, get, post, put

STATES = {
    "starting": State.QUEUED,
    "processing": State.RUNNING,
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "canceled": State.CANCELED,
}
BROKEN = {"SETUP_FAILED", "DEFUNCT", "UNHEALTHY"}
"""What `/health-check` says of a server that will not finish anything."""
IDLE = "READY"
REPEATS_S = 240.0
"""The last webhook is sent up to 12 times, each pause twice the one before, from 0.1 s on: news may be so late."""
IS_URL = re.compile(r"(?:https?|data):", re.IGNORECASE)
LEFT_ON_DISK = re.compile(r"(?:file:/|/(?:tmp|var|src|root|home)/)\S+\Z")
Document = dict[str, Any]


class CogPrediction(TaskEndpoint):
    polls = Every(2.0, growing_to_s=5.0)
    describes = True
    forgets = True
    doubt_s = 8.0

    def submit(self, job: OpenJob, tag: TaskId) -> Talk[Report]:
        if job.callback is None:
            raise CallerError("A Cog server reports by webhook; for it to reach us, set PENSTOCK_CALLBACK_URL.")
        health = yield get("/health-check")
        if health["status"] in BROKEN:
            raise UpstreamError(f"The Cog server is {health['status'].lower().replace('_', ' ')}.")
        check_files((yield get("/openapi.json")), job.input)
        body = {"id": tag, "input": job.input, "webhook": job.callback}
        yield put(f"/predictions/{tag}", body, {"prefer": "respond-async"})
        return Report(State.QUEUED, ref=f"{tag}@{run_of(health)}")

    def watch(self, ref: str) -> Talk[Report]:
        """Nothing but whether the server that has our job still lives: the rest comes by webhook.

        A ref without a run is that of a job whose webhook came though the answer to its create did not.
        """
        run = ref.partition("@")[2]
        health = yield get("/health-check")
        if run and run_of(health) != run:
            return Report(State.FAILED, reason="The Cog server was restarted, and lost this prediction.", code="lost")
        if health["status"] in BROKEN:
            return Report(State.QUEUED, doubt=f"The Cog server's worker died ({health['status'].lower()}).", ref=ref)
        if health["status"] == IDLE:
            doubt = "The Cog server is idle, and never said what became of this. Large outputs need --upload-url."
            return Report(State.QUEUED, doubt=doubt, doubt_s=REPEATS_S, ref=ref)
        return Report(State.QUEUED, ref=ref)

    def cancel(self, ref: str) -> Talk[Report | None]:
        """404 for a prediction that is not running: then a webhook has told, or will."""
        yield post(f"/predictions/{quote(ref.partition('@')[0])}/cancel")
        return None

    def describe(self) -> Talk[Document]:
        document: Document = yield get("/openapi.json")
        return document

    def hear(self, body: bytes, tag: TaskId) -> Report | None:
        try:
            said: dict[str, Any] = msgspec.json.decode(body)
            state = STATES[said["status"]]
        except (msgspec.DecodeError, KeyError, TypeError):
            raise CallerError("not a prediction") from None
        metrics = said.get("metrics") or {}
        output, reason = said.get("output"), said.get("error")
        if state is State.SUCCEEDED and on_its_own_disk(output):
            state, output = State.FAILED, None
            reason = "The Cog server kept the output on its own disk: start it with --upload-url."
        return Report(
            state,
            output=output if state is State.SUCCEEDED or _is_words(output) else None,
            text=_is_words(output),
            logs=said.get("logs") or "",
            metrics=metrics,
            usage={Unit.SECOND: metrics["predict_time"]} if "predict_time" in metrics else {},
            reason=reason and reason.removeprefix("Prediction failed: ").removeprefix("Prediction failed: "),
        )


def run_of(health: dict[str, Any]) -> str:
    """Which start of the server this is."""
    return str((health.get("setup") or {}).get("started_at") or "")


def check_files(document: Document, input: Document) -> None:
    """Raises InvalidInput where a file input is no URL: the server would open that path, whosever file it is."""
    schemas = document.get("components", {}).get("schemas", {})
    fields = schemas.get("Input", {}).get("properties", {})
    wrong = [
        InvalidField(f"input.{name}", "format", "Does not match format 'uri'")
        for name, schema in fields.items()
        if _holds_files(schema) and any(not IS_URL.match(text) for text in _strings(input.get(name)))
    ]
    if wrong:
        raise InvalidInput(fields=tuple(wrong))


def _holds_files(schema: Document) -> bool:
    inner = [schema.get("items"), *(part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word, ()))]
    return schema.get("format") == "uri" or any(isinstance(part, dict) and _holds_files(part) for part in inner)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def on_its_own_disk(output: Any) -> bool:
    first = output[0] if isinstance(output, list) and output else output
    return isinstance(first, str) and LEFT_ON_DISK.match(first) is not None


def _is_words(output: Any) -> bool:
    items = output if isinstance(output, list) else [output]
    return any(isinstance(item, str) and not item.startswith(("http://", "https://", "data:", "/")) for item in items)


class Cog(Provider):
    name, base_url = "cog", "http://127.0.0.1:5000"
    probe = "/health-check"
    tasks = (CogPrediction(),)

    def refusal(self, status: int, body: Any, retry_after_s: float | None, *, creates: bool) -> PenstockError:
        """409 is a full server, 503 one that is still starting. A list in `detail` is a broken schema."""
        detail = body.get("detail") if isinstance(body, dict) else None
        if status == 422 and isinstance(detail, list):
            said = "; ".join(f"{'.'.join(map(str, d.get('loc', ())[1:]))}: {d.get('msg', '')}" for d in detail)
            return InvalidInput(said)
        if status in (409, 503):
            return UpstreamBusy(self.words(status, body) or "The Cog server is busy.", retry_after_s=1.0)
        if status in (401, 403):
            return ChannelRejected()
        return super().refusal(status, body, retry_after_s, creates=creates)
