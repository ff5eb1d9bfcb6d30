from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from penstock.canonical import results as r
from penstock.canonical.commands import (
    Cancel,
    Change,
    Create,
    Delete,
    Download,
    Fetch,
    Follow,
    List,
    Show,
    Submit,
    Whoami,
)
from penstock.canonical.task import Page, State, Task
from penstock.canonical.who import Caller
from penstock.dialects._base import Incoming
from penstock.dialects.replicate import Replicate
from penstock.errors import (
    CallerError,
    Forbidden,
    InvalidField,
    InvalidInput,
    LimitReached,
    NotFound,
    QuotaSpent,
    RangeNotSatisfiable,
    TooLarge,
    Unauthenticated,
    UnknownVersion,
    Unsupported,
)
from tests.unit.dialects.tasks import (
    COMPLETED,
    ID,
    LINKS,
    PLAIN_LINKS,
    answered,
    asked,
    event,
    file,
    incoming,
    stream,
    task,
    whole,
)

API = Replicate()
HEX = "3f" * 32
V1 = "/replicate/v1"
FILE = '{"$file":"0a","name":"out-0.webp"}'
FILE_URL = LINKS.file("0a", "out-0.webp")


def create(body: Any, path: str = "/predictions", **headers: str) -> Submit:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    command = asked(API, incoming("POST", V1 + path, raw, LINKS, **headers))
    assert isinstance(command, Submit)
    return command


def refusal(body: Any, path: str = "/predictions", **headers: str) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidInput) as caught:
        create(body, path, **headers)
    return [(field.rule, field.path, field.words) for field in caught.value.fields]


def shown(made: Task) -> dict[str, Any]:
    found = json.loads(API.task(made, LINKS))
    assert isinstance(found, dict)
    return found


def body_of(result: Any, http: Incoming) -> Any:
    return json.loads(answered(API, result, http).encoded())


# ── create ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_callers_own_bytes_of_the_input_are_kept() -> None:
    command = create(b'{ "version": "acme/glowpaint", "input": {"prompt" : "a\\u0020b",  "seed":1} }')
    assert command.raw_input == b'{"prompt" : "a\\u0020b",  "seed":1}'
    assert command.input == {"prompt": "a b", "seed": 1}
    assert (command.dialect, command.model, command.version, command.in_path) == (
        "replicate",
        "acme/glowpaint",
        None,
        False,
    )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"version": "acme/glowpaint"}, ("acme/glowpaint", None)),
        ({"version": f"acme/glowpaint:{HEX}"}, ("acme/glowpaint", HEX)),
        ({"version": HEX}, (None, HEX)),
        ({"model": "acme/glowpaint"}, ("acme/glowpaint", None)),
        ({"model": "acme/glowpaint", "version": HEX}, ("acme/glowpaint", HEX)),
        ({"model": "acme/glowpaint", "version": f"acme/glowpaint:{HEX}"}, ("acme/glowpaint", HEX)),
    ],
)
def test_the_target_is_named_by_version_or_model(fields: dict[str, str], named: tuple[str, str]) -> None:
    command = create(fields | {"input": {}})
    assert (command.model, command.version) == named


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "acme/glowpaint:latest"},
        {"version": "3f0c"},
        {"version": ""},
        {"version": "acme/other", "model": "acme/glowpaint"},
    ],
)
def test_a_version_that_is_none_is_unknown(fields: dict[str, str]) -> None:
    with pytest.raises(UnknownVersion):
        create(fields | {"input": {}})


@pytest.mark.parametrize("name", ["acme/glowpaint", "acme%2Fglowpaint"])
def test_the_model_may_be_named_in_the_path(name: str) -> None:
    command = create({"input": {}}, f"/models/{name}/predictions")
    assert (command.model, command.version, command.in_path) == ("acme/glowpaint", None, True)


def test_a_deployment_is_named_in_the_path() -> None:
    command = create({"input": {}}, "/deployments/acme/paint-prod/predictions")
    assert (command.model, command.deployment, command.in_path) == (None, "acme/paint-prod", True)


@pytest.mark.parametrize("prefix", ["/replicate/v1/v1", "/replicate/v1", "/replicate"])
def test_three_spellings_of_the_base_lead_here(prefix: str) -> None:
    assert asked(API, incoming("GET", f"{prefix}/predictions/{ID}")) == Fetch(ID)


