"""What callers do wrong is refused in Replicate's words; nothing is created, nothing held, nothing sent."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.fault.stage import Answer, Gateway, Stage
from tests.rigs.counting import Counting

FLUX = "black-forest-labs/flux-schnell"
MAX_BODY = 100_000
REDIRECTOR = "127.0.0.2"
"""An address that the operator has opened; a redirect from it must not open any other."""

PRIVATE = [
    "http://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://localhost.:{port}/x",
    "http://2130706433:{port}/x",
    "http://0x7f000001:{port}/x",
    "http://0x7f.0.0.1:{port}/x",
    "http://0177.0.0.1:{port}/x",
    "http://017700000001:{port}/x",
    "http://127.1:{port}/x",
    "http://0:{port}/x",
    "http://0.0.0.0:{port}/x",
    "http://127.0.0.1.:{port}/x",
    "http://127。0。0。1:{port}/x",
    "http://①②⑦.0.0.1:{port}/x",
    "http://user:word@127.0.0.1:{port}/x",
    "http://[::1]:{port}/x",
    "http://[::]:{port}/x",
    "http://[::ffff:127.0.0.1]:{port}/x",
    "http://[::ffff:7f00:1]:{port}/x",
    "http://[::127.0.0.1]:{port}/x",
    "http://[64:ff9b::7f00:1]/x",
    "http://[2002:7f00:1::]/x",
    "http://10.0.0.1/x",
    "http://172.16.0.1/x",
    "http://192.168.1.1/x",
    "http://100.64.0.1/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://[fe80::1]/x",
    "http://[fe80::1%25lo]/x",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://224.0.0.1/x",
    "https://127.0.0.1:{port}/x",
]
"""This machine, private networks, and the address where clouds keep a machine's secrets, in many spellings."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Counting) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("bad-input")
    channels = [{"name": "bad", "base_url": upstream.base_url("bad"), "models": ["open/*", FLUX]}]
    stage = Stage.build(folder / "stage", channels, ["open/m", FLUX])
    made = stage.gateway(folder / "live", egress_allow=f"{REDIRECTOR}/32", max_body=f"{MAX_BODY}")
    with made.live:
        yield made


@pytest.fixture(scope="module")
def task(gateway: Gateway) -> str:
    """The one task that there is."""
    made = gateway.made("open/m")
    gateway.ended(made)
    return made


@pytest.fixture(scope="module")
def redirector(upstream: Counting) -> Iterator[str]:
    """Redirects every request to the counting upstream, on an address that callers may not reach."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", f"{upstream.url}/stolen/files/secret.txt")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer((REDIRECTOR, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{REDIRECTOR}:{server.server_port}/"
        server.shutdown()


@pytest.fixture(autouse=True)
def _nothing_happens(gateway: Gateway, task: str, upstream: Counting) -> Iterator[None]:
    """No task, no entry in the books, no record of a key, no file, no request to the vendor."""
    before = state(gateway, upstream)
    yield
    assert state(gateway, upstream) == before


def state(gateway: Gateway, upstream: Counting) -> tuple[Any, ...]:
    counts = [gateway.count(table) for table in ("tasks", "entries", "idempotency", "files", "outbox")]
    return *counts, gateway.balance(), upstream.report("bad")["attempts"]


def refused(answer: Answer, status: int) -> dict[str, Any]:
    """Replicate's shape of an error."""
    assert answer.status == status, (answer.status, answer.raw)
    assert answer.headers["content-type"].partition(";")[0] in ("application/json", "application/problem+json")
    assert answer.json.get("status", status) == status
    assert isinstance(answer.json["detail"], str)
    assert answer.json["detail"]
    return dict(answer.json)


def post(gateway: Gateway, body: Any, path: str = "/predictions", **more: Any) -> Answer:
    return gateway.ask("POST", path, body, idempotency_key="the-same", **more)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b'{"input": {"prompt": "\xff"}}', b'{"input": ' + b"[" * 20_000, b"{'input': {}}"]
)
@pytest.mark.parametrize("path", ["/predictions", "/models/open/m/predictions"])
def test_malformed_json(gateway: Gateway, path: str, body: bytes) -> None:
    refused(post(gateway, body, path), 400)


@pytest.mark.parametrize("depth", [70, 300, 900])
@pytest.mark.parametrize("path", ["/models/open/m/predictions", f"/models/{FLUX}/predictions"])
def test_input_that_is_nested_deep(gateway: Gateway, path: str, depth: int) -> None:
    said = refused(post(gateway, b'{"input": {"x": ' + b"[" * depth + b"]" * depth + b"}}", path), 422)
    assert said["invalid_fields"][0]["field"] == "input"


def test_input_of_too_many_parts(gateway: Gateway) -> None:
    said = refused(post(gateway, {"input": {"x": [[]] * 20_001}}, "/models/open/m/predictions"), 422)
    assert said["invalid_fields"][0]["field"] == "input"


@pytest.mark.parametrize("path", ["/models/open/../predictions", "/models/open/%2e%2e/predictions"])
def test_a_model_that_is_a_way_up(gateway: Gateway, path: str) -> None:
    assert post(gateway, {"input": {"prompt": "a"}}, path).status in (404, 405)


@pytest.mark.parametrize("body", [[], "words", None, 7, {}, {"input": "words"}, {"input": {}, "webhook": 7}])
def test_json_of_another_shape(gateway: Gateway, body: Any) -> None:
    answer = post(gateway, body, "/models/open/m/predictions")
    assert answer.status in (400, 422)
    refused(answer, answer.status)


