"""What a key may, as the server holds it to: scopes, networks, expiry, rotation, and changes that hold at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.dialects._base import Dialect, Route
from tests.asking import Reply, ask
from tests.contract.test_access import MODEL, ROUTES, Owned, call
from tests.contract.test_access import owned as owned  # a fixture
from tests.live import Live

KEYED = [each for each in ROUTES if each.values[1].needs_key]
LOOKING = {"GET", "HEAD", "QUERY"}


def changed(server: Live, key: dict[str, str], *options: str) -> None:
    server.cli("keys", "change", key["id"], *options)


def account(server: Live, key: str | dict[str, str], **headers: str) -> Reply:
    return ask(f"{server.url}/replicate/v1/account", key=key if isinstance(key, str) else key["key"], **headers)


@pytest.fixture(scope="module")
def reader(live: Live) -> str:
    return live.keys("looks", options=("--scope", "read"))["key"]


@pytest.fixture(scope="module")
def operator(live: Live) -> str:
    return live.keys("runs the gateway", mode="live", options=("--scope", "admin"))["key"]


# ── scopes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("dialect", "route"), KEYED)
def test_a_key_that_reads_does_nothing_else(
    live: Live, owned: Owned, reader: str, dialect: Dialect, route: Route
) -> None:
    reply = call(live, dialect, route, owned, reader)
    wanted = route.scope or ("read" if route.method in LOOKING else "relay")
    assert (reply.status == 403) == (wanted != "read"), reply.body
    if reply.status == 403:
        assert b"lacks the scope" in reply.body
        assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("dialect", "route"), [each for each in KEYED if not each.values[1].scope])
def test_a_key_for_operators_is_none_for_clients(
    live: Live, owned: Owned, operator: str, dialect: Dialect, route: Route
) -> None:
    assert call(live, dialect, route, owned, operator).status == 403


def test_a_key_that_relays_reads_too(live: Live) -> None:
    key = live.keys("works", options=("--scope", "relay"))["key"]
    assert account(live, key).status == 200
    url = f"{live.url}/replicate/v1/models/{MODEL}/predictions"
    made = ask(url, "POST", key=key, body={"input": {"prompt": "x"}})
    assert made.status == 201
    assert ask(f"{live.url}/replicate/v1/predictions/{made.json['id']}", key=key).status == 200


# ── where from ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_used_from_its_networks_alone(live: Live) -> None:
    near = live.keys("near", options=("--network", "127.0.0.0/8", "--network", "2001:db8::/32"))
    far = live.keys("far", options=("--network", "203.0.113.0/24"))
    assert account(live, near).status == 200
    refused = account(live, far)
    assert refused.status == 403 and "address" in refused.json["detail"]
    assert account(live, far, x_forwarded_for="203.0.113.9").status == 403
    assert account(live, near, x_forwarded_for="198.51.100.1").status == 200


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One that trusts a proxy on this machine, and those in 10.0.0.0/8."""
    given = {"PENSTOCK_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}
    with Live(tmp_path_factory.mktemp("behind"), environment=given) as running:
        yield running


@pytest.fixture(scope="module")
def far(behind: Live) -> str:
    return behind.keys("far", options=("--network", "203.0.113.0/24"))["key"]


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("203.0.113.9", 200),
        ("203.0.113.9, 10.1.2.3", 200),
        ("198.51.100.1, 203.0.113.9", 200),
        ("198.51.100.1", 403),
        ("203.0.113.9, 198.51.100.1", 403),
        ("203.0.113.9, 198.51.100.1, 10.1.2.3", 403),
        ("203.0.113.9, nonsense", 403),
        ("\xff", 403),
        ("", 403),
        ("," * 5000, 403),
        (None, 403),
    ],
)
def test_behind_a_proxy_that_is_trusted(behind: Live, far: str, forwarded: str | None, status: int) -> None:
    headers = {} if forwarded is None else {"x_forwarded_for": forwarded}
    assert account(behind, far, **headers).status == status


# ── until when ────────────────────────────────────────────────────────────────────────────────────────────────────────


def shown(server: Live, key: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A task's address, polled until the shortest way answers it."""
    url = f"{server.url}/replicate/v1/models/{MODEL}/predictions"
    made = ask(url, "POST", key=key["key"], body={"input": {"prompt": "x"}}, prefer="wait").json
    at = f"{server.url}/replicate/v1/predictions/{made['id']}"
    for _ in range(3):
        assert ask(at, key=key["key"]).status == 200
    return at, key


def test_an_expired_key_is_refused_in_its_own_words(live: Live) -> None:
    key = live.keys("short-lived")
    at, _ = shown(live, key)
    began = time.time()
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began + 10))
    changed(live, key, "--expires", ends)
    assert ask(at, key=key["key"]).status in (200, 401)
    time.sleep(max(0.0, began + 10.2 - time.time()))
    refused = ask(at, key=key["key"])
    assert refused.status == 401 and ends in refused.json["detail"]
    chat = ask(f"{live.url}/v1/models", key=key["key"])
    assert (chat.status, chat.json["error"]["code"]) == (401, "key_expired")
    changed(live, key, "--clear", "expires")
    assert ask(at, key=key["key"]).status == 200