def test_webhooks() -> None:
    said = {"version": HEX, "input": {}, "webhook": "https://hooks.example/r?job=1"}
    command = create(said | {"webhook_events_filter": ["start", "completed", "start"]})
    assert (command.webhook, command.webhook_events) == ("https://hooks.example/r?job=1", ("start", "completed"))
    old = create({"version": HEX, "input": {}, "webhook_completed": "https://hooks.example/r", "stream": True})
    assert (old.webhook, old.webhook_events) == ("https://hooks.example/r", ("completed",))
    assert create(said | {"webhook_events_filter": None}).webhook_events == ()


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"input": {}}, [("required", "", "version is required")]),
        ({"version": HEX}, [("required", "", "input is required")]),
        ([], [("invalid_type", "", "Invalid type. Expected: object, given: array")]),
        (
            {"version": HEX, "input": None},
            [("invalid_type", "input", "Invalid type. Expected: object, given: null")],
        ),
        (
            {"version": 1.0, "input": "x"},
            [
                ("invalid_type", "version", "Invalid type. Expected: string, given: integer"),
                ("invalid_type", "input", "Invalid type. Expected: object, given: string"),
            ],
        ),
        (
            {"version": HEX, "input": {}, "prompt": "x"},
            [("additional_property_not_allowed", "", "Additional property prompt is not allowed")],
        ),
        (
            {"version": HEX, "input": {}, "webhook_events_filter": ["begin"]},
            [
                (
                    "enum",
                    "webhook_events_filter.0",
                    'webhook_events_filter.0 must be one of the following: "start", "output", "logs", "completed"',
                )
            ],
        ),
        (
            {"version": HEX, "input": {}, "webhook": "ftp://x"},
            [("format", "webhook", "Does not match format 'uri'")],
        ),
    ],
)
def test_a_broken_body_is_told_in_the_words_of_gojsonschema(body: Any, problems: list[tuple[str, str, str]]) -> None:
    assert refusal(body) == problems


def test_the_body_with_a_model_in_the_path_is_closed() -> None:
    words = "Additional property version is not allowed"
    found = refusal({"version": HEX, "input": {}}, "/models/acme/glowpaint/predictions")
    assert found == [("additional_property_not_allowed", "", words)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"input": {"a": NaN}}',
        b'{"input": {"a": "\xff"}}',
        b'{"input": {"a": 1e999}}',
        b'{"input": ' + b"[" * 20000 + b"]" * 20000 + b"}",
        b"nonsense",
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(CallerError) as caught:
        create(body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        ("wait", 55),
        ("wait=60", 55),
        ("wait=100000", 55),
        ("wait=1", 1),
        ("Wait=10", 10),
        ('wait="10"', 10),
        ("wait=0", 0),
        ("wait=2.5", 2.5),
        ("wait=soon", 0),
        ("handling=lenient, wait=5; x=y", 5),
        ("respond-async, wait=5", 0),
        ("wait=5, respond-async", 0),
        ("", 0),
    ],
)
def test_prefer_is_read_leniently(prefer: str, wait_s: float) -> None:
    assert create({"version": HEX, "input": {}}, prefer=prefer).wait_s == wait_s


@pytest.mark.parametrize(
    ("said", "lifetime_s"), [("5", 5), ("5m", 300), ("1h30m45s", 5445), ("90s", 90), ("1.5m", 90), ("999999h", 2592000)]
)
@pytest.mark.parametrize("header", ["cancel_after", "replicate_max_lifetime"])
def test_a_lifetime(header: str, said: str, lifetime_s: float) -> None:
    assert create({"version": HEX, "input": {}}, **{header: said}).lifetime_s == lifetime_s


@pytest.mark.parametrize("said", ["4s", "0", "soon", "", "5 m", "-5", "5d", "1e3", "5m3", "٣٠"])
def test_a_lifetime_that_is_none(said: str) -> None:
    assert len(refusal({"version": HEX, "input": {}}, cancel_after=said)) == 1