@pytest.mark.parametrize("path", ["/models/nobody/nothing/predictions", "/deployments/nobody/nothing/predictions"])
def test_unknown_model_in_the_path(gateway: Gateway, path: str) -> None:
    refused(post(gateway, {"input": {"prompt": "a"}}, path), 404)


@pytest.mark.parametrize("version", ["f" * 64, "nobody/nothing", f"{FLUX}:{'f' * 64}", "", "%00", "a" * 5000])
def test_unknown_version_in_the_body(gateway: Gateway, version: str) -> None:
    said = refused(post(gateway, {"version": version, "input": {"prompt": "a"}}), 422)
    assert version == "" or said["title"] == "Invalid version or not permitted"


@pytest.mark.parametrize(
    ("input", "field"),
    [
        ({}, "input"),
        ({"prompt": 7}, "input.prompt"),
        ({"prompt": "a", "num_outputs": 99}, "input.num_outputs"),
        ({"prompt": "a", "num_outputs": "many"}, "input.num_outputs"),
        ({"prompt": "a", "aspect_ratio": "7:5:3"}, "input.aspect_ratio"),
    ],
)
def test_input_that_breaks_the_schema(gateway: Gateway, input: dict[str, Any], field: str) -> None:
    said = refused(post(gateway, {"input": input}, f"/models/{FLUX}/predictions"), 422)
    assert said["title"] == "Input validation failed"
    assert said["invalid_fields"][0]["field"].startswith(field)
    assert said["invalid_fields"][0]["description"]


@pytest.mark.parametrize("key", [None, "sk-live-wrong", "nonsense", "sk-live-" + "é" * 10])
@pytest.mark.parametrize(("method", "path"), [("POST", "/models/open/m/predictions"), ("GET", "/predictions")])
def test_no_key_or_a_wrong_one(gateway: Gateway, key: str | None, method: str, path: str) -> None:
    body = {"input": {"prompt": "a"}} if method == "POST" else None
    if key and not key.isascii():
        key = key.encode().decode("latin-1")
    refused(gateway.ask(method, path, body, key=key), 401)


def test_body_over_the_limit(gateway: Gateway) -> None:
    refused(post(gateway, {"input": {"prompt": "a" * MAX_BODY}}, "/models/open/m/predictions"), 413)


def test_body_over_the_limit_that_does_not_say_so(gateway: Gateway) -> None:
    """Chunked: without a content-length."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.live.port, timeout=10)
    chunks = iter([b'{"input": {"prompt": "', *[b"a" * 1000] * (MAX_BODY // 1000), b'"}}'])
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    connection.request("POST", "/replicate/v1/models/open/m/predictions", chunks, headers, encode_chunked=True)
    reply = connection.getresponse()
    refused(Answer(reply.status, reply.headers, reply.read()), 413)
    connection.close()


@pytest.mark.parametrize("url", PRIVATE)
def test_webhook_into_a_private_network(gateway: Gateway, upstream: Counting, url: str) -> None:
    body = {"input": {"prompt": "a"}, "webhook": url.format(port=upstream.port)}
    answer = post(gateway, body, "/models/open/m/predictions")
    assert answer.status in (400, 422)
    refused(answer, answer.status)


@pytest.mark.parametrize("url", ["ftp://example.com/x", "file:///etc/passwd", "gopher://example.com/", "//example.com"])
def test_webhook_of_another_kind(gateway: Gateway, url: str) -> None:
    answer = post(gateway, {"input": {"prompt": "a"}, "webhook": url}, "/models/open/m/predictions")
    assert answer.status in (400, 422)


@pytest.mark.parametrize("url", PRIVATE)
def test_input_from_a_private_network(gateway: Gateway, upstream: Counting, url: str) -> None:
    body = {"input": {"prompt": "a", "image": url.format(port=upstream.port)}}
    said = refused(post(gateway, body, "/models/open/m/predictions"), 422)
    assert said["invalid_fields"][0]["field"] == "input.image"


def test_input_nested_in_a_list(gateway: Gateway, upstream: Counting) -> None:
    body = {"input": {"images": [{"url": f"{upstream.url}/stolen/files/secret.txt"}]}}
    said = refused(post(gateway, body, "/models/open/m/predictions"), 422)
    assert said["invalid_fields"][0]["field"] == "input.images.0.url"


def test_input_that_redirects_into_a_private_network(gateway: Gateway, redirector: str) -> None:
    body = {"input": {"prompt": "a", "image": redirector}}
    said = refused(post(gateway, body, "/models/open/m/predictions"), 422)
    assert said["invalid_fields"][0]["field"] == "input.image"


@pytest.mark.parametrize("whose", ["strangers", "test"])
def test_a_task_of_somebody_else(task: str, gateway: Gateway, whose: str) -> None:
    key = gateway.strangers_key if whose == "strangers" else gateway.test_key
    unknown = refused(gateway.ask("GET", "/predictions/06gzwe0yjvvc94gzfyv0dxdtmm", key=key), 404)
    assert refused(gateway.ask("GET", f"/predictions/{task}", key=key), 404) == unknown
    refused(gateway.ask("POST", f"/predictions/{task}/cancel", key=key), 404)
    assert gateway.ask("GET", "/predictions", key=key).json["results"] == []


@pytest.mark.parametrize("id", ["nothing", "06gzwe0yjvvc94gzfyv0dxdtmm", "a" * 3000, "%00", "..%2f..%2fetc"])
def test_an_unknown_id(gateway: Gateway, id: str) -> None:
    refused(gateway.ask("GET", f"/predictions/{id}"), 404)
    refused(gateway.ask("POST", f"/predictions/{id}/cancel"), 404)
