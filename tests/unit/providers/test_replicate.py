"""Replicate's predictions as reports, and its refusals as our errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.providers.talks import held, recorded, reply

from penstock.canonical.media import OpenJob
from penstock.canonical.task import State
from penstock.canonical.usage import Unit
from penstock.errors import (
    CallerError,
    ChannelRejected,
    FateUnknown,
    PenstockError,
    UpstreamBusy,
    UpstreamError,
    UpstreamForgot,
)
from penstock.providers.replicate import Replicate, ReplicatePrediction

ENDPOINT = ReplicatePrediction()
REF = "7k2m9x4fhsrm40cv8d1a6bqzng"
TAG = "06gzwhd8cafhvnrtf7pmamp614"
STATES = {
    "starting": State.QUEUED,
    "processing": State.RUNNING,
    "processing_words": State.RUNNING,
    "succeeded_files": State.SUCCEEDED,
    "succeeded_file": State.SUCCEEDED,
    "succeeded_words": State.SUCCEEDED,
    "succeeded_object": State.SUCCEEDED,
    "failed": State.FAILED,
    "canceled": State.CANCELED,
    "aborted": State.CANCELED,
}
USAGE = {
    "succeeded_files": {Unit.OUTPUT: 1, Unit.SECOND: 3.407808742},
    "succeeded_file": {Unit.SECOND: 61.2, Unit.VIDEO_SECOND: 5},
    "succeeded_words": {Unit.INPUT_TOKEN: 12, Unit.OUTPUT_TOKEN: 3, Unit.SECOND: 0.4},
    "succeeded_object": {Unit.SECOND: 9.5},
    "failed": {Unit.SECOND: 0.2},
    "canceled": {Unit.SECOND: 1.5},
    "processing": {},
}
REFUSALS: dict[str, tuple[type[PenstockError], type[PenstockError]]] = {
    # to a read, to a create
    "refused_401": (ChannelRejected, ChannelRejected),
    "refused_402": (ChannelRejected, ChannelRejected),
    "refused_404": (UpstreamForgot, UpstreamForgot),
    "refused_422": (CallerError, CallerError),
    "refused_422_version": (CallerError, CallerError),
    "refused_429": (UpstreamBusy, UpstreamBusy),
    "refused_500": (UpstreamError, UpstreamError),
    "refused_502": (UpstreamError, FateUnknown),
    "refused_503": (UpstreamBusy, UpstreamBusy),
}


def job(**given: Any) -> OpenJob:
    return OpenJob(**{"model": "ours/boat", "upstream_model": "acme/glowpaint", "input": {"prompt": "a boat"}, **given})


@pytest.mark.parametrize("name", STATES)
def test_every_status_is_a_state(name: str) -> None:
    report, asks = held(ENDPOINT.watch(REF), reply("replicate", name))
    assert (asks[0].method, asks[0].path) == ("GET", f"/predictions/{REF}")
    assert (report.state, report.ref) == (STATES[name], REF)


@pytest.mark.parametrize("name", USAGE)
def test_metrics_are_usage(name: str) -> None:
    report, _ = held(ENDPOINT.watch(REF), reply("replicate", name))
    assert report.usage == USAGE[name]
    assert "total_time" not in report.metrics


def test_an_unheard_of_status_is_no_verdict() -> None:
    report, _ = held(ENDPOINT.watch(REF), reply("replicate", "processing") | {"status": "warming"})
    assert report.state is State.QUEUED


@pytest.mark.parametrize(
    ("name", "text"),
    [("succeeded_words", True), ("processing_words", True), ("succeeded_files", False), ("succeeded_file", False)],
)
def test_words_are_told_from_files(name: str, text: bool) -> None:
    report, _ = held(ENDPOINT.watch(REF), reply("replicate", name))
    assert report.text is text
    assert report.output == reply("replicate", name)["output"]


def test_logs_and_reasons_are_passed_on() -> None:
    report, _ = held(ENDPOINT.watch(REF), reply("replicate", "processing"))
    assert report.logs == reply("replicate", "processing")["logs"]
    report, _ = held(ENDPOINT.watch(REF), reply("replicate", "failed"))
    assert report.reason == "CUDA out of memory (E1001)"


def test_a_create_by_model_carries_our_tag() -> None:
    report, (ask,) = held(ENDPOINT.submit(job(), TAG), reply("replicate", "starting"))
    assert (ask.method, ask.path) == ("POST", "/models/acme/glowpaint/predictions")
    assert ask.headers["idempotency-key"] == TAG
    assert json.loads(ask.body or b"") == {"input": {"prompt": "a boat"}}
    assert report.ref == REF


def test_a_create_by_version() -> None:
    _, (ask,) = held(ENDPOINT.submit(job(version="f" * 64), TAG), reply("replicate", "starting"))
    assert ask.path == "/predictions"
    assert json.loads(ask.body or b"") == {"version": "f" * 64, "input": {"prompt": "a boat"}}


def test_a_callback_is_given_where_the_vendor_takes_it() -> None:
    _, (ask,) = held(ENDPOINT.submit(job(callback="https://us.example/h"), TAG), reply("replicate", "starting"))
    assert json.loads(ask.body or b"")["webhook"] == "https://us.example/h"
    _, (ask,) = held(ENDPOINT.submit(job(callback="http://127.0.0.1/h"), TAG), reply("replicate", "starting"))
    assert "webhook" not in json.loads(ask.body or b"")


@pytest.mark.parametrize(("lifetime_s", "said"), [(90.4, "90s"), (1.0, "5s")])
def test_a_lifetime_is_passed_on(lifetime_s: float, said: str) -> None:
    _, (ask,) = held(ENDPOINT.submit(job(lifetime_s=lifetime_s), TAG), reply("replicate", "starting"))
    assert ask.headers["cancel-after"] == said


def test_cancel_tells_what_came_of_it() -> None:
    report, (ask,) = held(ENDPOINT.cancel(REF), reply("replicate", "canceled"))
    assert (ask.method, ask.path) == ("POST", f"/predictions/{REF}/cancel")
    assert report.state is State.CANCELED


def test_a_webhook_is_a_report() -> None:
    said = ENDPOINT.hear(json.dumps(reply("replicate", "succeeded_files")).encode(), TAG)
    assert said is not None
    assert (said.state, said.ref) == (State.SUCCEEDED, REF)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'"x"', b"\xff", b'{"status":"succeeded"}'])
def test_what_is_no_prediction_is_refused(body: bytes) -> None:
    with pytest.raises(CallerError):
        ENDPOINT.hear(body, TAG)


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("creates", [False, True])
def test_refusals(name: str, creates: bool) -> None:
    said = recorded("replicate", name)
    body = said["body"] if isinstance(said["body"], dict) else None
    error = Replicate().refusal(said["status"], body, None, creates=creates)
    assert type(error) is REFUSALS[name][creates]
    if isinstance(body, dict):
        assert str(error) == body["detail"].strip()