def test_an_idempotency_key() -> None:
    assert create({"version": HEX, "input": {}}, idempotency_key=" k1 ").idempotency_key == "k1"
    assert create({"version": HEX, "input": {}}, idempotency_key=" ").idempotency_key is None


@pytest.mark.parametrize(
    "agent",
    ["replicate-python/1.0.7", "Replicate/Python 2.0.0", "AsyncReplicate/Python 2.0.0", "replicate-javascript/1.4"],
)
def test_an_sdk_that_waits_over_plain_http_gets_its_outputs_inline(agent: str) -> None:
    def inlines(links: Any, **headers: str) -> bool:
        body = json.dumps({"version": HEX, "input": {}}).encode()
        command = asked(API, incoming("POST", f"{V1}/predictions", body, links, **headers))
        assert isinstance(command, Submit)
        return command.inlines

    assert inlines(PLAIN_LINKS, prefer="wait", user_agent=agent)
    assert not inlines(LINKS, prefer="wait", user_agent=agent)
    assert not inlines(PLAIN_LINKS, user_agent=agent)
    assert not inlines(PLAIN_LINKS, prefer="wait", user_agent="curl/8")


def test_a_create_that_waited_in_vain_says_starting() -> None:
    """Its clients take anything else for the end, and return no output."""
    running = task(State.RUNNING, output='["a"]', logs="one line\n")
    reply = answered(API, r.Made(running, waited=True), incoming("POST", f"{V1}/predictions"))
    body = json.loads(reply.encoded())
    assert (reply.status, body["status"], body["output"], body["logs"]) == (201, "starting", None, "one line\n")
    assert reply.headers["location"] == body["urls"]["get"] == f"https://gw.example/replicate/v1/predictions/{ID}"
    assert not body.keys() & {"started_at", "completed_at", "metrics"}


def test_a_create_that_saw_the_end() -> None:
    done = task(State.SUCCEEDED, output=f"[{FILE}]")
    http = incoming("POST", f"{V1}/predictions")
    reply = answered(API, r.Made(done, waited=True, inlined={"0a": "data:image/webp;base64,AA=="}), http)
    assert json.loads(reply.encoded())["output"] == ["data:image/webp;base64,AA=="]
    assert "location" not in reply.headers
    assert shown(done)["output"] == [FILE_URL]


# ── the prediction ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_prediction() -> None:
    found = shown(task())
    assert list(found) == [
        *("id", "model", "version", "input", "logs", "output", "data_removed", "error", "source", "status"),
        *("created_at", "urls"),
    ]
    assert (found["status"], found["output"], found["logs"], found["error"]) == ("starting", None, "", None)
    assert (found["version"], found["data_removed"], found["source"]) == ("hidden", False, "api")
    assert found["created_at"] == "2026-03-04T09:10:11.482Z"


def test_a_finished_prediction() -> None:
    found = shown(task(State.SUCCEEDED, output=f"[{FILE}]", metrics='{"predict_time":3.407808742}'))
    assert list(found)[10:] == ["created_at", "started_at", "completed_at", "metrics", "urls"]
    assert found["output"] == [FILE_URL]
    assert (found["started_at"], found["completed_at"]) == (
        "2026-03-04T09:10:11.5032187Z",
        "2026-03-04T09:10:14.911027442Z",
    )
    assert found["metrics"] == {"predict_time": 3.407808742}


def test_what_only_some_predictions_have() -> None:
    made = task(
        deadline=COMPLETED, deployment="acme/prod", webhook="https://hooks.example/r", webhook_events="start,completed"
    )
    found = shown(made)
    assert found["deadline"] == "2026-03-04T09:10:14.911Z"
    assert (found["deployment"], found["webhook"]) == ("acme/prod", "https://hooks.example/r")
    assert found["webhook_events_filter"] == ["start", "completed"]


