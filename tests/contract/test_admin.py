"""The admin API on a live server: what it takes and refuses, what is written down of it, and that no secret leaves."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.live import Live

CANARY = "canary-8f2c51aa90"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("admin"), environment={"PENSTOCK_MAX_BODY": "100000"}) as running:
        yield running


def post(server: Live, act: str, body: Any) -> Reply:
    return ask(f"{server.url}/v1/admin/{act}", "POST", key=server.admin_key, body=body)


def get(server: Live, act: str) -> Reply:
    return ask(f"{server.url}/v1/admin/{act}", key=server.admin_key)


def audited(server: Live, act: str) -> list[dict[str, Any]]:
    return list(get(server, f"audit/list?act={act}").json["result"]["acts"])


def test_a_customer_is_served_from_afar(server: Live) -> None:
    """The way of docs/admin.md: a key that works at once, money, and both in the books."""
    made = post(server, "keys/create", {"name": "harbour", "account": "harbour", "mode": "test"}).json["result"]
    assert ask(f"{server.url}/v1/tasks", key=made["key"]).status == 200
    topped = post(server, "accounts/topup", {"name": "harbour", "usd": "25"}).json["result"]
    assert topped == {"account": "harbour", "mode": "live", "balance": 25_000_000}
    assert get(server, "ledger/show?account=harbour&limit=1").json["result"][0]["amount"] == 25_000_000
    assert post(server, "keys/revoke", {"key": made["id"]}).json == {"result": None}
    assert ask(f"{server.url}/v1/tasks", key=made["key"]).status == 401


def test_who_did_it_is_written_down(server: Live) -> None:
    post(server, "accounts/create", {"name": "by key"})
    server.cli("accounts", "create", "by command")
    command, key = audited(server, "accounts.create")[:2]
    [own] = [known for known in get(server, "keys/list").json["result"] if known["name"] == "operators"]
    assert (command["actor"], command["given"]["name"]) == (f"cli/{getpass.getuser()}", "by command")
    assert (key["actor"], key["given"], key["outcome"]) == (f"key/{own['id']}", {"name": "by key"}, "ok")
    assert post(server, "accounts/create", {"name": "by key"}).status == 400
    assert audited(server, "accounts.create")[0]["outcome"] == "bad_request"
    assert "by command" in server.cli("audit", "list", "--act", "accounts.create", "--actor", command["actor"])


def test_what_only_looks_is_not_written_down(server: Live) -> None:
    before = get(server, "audit/list?limit=1000").json["result"]["acts"]
    assert get(server, "channels/list").status == post(server, "channels/list", {}).status == 200
    assert get(server, "audit/list?limit=1000").json["result"]["acts"] == before


def test_pages_follow_each_other(server: Live) -> None:
    for number in range(3):
        post(server, "accounts/create", {"name": f"page {number}"})
    first = get(server, "audit/list?act=accounts.create&limit=2").json["result"]
    second = get(server, f"audit/list?act=accounts.create&limit=2&cursor={first['next']}").json["result"]
    names = [act["given"]["name"] for page in (first, second) for act in page["acts"]]
    assert names[:3] == ["page 2", "page 1", "page 0"]


@pytest.mark.parametrize(
    ("act", "body", "status", "words"),
    [
        ("accounts/create", b"{", 400, "not valid JSON"),
        ("accounts/create", b"[1]", 400, "must be a JSON object"),
        ("accounts/create", b"", 400, "lacks name"),
        ("accounts/create", {"nmae": "x"}, 400, "no argument nmae"),
        ("accounts/create", {"name": 5}, 400, "name: Expected `str`, got `int`"),
        ("accounts/create", {"name": "x\0"}, 400, "NUL"),
        ("accounts/create", {"name": "x" * 200_000}, 413, "less than"),
        ("accounts/create", b"[" * 50_000, 422, "nested too deep"),
        ("accounts/topup", {"name": "x", "usd": "1", "mode": "other"}, 400, "one of live, test"),
        ("accounts/topup", {"name": "nobody", "usd": "1"}, 404, "nobody"),
        ("backup", {"to": "/tmp/elsewhere"}, 403, "only where the gateway runs"),
        ("accounts/explode", {}, 404, "can't do"),
        ("", {}, 404, "can't do"),
    ],
)
def test_what_makes_no_sense_is_refused(server: Live, act: str, body: Any, status: int, words: str) -> None:
    reply = post(server, act, body)
    assert reply.status == status, reply.body
    assert words in reply.json["error"]["message"]
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("act", "status", "words"),
    [
        ("accounts/create?name=x", 405, "POST"),
        ("audit/list?limit=2&limit=3", 400, "twice"),
        ("audit/list?limit=many", 400, "limit: Expected `int`"),
        ("audit/list?limit=0", 400, "limit: Expected `int` >= 1"),
        ("audit/list?since=tomorrow", 400, "since: must be a date"),
        ("audit/list?other=1", 400, "no argument other"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(server: Live, act: str, status: int, words: str) -> None:
    reply = get(server, act)
    assert reply.status == status, reply.body
    assert words in reply.json["error"]["message"]
    assert reply.headers.get("allow") == ("POST" if status == 405 else None)


def test_a_test_key_does_not_administer(server: Live) -> None:
    """It can't be made; one that was there before is refused (`console.admin`)."""
    with pytest.raises(RuntimeError, match="admin"):
        server.keys("a test operator", options=("--scope", "admin"))


