"""The short cut for status queries: it answers as the long way does, and steps aside for whatever is unusual."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Iterator

import pytest

from tests.live import Live

MODEL = "/replicate/v1/models/sandbox/instant/predictions"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("protocol")) as live:
        yield live


@pytest.fixture(scope="module")
def task(live: Live) -> str:
    status, _, body = ask(live, "POST", MODEL, body=json.dumps({"input": {"prompt": "a boat"}}), prefer="wait")
    assert status == 201
    return str(json.loads(body)["id"])


def ask(live: Live, method: str, path: str, body: str | None = None, **given: str) -> tuple[int, dict[str, str], bytes]:
    headers = {"authorization": f"Bearer {live.test_key}", "content-type": "application/json"} | given
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
    connection.request(method, path, body, {name: value for name, value in headers.items() if value})
    reply = connection.getresponse()
    return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()


def raw(live: Live, *requests: str) -> bytes:
    """What comes back for these requests sent at once on one connection that then closes."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as connection:
        connection.sendall("".join(requests).encode())
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def get(live: Live, path: str, *more: str) -> str:
    lines = [f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {live.test_key}", *more]
    return "\r\n".join([*lines, "", ""])


def test_second_answer_is_the_first(live: Live, task: str) -> None:
    path = f"/replicate/v1/predictions/{task}"
    first, second = ask(live, "GET", path), ask(live, "GET", path)
    assert first[0] == second[0] == 200
    assert first[2] == second[2]
    assert first[1].keys() == second[1].keys()
    assert first[1]["x-request-id"] != second[1]["x-request-id"]


def test_a_reply_says_the_same_in_one_piece_or_in_two(live: Live) -> None:
    body = json.dumps({"input": {"prompt": "a boat"}})
    whole, apart = ask(live, "POST", MODEL, body), ask(live, "POST", MODEL, body, connection="close")
    assert whole[0] == apart[0] == 201
    assert whole[1].keys() | {"connection"} == apart[1].keys()
    assert json.loads(whole[2]).keys() == json.loads(apart[2]).keys()


def test_others_see_nothing(live: Live, task: str) -> None:
    path = f"/replicate/v1/predictions/{task}"
    ask(live, "GET", path)
    assert ask(live, "GET", path, authorization=f"Bearer {live.test_key_2}")[0] == 404
    assert ask(live, "GET", path, authorization="Bearer sk-test-wrong")[0] == 401
    assert ask(live, "GET", path, authorization="")[0] == 401
    assert ask(live, "HEAD", path)[2] == b""
    assert ask(live, "DELETE", path)[0] == 405


def test_pipelined_requests_are_answered_in_order(live: Live, task: str) -> None:
    path = f"/replicate/v1/predictions/{task}"
    ask(live, "GET", path)
    known, unknown = get(live, path), get(live, f"{path}0")
    said = raw(live, known, unknown, known, get(live, path, "Connection: close"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", said) == [b"200", b"404", b"200", b"200"]
    assert said.count(f'"id":"{task}"'.encode()) == 3


def test_a_body_is_read_away(live: Live, task: str) -> None:
    path = f"/replicate/v1/predictions/{task}"
    ask(live, "GET", path)
    said = raw(live, get(live, path, "Content-Length: 3") + "abc", get(live, path, "Connection: close"))
    assert said.count(b"HTTP/1.1 200 OK") == 2


def test_a_changed_task_is_shown_anew(live: Live) -> None:
    slow = ask(live, "POST", "/replicate/v1/models/sandbox/slow/predictions", json.dumps({"input": {"prompt": "x"}}))
    path = f"/replicate/v1/predictions/{json.loads(slow[2])['id']}"
    ask(live, "GET", path)
    ask(live, "GET", path)
    ask(live, "POST", f"{path}/cancel")
    assert json.loads(ask(live, "GET", path)[2])["status"] in ("canceled", "processing", "starting")
    listed = json.loads(ask(live, "GET", path)[2])
    assert listed == json.loads(ask(live, "GET", f"{path}?x=1")[2])


def test_revoked_key_is_refused_at_once(live: Live, task: str) -> None:
    path = f"/replicate/v1/predictions/{task}"
    made = live.keys("short-lived")
    headers = {"authorization": f"Bearer {made['key']}"}
    assert ask(live, "GET", path, **headers)[0] == 200
    assert ask(live, "GET", path, **headers)[0] == 200
    live.cli("keys", "revoke", made["id"])
    assert ask(live, "GET", path, **headers)[0] == 401


@pytest.mark.parametrize("piece", [64, 1 << 20])
def test_a_head_has_a_largest_size(live: Live, piece: int) -> None:
    """As many headers, and as one that never ends; a head of a fair size is answered."""
    many = "".join([f"x-{number}: {'a' * piece}\r\n" for number in range((2 << 20) // piece)])
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{many}".encode())
        with contextlib.suppress(ConnectionResetError):
            said = connection.recv(100)
            assert said == b"" or said.startswith(b"HTTP/1.1 400")
    assert ask(live, "GET", "/healthz", x="a" * 20_000)[0] == 200


def test_a_large_head_in_one_piece(live: Live) -> None:
    assert raw(live, get(live, "/healthz", f"X: {'a' * 70_000}")).startswith(b"HTTP/1.1 400")


def test_an_unknown_secret_is_refused_before_the_body(live: Live) -> None:
    """Nothing of the body is ever sent."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=5) as connection:
        connection.sendall(b"POST /internal/hooks/wrong/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401")