def test_a_rotated_key_overlaps(live: Live) -> None:
    old = live.keys("turns")
    at, _ = shown(live, old)
    new = json.loads(live.cli("keys", "rotate", old["id"], "--overlap", "24h", "--json"))
    assert [ask(at, key=key["key"]).status for key in (old, new)] == [200, 200]
    last = json.loads(live.cli("keys", "rotate", new["id"], "--json"))
    assert [ask(at, key=key["key"]).status for key in (old, new, last)] == [200, 401, 200]


# ── at once ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--network", "203.0.113.0/24"), 403),
        (("--rpm", "1"), 429),
    ],
)
def test_a_change_holds_at_once_on_the_shortest_way_too(live: Live, options: tuple[str, ...], status: int) -> None:
    key = live.keys("changes")
    at, _ = shown(live, key)
    changed(live, key, *options)
    assert [ask(at, key=key["key"]).status for _ in range(2)][-1] == status
    changed(live, key, "--scope", "read", "--clear", "network", "--clear", "rpm")
    assert ask(at, key=key["key"]).status == 200


def test_a_revocation_holds_at_once_on_the_shortest_way_too(live: Live) -> None:
    key = live.keys("goes")
    at, _ = shown(live, key)
    live.cli("keys", "revoke", key["id"])
    assert ask(at, key=key["key"]).status == 401


def test_a_change_of_a_group_holds_at_once(live: Live) -> None:
    live.cli("groups", "set", "narrow", "--rpm", "600")
    key = live.keys("in a group", options=("--group", "narrow"))
    assert [account(live, key).status for _ in range(2)] == [200, 200]
    live.cli("groups", "set", "narrow", "--rpm", "1")
    assert [account(live, key).status for _ in range(2)] == [200, 429]
    live.cli("groups", "set", "narrow", "--clear", "rpm")
    assert account(live, key).status == 200


def test_a_key_from_elsewhere_is_taken_as_it_is(live: Live) -> None:
    secret = "sk-" + "Zz9" * 16
    made = live.keys("moved", options=("--key", secret))
    assert made["key"] == secret and account(live, secret).status == 200
    with pytest.raises(RuntimeError, match="already"):
        live.keys("again", options=("--key", secret))
    assert secret not in live.cli("keys", "list", "--json")


# ── errors that are final ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/messages"),
        ("GET", "/v1beta/models"),
        ("GET", "/v1/tasks"),
        ("GET", "/replicate/v1/account"),
    ],
)
def test_an_error_that_would_come_again_says_so(live: Live, method: str, path: str) -> None:
    reply = ask(live.url + path, method, key="sk-live-" + "x" * 43)
    assert (reply.status, reply.headers["x-should-retry"]) == (401, "false")
    if method == "POST":
        wrong = ask(live.url + path, method, key=live.test_key, body=b"not JSON")
        assert (wrong.status, wrong.headers["x-should-retry"]) == (400, "false")


def test_one_that_may_be_sent_again_does_not(live: Live) -> None:
    key = live.keys("once", options=("--rpm", "1"))["key"]
    reply = [ask(f"{live.url}/v1/models", key=key) for _ in range(2)][-1]
    assert reply.status == 429 and reply.headers["retry-after"] and "x-should-retry" not in reply.headers


def test_a_browser_may_read_that_it_is_final(tmp_path: Path) -> None:
    with Live(tmp_path, environment={"PENSTOCK_CORS_ORIGINS": "*"}) as server:
        reply = ask(f"{server.url}/v1/models", origin="https://app.example")
        assert "x-should-retry" in reply.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("keys", "create", "--name", "x", "--expires", "soon"), "expires"),
        (("keys", "create", "--name", "x", "--expires", "2020-01-01"), "expires_at: must be a time to come"),
        (("keys", "create", "--name", "x", "--quota", "five"), "quota_usd"),
        (("keys", "create", "--name", "x", "--quota-day", "-1"), "quota_day"),
        (("keys", "create", "--name", "x", "--network", "nowhere"), "networks"),
        (("keys", "create", "--name", "x", "--scope", "root"), "scopes"),
        (("keys", "create", "--name", "x", "--group", "nobody"), "no group"),
        (("keys", "create", "--name", "x", "--key", "short"), "key: must be"),
        (("keys", "create", "--name", " "), "name"),
        (("keys", "change", "nobody", "--rpm", "5"), "no active key"),
        (("keys", "rotate", "nobody"), "no active key"),
        (("keys", "show", "nobody"), "no"),
        (("groups", "set", "x", "--multiplier", "much"), "multiplier"),
        (("groups", "set", "x", "--policy", "luck"), "policy"),
        (("groups", "remove", "default"), "always there"),
        (("groups", "show", "nobody"), "no group"),
    ],
)
def test_refusals_name_what_is_wrong(live: Live, args: tuple[str, ...], words: str) -> None:
    with pytest.raises(RuntimeError) as refused:
        live.cli(*args)
    said = str(refused.value)
    assert words in said and "Traceback" not in said and "ended with 1" in said