def test_the_keys_network_and_rate_count_here(server: Live) -> None:
    options = ("--scope", "admin", "--network", "203.0.113.0/24")
    elsewhere = server.keys("elsewhere", mode="live", options=options)["key"]
    reply = ask(f"{server.url}/v1/admin/keys/list", key=elsewhere)
    assert (reply.status, reply.json["error"]["code"]) == (403, "address_not_allowed")
    slow = server.keys("slow", mode="live", options=("--scope", "admin", "--rpm", "1"))["key"]
    replies = [ask(f"{server.url}/v1/admin/keys/list", key=slow) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    assert int(replies[1].headers["retry-after"]) > 0


def test_no_secret_is_written_down_logged_or_said(server: Live) -> None:
    """Whether the act is done or refused: a canary in each place that may hold a secret."""
    key = {"name": "n", "key": f"{CANARY}-document"}
    document = {"keys": [key], "channels": [{"name": "d", "provider": "openai", "credentials": [CANARY]}]}
    channel = {"provider": "openai", "credential": CANARY, "options": {"headers": {"authorization": CANARY}}}
    code = "pc-00000-canar-y8f2c-51aa9-00000"
    replies = [
        post(server, "channels/add", {"name": "done", **channel}),
        post(server, "channels/add", {"name": "done", **channel}),
        post(server, "channels/add", {"name": "refused", **channel, "provider": "nobody"}),
        post(server, "channels/add", {"name": "refused", **channel, "credential": [CANARY]}),
        post(server, "channels/add", {"name": "refused", **channel, CANARY[:5]: CANARY}),
        post(server, "keys/create", {"name": "imported", "key": f"sk-{CANARY}-imported"}),
        post(server, "keys/create", {"name": "imported again", "key": f"sk-{CANARY}-imported"}),
        post(server, "keys/create", {"name": "refused", "key": CANARY, "rpm": -1}),
        post(server, "keys/revoke", {"key": f"sk-live-{CANARY}"}),
        post(server, "codes/revoke", {"code": code}),
        post(server, "declared/compare", {"document": document}),
        post(server, "declared/apply", {"document": document}),
        post(server, "declared/apply", {"document": document | {"accounts": [{"name": "n", "key": CANARY}]}}),
    ]
    assert [reply.status for reply in replies[:3]] == [200, 409, 400], [reply.body for reply in replies[:3]]
    assert all(reply.status < 500 for reply in replies)
    said = [reply.json["error"]["message"] for reply in replies if "error" in reply.json]
    made = [post(server, "keys/create", {"name": "made"}).json["result"]["key"]]
    made += [made["code"] for made in post(server, "codes/create", {"usd": "1"}).json["result"]]
    written = "".join(said) + json.dumps(get(server, "audit/list?limit=1000").json) + server.log.read_text()
    assert [secret for secret in (CANARY, code[8:], *made) if secret in written] == []


def test_the_log_of_a_stopped_gateway_names_who_asked_here(server: Live) -> None:
    """Without a server the command is done in its own process, and written down alike."""
    server.stop()
    server.cli("accounts", "create", "offline")
    server.start()
    assert audited(server, "accounts.create")[0]["actor"] == f"cli/{getpass.getuser()}"