def test_the_urls_of_a_prediction_need_no_key_where_clients_send_none() -> None:
    urls = shown(task())["urls"]
    assert list(urls) == ["get", "cancel", "stream", "web"]
    assert urls["cancel"] == urls["get"] + "/cancel"
    head, _, capability = urls["stream"].partition("?sig=")
    assert head == f"https://gw.example/replicate/v1/stream/{ID}"
    assert LINKS.allows("stream", ID, capability)
    assert urls["web"] == LINKS.page(ID)


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (task(State.QUEUED), "starting"),
        (task(State.WAITING), "starting"),
        (task(State.SUBMITTING), "starting"),
        (task(State.UNCERTAIN), "starting"),
        (task(State.RUNNING, started_at=None), "starting"),
        (task(State.RUNNING), "processing"),
        (task(State.UNCERTAIN, started_at=1), "processing"),
        (task(State.CANCELING), "processing"),
        (task(State.CANCELING, started_at=None), "starting"),
        (task(State.CANCELING, canceled_at=1), "processing"),
        (task(State.CANCELING, canceled_at=2, completed_at=2), "canceled"),
        (task(State.SUCCEEDED), "succeeded"),
        (task(State.FAILED), "failed"),
        (task(State.CANCELED), "canceled"),
    ],
)
def test_statuses(made: Task, status: str) -> None:
    found = shown(made)
    assert found["status"] == status
    assert ("completed_at" in found) == (status in ("succeeded", "failed", "canceled"))
    assert found["error"] == ("the oven is cold" if status == "failed" else None)


def test_files_are_found_wherever_they_are_in_an_output() -> None:
    output = '{"a":[' + FILE + '],"b":{"c":' + FILE + '},"d":{"$file":"0a","name":"x","more":1},"e":"$file"}'
    found = shown(task(State.SUCCEEDED, output=output))["output"]
    assert (found["a"], found["b"], found["e"]) == ([FILE_URL], {"c": FILE_URL}, "$file")
    assert found["d"] == {"$file": "0a", "name": "x", "more": 1}


def test_a_list_of_predictions_has_absolute_links_that_keep_the_filters() -> None:
    http = incoming("GET", "/replicate/v1/v1/predictions?created_after=2026-03-04T00:00:00%2B01:00&cursor=c0")
    page = body_of(Page([task()], "c1", None), http)
    assert page["previous"] is None
    assert page["next"] == (
        "https://gw.example/replicate/v1/v1/predictions?created_after=2026-03-04T00%3A00%3A00%2B01%3A00&cursor=c1"
    )
    assert page["results"] == [shown(task())]
    assert asked(API, http) == List("tasks", cursor="c0", filters={"created_after": "2026-03-04T00:00:00+01:00"})


@pytest.mark.parametrize("query", ["created_after=soon", "created_before=2026-13-01", "source=api"])
def test_filters_that_are_none(query: str) -> None:
    with pytest.raises(CallerError):
        asked(API, incoming("GET", f"{V1}/predictions?{query}"))


def test_cancel_and_get() -> None:
    http = incoming("POST", f"{V1}/predictions/{ID}/cancel")
    assert asked(API, http) == Cancel(ID)
    reply = answered(API, task(State.CANCELED), http)
    assert (reply.status, json.loads(reply.encoded())["status"]) == (200, "canceled")


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_a_stream() -> None:
    events = stream(
        event("output", '{"item":" a time,\\nthere was"}'),
        event("note", "submitted", 1),
        None,
        event("output", '{"item":' + FILE + "}", 2),
        event("output", '{"item":{"a":[1,' + FILE + "]}}", 3),
        event("logs", "step 1\n", 4),
        event("error", '{"detail":"cold"}', 5),
        event("done", '{"reason":"error"}', 6),
    )
    reply = answered(API, r.Following(task(State.RUNNING), events), incoming("GET", f"{V1}/predictions/{ID}/stream"))
    assert (reply.status, reply.content_type) == (200, "text/event-stream")
    assert reply.headers == {"cache-control": "no-store", "x-accel-buffering": "no"}
    at = 1772615411
    assert (await whole(reply)).decode() == (
        f"event: output\nid: {at}:0\ndata:  a time,\ndata: there was\n\n"
        ": ka\n\n"
        f"event: output\nid: {at}:2\ndata: {FILE_URL}\n\n"
        f'event: output\nid: {at}:3\ndata: {{"a":[1,"{FILE_URL}"]}}\n\n'
        f"event: logs\nid: {at}:4\ndata: step 1\ndata: \n\n"
        f'event: error\nid: {at}:5\ndata: {{"detail":"cold"}}\n\n'
        f'event: done\nid: {at}:6\ndata: {{"reason":"error"}}\n\n'
    )


