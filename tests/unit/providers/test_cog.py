"""What Cog servers of both generations say, as reports and errors: bodies as they were observed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.providers.talks import held, recorded, reply

from penstock.canonical.media import OpenJob
from penstock.canonical.task import State
from penstock.canonical.usage import Unit
from penstock.errors import CallerError, InvalidInput, PenstockError, UpstreamBusy, UpstreamError, UpstreamForgot
from penstock.providers.cog import Cog, CogPrediction, run_of

ENDPOINT = CogPrediction()
TAG = "06gzwhd8cafhvnrtf7pmamp614"
HOOK = "http://127.0.0.1:8700/internal/hooks/s3cret/" + TAG
PICTURE = "data:image/png;base64,iVBORw0KGgo="
STATES = {
    "new_webhook_start": State.RUNNING,
    "new_webhook_logs": State.RUNNING,
    "new_webhook_output": State.RUNNING,
    "new_webhook_output_words": State.RUNNING,
    "new_webhook_completed_uploaded": State.SUCCEEDED,
    "new_webhook_completed_several_uploaded": State.SUCCEEDED,
    "new_webhook_completed_words": State.SUCCEEDED,
    "new_webhook_completed_upload_failed": State.FAILED,
    "new_webhook_failed": State.FAILED,
    "new_webhook_worker_killed": State.FAILED,
    "new_webhook_worker_exited": State.FAILED,
    "new_webhook_canceled": State.CANCELED,
    "old_webhook_start": State.RUNNING,
    "old_webhook_logs": State.RUNNING,
    "old_webhook_output_words": State.RUNNING,
    "old_webhook_completed_uploaded": State.SUCCEEDED,
    "old_webhook_completed_several_uploaded": State.SUCCEEDED,
    "old_webhook_completed_words": State.SUCCEEDED,
    "old_webhook_completed": State.FAILED,  # it left its output on its own disk
    "old_webhook_completed_upload_failed": State.FAILED,
    "old_webhook_failed": State.FAILED,
    "old_webhook_worker_killed": State.FAILED,
    "old_webhook_worker_exited": State.FAILED,
    "old_webhook_canceled": State.CANCELED,
}
REASONS = {
    "new_webhook_failed": "ValueError: out of paint",
    "new_webhook_worker_killed": "Worker crashed",
    "new_webhook_completed_upload_failed": ("Failed to upload output: upload returned status 503 Service Unavailable"),
    "old_webhook_failed": "out of paint",
    "old_webhook_completed": "The Cog server kept the output on its own disk: start it with --upload-url.",
}
REFUSALS: dict[str, type[PenstockError]] = {
    "new_busy_409": UpstreamBusy,
    "new_worker_killed_put": UpstreamBusy,
    "new_starting_503": UpstreamBusy,
    "new_setup_failed_put": UpstreamBusy,
    "new_openapi_absent": UpstreamBusy,
    "new_cancel_unknown": UpstreamForgot,
    "new_invalid_missing": InvalidInput,
    "new_invalid_bounds": InvalidInput,
    "new_malformed_json": CallerError,
    "old_busy_409": UpstreamBusy,
    "old_starting_503": UpstreamBusy,
    "old_cancel_unknown": UpstreamForgot,
    "old_invalid_missing": InvalidInput,
    "old_invalid_image_not_url": InvalidInput,
}


def heard(name: str, **changed: Any) -> Any:
    return ENDPOINT.hear(json.dumps(reply("cog", name) | changed).encode(), TAG)


def job(callback: str | None = HOOK, **input: Any) -> OpenJob:
    return OpenJob("acme/picture", "acme/picture", {"image": PICTURE, **input}, callback=callback)


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", STATES)
def test_a_webhook_is_a_report(name: str) -> None:
    report = heard(name)
    assert report.state is STATES[name]
    assert report.logs == (reply("cog", name).get("logs") or "")
    assert report.reason == REASONS[name] if name in REASONS else report.reason is None or report.state is State.FAILED


def test_the_seconds_of_a_run_are_usage() -> None:
    assert heard("new_webhook_completed_uploaded").usage == {Unit.SECOND: 0.207255119}
    assert heard("old_webhook_completed_uploaded").usage == {Unit.SECOND: 0.11102}
    assert heard("new_webhook_start").usage == {}


@pytest.mark.parametrize("generation", ["new", "old"])
def test_words_come_as_they_grow(generation: str) -> None:
    report = heard(f"{generation}_webhook_output_words")
    assert report.text
    assert report.output == reply("cog", f"{generation}_webhook_output_words")["output"]


def test_files_count_only_when_it_is_done() -> None:
    """Before, a single file is in a list, as if there were several."""
    assert heard("new_webhook_output").output is None
    assert heard("new_webhook_completed").output is None  # the last one before the end
    done = heard("new_webhook_completed_uploaded")
    assert (done.output, done.text) == (reply("cog", "new_webhook_completed_uploaded")["output"], False)


@pytest.mark.parametrize("left", ["/tmp/a1/out.png", ["/var/cog/1.png"], "file:///src/x.bin", "/root/out.wav"])
def test_a_file_left_on_the_servers_disk_is_a_failure(left: Any) -> None:
    report = heard("old_webhook_completed_uploaded", output=left)
    assert report.state is State.FAILED
    assert report.output is None
    assert "--upload-url" in report.reason


@pytest.mark.parametrize("words", ["/tmp is full, says the model", "a /tmp/file", ["/", "tmp/"], "/imagine"])
def test_words_that_look_a_little_like_a_path_are_words(words: Any) -> None:
    assert heard("old_webhook_completed_uploaded", output=words).state is State.SUCCEEDED


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"status":"odd"}', b'{"status":[]}'])
def test_what_is_no_prediction_is_refused(body: bytes) -> None:
    with pytest.raises(CallerError):
        ENDPOINT.hear(body, TAG)


# ── submit ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("generation", ["new", "old"])
def test_a_create_names_the_run_of_the_server_that_took_it(generation: str) -> None:
    health = reply("cog", f"{generation}_health_ready")
    document, accepted = reply("cog", f"{generation}_openapi_picture"), reply("cog", f"{generation}_accepted")
    report, asks = held(ENDPOINT.submit(job(), TAG), health, document, accepted)
    assert [(ask.method, ask.path) for ask in asks] == [
        ("GET", "/health-check"),
        ("GET", "/openapi.json"),
        ("PUT", f"/predictions/{TAG}"),
    ]
    assert asks[-1].headers["prefer"] == "respond-async"
    assert json.loads(asks[-1].body or b"") == {"id": TAG, "input": {"image": PICTURE}, "webhook": HOOK}
    assert report.ref == f"{TAG}@{health['setup']['started_at']}"
    assert report.state is State.QUEUED


@pytest.mark.parametrize("image", ["server.log", "/etc/hostname", "file:///etc/hostname", "", "gopher://x/"])
@pytest.mark.parametrize("generation", ["new", "old"])
def test_a_file_that_is_no_url_never_leaves(generation: str, image: str) -> None:
    document = reply("cog", f"{generation}_openapi_picture")
    with pytest.raises(InvalidInput) as raised:
        held(ENDPOINT.submit(job(image=image), TAG), reply("cog", f"{generation}_health_ready"), document)
    assert [field.path for field in raised.value.fields] == ["input.image"]


def test_lists_of_files_are_checked_too() -> None:
    field = {"type": "array", "items": {"type": "string", "format": "uri"}}
    document = {"components": {"schemas": {"Input": {"properties": {"images": field, "note": {"type": "string"}}}}}}
    health = reply("cog", "new_health_ready")
    with pytest.raises(InvalidInput):
        held(ENDPOINT.submit(job(images=[PICTURE, "/etc/hostname"], note="/x"), TAG), health, document)
    held(ENDPOINT.submit(job(images=[PICTURE], note="/x"), TAG), health, document, {"id": TAG})


@pytest.mark.parametrize("name", ["new_health_unhealthy", "new_health_worker_killed", "new_health_setup_failed"])
def test_a_broken_server_is_given_nothing(name: str) -> None:
    with pytest.raises(UpstreamError, match="The Cog server is"):
        held(ENDPOINT.submit(job(), TAG), reply("cog", name))


def test_without_a_callback_nothing_is_sent() -> None:
    with pytest.raises(CallerError, match="PENSTOCK_CALLBACK_URL"):
        held(ENDPOINT.submit(job(callback=None), TAG))


# ── watch, cancel ─────────────────────────────────────────────────────────────────────────────────────────────────────


def watched(name: str, run: str | None = None) -> Any:
    health = reply("cog", name)
    ref = f"{TAG}@{run_of(health) if run is None else run}"
    return held(ENDPOINT.watch(ref), health)[0]


@pytest.mark.parametrize("name", ["new_health_busy", "old_health_busy"])
def test_a_busy_server_is_no_news(name: str) -> None:
    report = watched(name)
    assert (report.state, report.doubt) == (State.QUEUED, None)


@pytest.mark.parametrize("name", ["new_health_ready", "old_health_ready"])
def test_an_idle_server_is_doubted_for_as_long_as_it_may_repeat_its_webhook(name: str) -> None:
    report = watched(name)
    assert "idle" in report.doubt
    assert report.doubt_s == 240


@pytest.mark.parametrize("name", ["new_health_unhealthy", "new_health_worker_killed"])
def test_a_server_without_its_worker_is_doubted_briefly(name: str) -> None:
    report = watched(name)
    assert "died" in report.doubt
    assert report.doubt_s is None


@pytest.mark.parametrize("name", ["new_health_busy", "new_health_starting", "old_health_ready", "old_health_starting"])
def test_another_run_of_the_server_has_lost_it(name: str) -> None:
    report = watched(name, run="2026-01-01T00:00:00+00:00")
    assert (report.state, report.code) == (State.FAILED, "lost")


def test_a_job_whose_run_is_not_known_is_not_lost() -> None:
    assert watched("new_health_busy", run="").state is State.QUEUED


def test_cancel_leaves_the_word_to_the_webhook() -> None:
    report, (ask,) = held(ENDPOINT.cancel(f"{TAG}@now"), reply("cog", "new_cancel"))
    assert (ask.method, ask.path) == ("POST", f"/predictions/{TAG}/cancel")
    assert report is None


def test_a_server_describes_its_model() -> None:
    document, (ask,) = held(ENDPOINT.describe(), reply("cog", "new_openapi_picture"))
    assert ask.path == "/openapi.json"
    assert document == reply("cog", "new_openapi_picture")


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str) -> None:
    said = recorded("cog", name)
    body = said["body"] if isinstance(said["body"], dict) else None
    error = Cog().refusal(said["status"], body, None, creates=True)
    assert type(error) is REFUSALS[name]


def test_a_broken_schema_is_told_by_field() -> None:
    said = recorded("cog", "new_invalid_bounds")
    error = Cog().refusal(422, said["body"], None, creates=True)
    assert "input.delay_s: 11 is greater than the maximum of 10" in str(error)
