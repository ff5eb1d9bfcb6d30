from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.canonical import results as r
from penstock.canonical.commands import Cancel, Download, Fetch, Follow, List
from penstock.canonical.task import Page, State, Task
from penstock.dialects.penstock import Penstock
from penstock.errors import CallerError, NotFound, RangeNotSatisfiable
from tests.unit.dialects.tasks import ID, LINKS, answered, asked, event, file, incoming, stream, task, whole

API = Penstock()
FILE = '{"$file":"0a","name":"out-0.webp"}'
FILE_URL = LINKS.file("0a", "out-0.webp")
BARS = (
    "Using seed: 811\n 50%|█████     | 10/20 [00:01<00:01,  6.1it/s]\n 65%|██████    | 13/20 [00:02<00:01]\nresting\n"
)


def shown(made: Task) -> dict[str, Any]:
    found = json.loads(API.task(made, LINKS))
    assert isinstance(found, dict)
    return found


def test_a_task_in_our_own_words() -> None:
    found = shown(task(State.SUCCEEDED, output=f"[{FILE}]", metrics='{"predict_time":3.4}'))
    assert (found["id"], found["dialect"], found["model"], found["state"]) == (
        ID,
        "replicate",
        "acme/glowpaint",
        "succeeded",
    )
    assert (found["input"], found["output"]) == ({"prompt": "a paper boat"}, [FILE_URL])
    assert found["cost"] == {"hold": 40_000, "charge": 25_000, "currency": "USD", "unit": "micros"}
    assert (found["progress"], found["error"]) == (100, None)
    assert (found["created_at"], found["completed_at"]) == (
        "2026-03-04T09:10:11.482Z",
        "2026-03-04T09:10:14.911027442Z",
    )
    assert found["urls"]["events"] == f"https://gw.example/v1/tasks/{ID}/events"


def test_a_failure_has_a_code_and_a_message() -> None:
    assert shown(task(State.FAILED))["error"] == {"code": "cold", "message": "the oven is cold"}


def test_an_unconfirmed_cancel_is_shown_as_one() -> None:
    assert shown(task(State.CANCELING, canceled_at=2, completed_at=2))["state"] == "canceled"
    assert shown(task(State.CANCELING, canceled_at=1))["state"] == "canceling"


@pytest.mark.parametrize(
    ("logs", "percent"), [(BARS, 65), ("", None), ("100% sure\n", None), ("  7%|#| 1/14\r 14%|##| 2/14", 14)]
)
def test_progress_is_what_the_last_bar_says(logs: str, percent: int | None) -> None:
    assert shown(task(State.RUNNING, logs=logs))["progress"] == percent


def test_the_commands_of_tasks() -> None:
    http = incoming("GET", "/v1/tasks?state=running&model=acme/x&limit=7&cursor=c&other=1")
    assert asked(API, http) == List("tasks", None, "c", 7, {"state": "running", "model": "acme/x"})
    assert asked(API, incoming("GET", "/v1/tasks?limit=5000")).limit == 100
    assert asked(API, incoming("GET", f"/v1/tasks/{ID}")) == Fetch(ID)
    assert asked(API, incoming("POST", f"/v1/tasks/{ID}/cancel")) == Cancel(ID)
    assert asked(API, incoming("GET", f"/v1/tasks/{ID}/events", last_event_id="4")) == Follow(ID, 4)
    page = json.loads(answered(API, Page([task()], "c2", "c0"), http).encoded())
    assert page["next"] == "https://gw.example/v1/tasks?state=running&model=acme%2Fx&limit=7&cursor=c2"
    assert [one["id"] for one in page["tasks"]] == [ID]


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_none(limit: str) -> None:
    with pytest.raises(CallerError):
        asked(API, incoming("GET", f"/v1/tasks?limit={limit}"))


@pytest.mark.anyio
async def test_events_are_json_and_hold_our_notes() -> None:
    events = stream(
        event("note", "relay: upstream_busy"),
        event("output", '{"item":' + FILE + "}", 1),
        event("logs", "one\ntwo\n", 2),
        None,
        event("done", "{}", 3),
    )
    reply = answered(API, r.Following(task(State.RUNNING), events), incoming("GET", f"/v1/tasks/{ID}/events"))
    assert (await whole(reply)).decode() == (
        'event: note\nid: 0\ndata: {"text":"relay: upstream_busy"}\n\n'
        f'event: output\nid: 1\ndata: {{"item":"{FILE_URL}"}}\n\n'
        'event: logs\nid: 2\ndata: {"text":"one\\ntwo\\n"}\n\n'
        ": ka\n\n"
        "event: done\nid: 3\ndata: {}\n\n"
    )


def test_errors() -> None:
    reply = API.error(NotFound())
    said = {"error": {"code": "not_found", "message": "The requested resource could not be found."}}
    assert (reply.status, json.loads(reply.encoded())) == (404, said)
    assert API.error(RangeNotSatisfiable(10)).headers == {"content-range": "bytes */10"}


# ── files by capability ───────────────────────────────────────────────────────────────────────────────────────────────


def body(partial: bool = False, **changes: Any) -> r.Body:
    start, end = (2, 5) if partial else (0, 10)
    return r.Body(file(**changes), start, end, partial, stream(b"abc"))


def test_a_file_is_open_to_whoever_holds_its_capability() -> None:
    http = incoming("GET", FILE_URL.removeprefix(LINKS.base), range="bytes=2-4")
    assert asked(API, http) == Download("0a", LINKS.capability("file", "0a"), "bytes=2-4")
    assert [route.path for route in API.routes() if not route.needs_key] == ["/files/{id}/{capability}/{name}"]


@pytest.mark.anyio
async def test_a_whole_file_and_a_range_of_it() -> None:
    http = incoming("GET", "/files/0a/c/boat.png")
    reply = answered(API, body(), http)
    assert (reply.status, reply.content_type, reply.headers["content-length"]) == (200, "image/png", "10")
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in reply.headers["cache-control"]
    assert await whole(reply) == b"abc"
    ranged = answered(API, body(partial=True), http)
    assert (ranged.status, ranged.headers["content-range"]) == (206, "bytes 2-4/10")
    assert ranged.headers["content-length"] == "3"


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "TEXT/HTML; charset=utf-8", "application/xml"])
def test_what_may_hold_scripts_is_never_run(content_type: str) -> None:
    headers = answered(API, body(content_type=content_type), incoming("GET", "/files/0a/c/x")).headers
    assert headers["content-security-policy"].startswith("sandbox")
    assert headers["content-disposition"].startswith("attachment;")


def test_names_and_types_can_not_break_out_of_their_headers() -> None:
    made = body(name='x"\r\nSet-Cookie: a=b', content_type="image/png\r\nx: y")
    reply = answered(API, made, incoming("GET", "/files/0a/c/x"))
    assert reply.headers["content-disposition"] == "inline; filename*=UTF-8''x%22%0D%0ASet-Cookie%3A%20a%3Db"
    assert reply.content_type == "application/octet-stream"