@pytest.mark.parametrize(
    ("last", "after"), [("1772615411:7", 7), ("7", 7), ("x", -1), ("1:2:3", -1), ("1:-5", -1), ("1:" + "9" * 30, -1)]
)
def test_a_stream_goes_on_where_it_broke(last: str, after: int) -> None:
    own = asked(API, incoming("GET", f"{V1}/predictions/{ID}/stream", last_event_id=last))
    assert own == Follow(ID, after, None)
    open_to_all = asked(API, incoming("GET", f"{V1}/stream/{ID}?sig=v1..abc", last_event_id=last))
    assert open_to_all == Follow(ID, after, "v1..abc")


def test_without_its_capability_a_stream_is_nobodys() -> None:
    assert asked(API, incoming("GET", f"{V1}/stream/{ID}")) == Follow(ID, -1, "")


def test_keys_are_asked_for_everywhere_but_at_the_stream() -> None:
    assert [route.path for route in API.routes() if not route.needs_key] == ["/stream/{id}"]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file() -> None:
    http = incoming("POST", f"{V1}/files", content_type="multipart/form-data; boundary=x")
    reply = answered(API, file(), http)
    assert reply.status == 201
    assert json.loads(reply.encoded()) == {
        "id": "0a",
        "name": "boat.png",
        "content_type": "image/png",
        "size": 10,
        "etag": "9b2c",
        "checksums": {"sha256": "1f0c", "md5": "9b2c"},
        "metadata": {"job": 17},
        "created_at": "2026-03-04T09:10:11.482Z",
        "expires_at": "2026-03-04T09:10:14.911Z",
        "urls": {"get": "https://gw.example/replicate/v1/files/0a"},
    }


def test_what_we_noted_on_a_file_of_a_task_is_not_shown() -> None:
    made = file(role="output", metadata='{"source":"http://10.0.0.1/x"}', expires_at=None)
    found = body_of(made, incoming("GET", f"{V1}/files/0a"))
    assert (found["metadata"], found["expires_at"]) == ({}, "9999-12-31T23:59:59.000Z")


def test_the_commands_of_files() -> None:
    assert asked(API, incoming("GET", f"{V1}/files?cursor=c")) == List("files", cursor="c")
    assert asked(API, incoming("DELETE", f"{V1}/files/0a")) == Delete("file", "0a")
    assert answered(API, None, incoming("DELETE", f"{V1}/files/0a")).encoded() == b""
    signed = incoming("GET", f"{V1}/files/0a/download?owner=acme&expiry=1&signature=v1..x", range="bytes=0-1")
    assert asked(API, signed) == Download("0a", "v1..x", "bytes=0-1")
    upload = next(route for route in API.routes() if (route.method, route.path) == ("POST", "/files"))
    assert upload.streams


# ── the shelf ─────────────────────────────────────────────────────────────────────────────────────────────────────────

VERSION = r.VersionCard(HEX, "2026-01-02T03:04:05.678901Z", "0.16.2", {"components": {}})
MODEL = r.ModelCard("acme", "glowpaint", "fast painterly images", True, "2026-01-02T03:04:05Z", (VERSION,), 7)


@pytest.mark.parametrize(
    ("method", "path", "command"),
    [
        ("GET", "/models?sort_by=model_created_at", List("models", filters={"sort_by": "model_created_at"})),
        ("GET", "/models/acme/glowpaint", Show("model", "acme/glowpaint")),
        ("GET", "/models/acme/glowpaint/readme", Show("readme", "acme/glowpaint")),
        ("GET", "/models/acme/glowpaint/versions?cursor=2", List("versions", "acme/glowpaint", "2")),
        ("GET", "/models/acme/glowpaint/examples", List("examples", "acme/glowpaint")),
        ("GET", f"/models/acme/glowpaint/versions/{HEX}", Show("version", f"acme/glowpaint:{HEX}")),
        ("GET", "/search?query=boat&limit=5", List("search", limit=5, filters={"query": "boat"})),
        ("GET", "/collections", List("collections")),
        ("GET", "/collections/text-to-image", Show("collection", "text-to-image")),
        ("GET", "/hardware", List("hardware")),
        ("GET", "/account", Whoami()),
        ("GET", "/deployments", List("deployments")),
        ("GET", "/deployments/acme/prod", Show("deployment", "acme/prod")),
        ("DELETE", "/deployments/acme/prod", Delete("deployment", "acme/prod")),
        ("GET", "/webhooks/default/secret", Show("webhook_secret", "default")),
    ],
)
def test_the_commands_of_the_shelf(method: str, path: str, command: object) -> None:
    assert asked(API, incoming(method, V1 + path)) == command


