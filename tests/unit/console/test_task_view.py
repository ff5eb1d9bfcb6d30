"""What a task's page says, without a browser."""

from __future__ import annotations

import json

import pytest

from penstock.canonical.task import File, State
from penstock.catalog import Catalog
from penstock.console.task_view import Known, View, arithmetic, dollars, size, span, view
from penstock.wire.signing import Signer
from tests.stores import task

AT = 1_700_000_000_000_000_000
CATALOG = Catalog.load()


def seen(files: tuple[File, ...] = (), detail: dict[str, object] | None = None, **given: object) -> View:
    made = task(created_at=AT, **given)
    known = Known({f.id: f for f in files}, detail or {}, CATALOG.find(made.model), Signer(b"s" * 16), "/gw")
    return view(made, known)


def file(id: str, content_type: str) -> File:
    return File(id, "a", "live", "t", "output", "out", content_type, 27_000, "sha", "md5")


@pytest.mark.parametrize(
    ("micros", "words"),
    [
        (0, "$0.00"),
        (3000, "$0.003"),
        (1_500_000, "$1.50"),
        (12, "$0.000012"),
        (1_234_000_000, "$1,234.00"),
        (-5, "-$0.000005"),
    ],
)
def test_money_is_in_dollars(micros: int, words: str) -> None:
    assert dollars(micros) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0042, "4 ms"), (3.4078, "3.41 s"), (125, "2 min 05 s"), (3720, "1 h 02 min")]
)
def test_durations_are_in_words_of_their_size(seconds: float, words: str) -> None:
    assert span(int(seconds * 1e9)) == words


def test_sizes() -> None:
    assert [size(n) for n in (12, 27_400, 3_250_000)] == ["12 bytes", "27 kB", "3.2 MB"]


def test_arithmetic_counts_and_names_its_units() -> None:
    lines = [
        {"unit": "output", "amount": 4, "micros": 3000, "per": 1},
        {"unit": "run", "amount": 1, "micros": 500, "per": 1},
        {"unit": "video_second", "amount": 5.5, "micros": 20_000, "per": 1},
        {"unit": "input_token", "amount": 1234, "micros": 50_000, "per": 1_000_000},
    ]
    assert list(arithmetic({"lines": lines})) == [
        "4 outputs × $0.003",
        "1 run × $0.0005",
        "5.5 seconds of video × $0.02",
        "1,234 input tokens × $0.05 per 1,000,000",
    ]


def test_pictures_keep_their_place_before_they_come_and_when_they_are_there() -> None:
    wanted = json.dumps({"prompt": "a boat", "num_outputs": 3, "aspect_ratio": "16:9"})
    model = "black-forest-labs/flux-schnell"
    before = seen(model=model, input=wanted, state=State.RUNNING)
    assert before.places == ((16, 9),) * 3
    output = json.dumps([{"$file": "f1", "name": "out-0.webp"}])
    after = seen((file("f1", "image/webp"),), model=model, input=wanted, state=State.SUCCEEDED, output=output)
    assert after.places == ()
    (picture,) = after.media
    assert (picture.kind, picture.width, picture.height, picture.size) == ("image", 16, 9, "27 kB")
    assert picture.url.startswith("/gw/files/f1/v1..")
    assert picture.url.endswith("/out-0.webp")


def test_what_may_hold_scripts_is_offered_as_a_file_only() -> None:
    output = json.dumps({"$file": "f1", "name": "out.svg"})
    (shown,) = seen((file("f1", "image/svg+xml"),), state=State.SUCCEEDED, output=output).media
    assert shown.kind == "file"


def test_words_of_a_language_model_are_joined() -> None:
    assert seen(state=State.RUNNING, output='["Here"," is"," a boat"]').text == "Here is a boat"


def test_other_values_are_json_with_files_by_their_names() -> None:
    shown = seen(
        (file("f1", "image/png"),), state=State.SUCCEEDED, output='{"mask":{"$file":"f1","name":"m.png"},"n":1}'
    )
    assert json.loads(shown.json or "") == {"mask": "m.png", "n": 1}
    assert [media.name for media in shown.media] == ["m.png"]


def test_long_inputs_are_folded() -> None:
    long, short = seen(input=json.dumps({"prompt": "word " * 100, "seed": 7})).fields
    assert (long.folded, short.folded, short.text) == (True, False, "7")


def test_a_failure_says_what_to_do() -> None:
    shown = seen(state=State.FAILED, error="No answer.", error_code="fate_unknown", charge=0, completed_at=AT + 10**9)
    assert shown.error == "No answer."
    assert "not paid twice" in shown.advice
    assert (shown.charged, shown.took) == ("$0.00", "1.00 s")


def test_what_the_gateway_is_unsure_of_looks_as_it_did_before() -> None:
    assert seen(state=State.UNCERTAIN).state == seen(state=State.SUBMITTING).state == seen(state=State.QUEUED).state


def test_a_cancel_that_the_vendor_can_not_do_is_shown_as_done() -> None:
    shown = seen(state=State.RUNNING, canceled_at=AT + 2, completed_at=AT + 2, hold=5)
    assert (shown.state, shown.ended, shown.charged) == ("Canceled", True, None)


def test_the_timeline_names_what_is_still_to_come() -> None:
    running = seen(state=State.RUNNING, submitted_at=AT + 7_000_000, started_at=AT + 107_000_000)
    told = [(moment.name, moment.since) for moment in running.moments]
    assert told[:4] == [("Created", ""), ("Submitted", "7 ms"), ("Started", "100 ms"), ("Completed", "")]
    assert told[4][0] == "So far"