@pytest.mark.parametrize("body", [b"boat\n", b'"boat"'])
def test_models_are_searched_by_a_method_of_their_own(body: bytes) -> None:
    http = incoming("QUERY", f"{V1}/models", body, content_type="text/plain")
    assert asked(API, http).filters == {"query": "boat"}
    page = body_of(r.Found("boat", (MODEL,), ()), http)
    assert (page["next"], page["results"][0]["name"]) == (None, "glowpaint")


@pytest.mark.parametrize("query", ["", "?query=", "?query=x&limit=0", "?query=x&limit=51", "?query=x&limit=many"])
def test_a_search_for_nothing_is_a_bad_request(query: str) -> None:
    with pytest.raises(CallerError):
        asked(API, incoming("GET", f"{V1}/search{query}"))


def test_a_model_and_its_version() -> None:
    found = body_of(MODEL, incoming("GET", f"{V1}/models/acme/glowpaint"))
    assert found["url"] == "https://gw.example/acme/glowpaint"
    assert (found["owner"], found["name"], found["visibility"], found["run_count"]) == (
        "acme",
        "glowpaint",
        "public",
        7,
    )
    version = body_of(VERSION, incoming("GET", f"{V1}/models/acme/glowpaint/versions/{HEX}"))
    assert version == found["latest_version"]
    assert list(version) == ["id", "created_at", "cog_version", "openapi_schema"]


def test_what_a_search_found() -> None:
    shelf = r.CollectionCard("boats", "Boats", "All that floats", models=(MODEL,))
    found = body_of(r.Found("boat", (MODEL,), (shelf,)), incoming("GET", f"{V1}/search?query=boat"))
    assert list(found) == ["query", "models", "collections", "pages"]
    assert found["models"][0]["metadata"]["score"] == 1.0
    assert found["collections"][0]["models"] == ["acme/glowpaint"]
    whole = body_of(shelf, incoming("GET", f"{V1}/collections/boats"))
    assert (whole["full_description"], whole["models"][0]["name"]) == (None, "glowpaint")


def test_a_readme_is_markdown() -> None:
    reply = answered(API, "# Glöw", incoming("GET", f"{V1}/models/acme/glowpaint/readme"))
    assert (reply.encoded().decode(), reply.content_type.partition(";")[0]) == ("# Glöw", "text/markdown")


def test_hardware_is_a_bare_array() -> None:
    assert body_of([r.HardwareCard("CPU", "cpu")], incoming("GET", f"{V1}/hardware")) == [{"name": "CPU", "sku": "cpu"}]


def test_the_account() -> None:
    caller = Caller("k1", "a1", "acme", "test")
    assert body_of(caller, incoming("GET", f"{V1}/account")) == {
        "type": "organization",
        "username": "acme",
        "name": "acme",
        "github_url": None,
        "avatar_url": None,
    }


DEPLOYMENT = {
    "name": "prod",
    "model": "acme/x",
    "version": HEX,
    "hardware": "cpu",
    "min_instances": 0,
    "max_instances": 2,
}


def test_deployments() -> None:
    http = incoming("POST", f"{V1}/deployments", json.dumps(DEPLOYMENT).encode())
    assert asked(API, http) == Create("deployment", DEPLOYMENT)
    deployed = r.Deployed("acme", "prod", "acme/x", HEX, {"hardware": "cpu"}, 3, COMPLETED)
    reply = answered(API, deployed, http)
    release = json.loads(reply.encoded())["current_release"]
    assert (reply.status, release["number"], release["created_at"]) == (200, 3, "2026-03-04T09:10:14.911027442Z")
    assert release["created_by"]["username"] == "acme"
    change = incoming("PATCH", f"{V1}/deployments/acme/prod", b'{"max_instances":3}')
    assert asked(API, change) == Change("deployment", "acme/prod", {"max_instances": 3})


def test_a_deployment_that_is_none() -> None:
    found = refusal_of(
        "POST", "/deployments", {**DEPLOYMENT, "min_instances": 6, "max_instances": "2"} | {"name": None}
    )
    assert [(rule, path) for rule, path, _ in found] == [
        ("invalid_type", "name"),
        ("number_lte", "min_instances"),
        ("invalid_type", "max_instances"),
    ]


def refusal_of(method: str, path: str, body: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidInput) as caught:
        asked(API, incoming(method, V1 + path, json.dumps(body).encode()))
    return [(field.rule, field.path, field.words) for field in caught.value.fields]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/models", Forbidden),
        ("PATCH", "/models/a/b", Forbidden),
        ("DELETE", "/models/a/b", Forbidden),
        ("DELETE", f"/models/a/b/versions/{HEX}", Forbidden),
        ("POST", f"/models/a/b/versions/{HEX}/trainings", Unsupported),
        ("POST", "/trainings/x/cancel", Unsupported),
    ],
)
def test_what_is_not_offered_says_so(method: str, path: str, kind: type[CallerError]) -> None:
    with pytest.raises(kind):
        asked(API, incoming(method, V1 + path, b"{}"))


# ── errors and keys ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer", "TOKEN"])
def test_both_schemes_carry_a_key(scheme: str) -> None:
    assert API.credential(incoming(authorization=f"{scheme} sk-test-1")) == "sk-test-1"
    assert API.credential(incoming()) is None


NUMBER = InvalidField("input.num_steps", "number_lte", "Must be less than or equal to 50")


@pytest.mark.parametrize(
    ("exc", "status", "body"),
    [
        (
            Unauthenticated(),
            401,
            {"title": "Unauthenticated", "detail": "You did not pass a valid authentication token", "status": 401},
        ),
        (
            NotFound(),
            404,
            {"title": "Not found", "detail": "The requested resource could not be found.", "status": 404},
        ),
        (NotFound("File not found"), 404, {"detail": "File not found"}),
        (CallerError('Query parameter "query" is required'), 400, {"detail": 'Query parameter "query" is required'}),
        (TooLarge(), 413, {"detail": "The request body is too large."}),
        (
            UnknownVersion(),
            422,
            {
                "title": "Invalid version or not permitted",
                "detail": "The specified version does not exist (or perhaps you don't have permission to use it?)",
                "status": 422,
            },
        ),
        (
            InvalidInput(fields=(InvalidField("input", "required", "prompt is required"), NUMBER)),
            422,
            {
                "title": "Input validation failed",
                "status": 422,
                "detail": "- input: prompt is required\n- input.num_steps: Must be less than or equal to 50\n",
                "invalid_fields": [
                    {"type": "required", "field": "input", "description": "prompt is required"},
                    {
                        "type": "number_lte",
                        "field": "input.num_steps",
                        "description": "Must be less than or equal to 50",
                    },
                ],
            },
        ),
        (
            LimitReached("Request was throttled. Your rate limit resets in ~30s.", retry_after_s=29.2),
            429,
            {
                "title": "Too many requests",
                "detail": "Request was throttled. Your rate limit resets in ~30s.",
                "status": 429,
                "retry_after": 30,
            },
        ),
    ],
)
def test_error_bodies(exc: CallerError, status: int, body: dict[str, Any]) -> None:
    reply = API.error(exc)
    assert (reply.status, json.loads(reply.encoded())) == (status, body)
    assert reply.headers == ({} if status == 429 else {"x-should-retry": "false"})


def test_an_empty_account() -> None:
    body = json.loads(API.error(QuotaSpent()).encoded())
    assert (body["title"], body["status"]) == ("Insufficient credit", 402)


def test_a_range_outside_of_a_file() -> None:
    reply = API.error(RangeNotSatisfiable(10))
    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */10")


def test_every_body_is_one_value() -> None:
    assert msgspec.json.decode(API.task(task(State.SUCCEEDED, output='"x"', input='{ "a":\n1}'), LINKS))["input"] == {
        "a": 1
    }
