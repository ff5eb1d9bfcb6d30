"""Who may: every route of every dialect × no key, a wrong key, another account's key, the other books' key; every path
of the admin API × the kinds of key."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.console.acts import ACTS
from penstock.console.describing import path as admin_path
from penstock.dialects._base import Dialect, Route
from penstock.dialects._installed import dialects
from penstock.ids import new_id
from tests.asking import Reply, ask
from tests.live import Live

MODEL = "black-forest-labs/flux-schnell"
ROUTES = [
    pytest.param(dialect, route, id=f"{dialect.name} {route.method} {route.path}")
    for dialect in dialects().values()
    for route in dialect.routes()
]
ADMIN_PATHS = [
    pytest.param(method, admin_path(act.name), id=f"{method} {act.name}")
    for act in ACTS.values()
    if not act.local
    for method in (("GET", "POST") if act.by_query else ("POST",))
]


@dataclass(frozen=True, slots=True)
class Owned:
    """What one caller owns, to be asked for by others."""

    task: str
    file: str
    deployment: str


@pytest.fixture(scope="module")
def owned(live: Live) -> Owned:
    name = f"mine-{new_id()}"  # others make theirs on the same server
    key = live.test_key
    made = ask(f"{live.url}/replicate/v1/models/{MODEL}/predictions", "POST", key=key, body={"input": {"prompt": "x"}})
    form = b'--x\r\nContent-Disposition: form-data; name="content"; filename="a.txt"\r\n\r\nhi\r\n--x--\r\n'
    kind = {"content_type": "multipart/form-data; boundary=x"}
    file = ask(f"{live.url}/replicate/v1/files", "POST", key=key, body=form, **kind)
    model = ask(f"{live.url}/replicate/v1/models/{MODEL}", key=key).json
    fields = {"name": name, "model": MODEL, "version": model["latest_version"]["id"], "hardware": "cpu"}
    fields |= {"min_instances": 0, "max_instances": 1}
    deployed = ask(f"{live.url}/replicate/v1/deployments", "POST", key=key, body=fields)
    assert (made.status, file.status, deployed.status) == (201, 201, 200)
    return Owned(made.json["id"], file.json["id"], f"{deployed.json['owner']}/{name}")


def call(live: Live, dialect: Dialect, route: Route, owned: Owned, key: str | None) -> Reply:
    path = dialect.prefixes[-1] + route.path
    path = path.replace("/deployments/{owner}/{name}", f"/deployments/{owned.deployment}")
    path = path.replace("/models/{owner}/{name}", f"/models/{MODEL}")
    path = re.sub(r"/files/\{[^}]*\}", f"/files/{owned.file}", path)
    path = re.sub(r"\{[^}]*\}", owned.task, path)
    bodies = {"QUERY": b"boat", "POST": {"input": {"prompt": "x"}}, "PATCH": {"min_instances": 0}}
    body = bodies.get(route.method)
    return ask(live.url + path, route.method, key=key, body=body, accept="application/json")


@pytest.mark.parametrize(("dialect", "route"), ROUTES)
def test_without_a_key_or_with_a_wrong_one_nothing_answers(
    live: Live, owned: Owned, dialect: Dialect, route: Route
) -> None:
    for key in (None, "sk-live-" + "x" * 43, "sk-test-" + "ü" * 5):
        reply = call(live, dialect, route, owned, key)
        assert reply.status in ({401} if route.needs_key else {401, 404}), reply.body
        assert reply.headers["x-request-id"]


@pytest.mark.parametrize(("dialect", "route"), [each for each in ROUTES if "{" in each.values[1].path])
def test_what_is_another_accounts_is_not_found(live: Live, owned: Owned, dialect: Dialect, route: Route) -> None:
    if not route.needs_key or re.search(r"/models/|/collections/|/webhooks/|/trainings", route.path):
        pytest.skip("nobody's in particular, or guarded by a capability")
    reply = call(live, dialect, route, owned, live.test_key_2)
    assert reply.status == 404, reply.body


@pytest.fixture(scope="module")
def not_admins(live: Live) -> dict[str, str]:
    """Keys that may not administer, by what they are."""
    made = {
        "a caller's": live.keys("caller", mode="live")["key"],
        "one that only reads": live.keys("reader", mode="live", options=("--scope", "read"))["key"],
        "a caller's test key": live.test_key,
        "another account's": live.test_key_2,
    }
    return made | {"that was an admin's": _revoked(live)}


def _revoked(live: Live) -> str:
    key = live.keys("a former operator", mode="live", options=("--scope", "admin"))
    live.cli("keys", "revoke", key["id"])
    return key["key"]


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
def test_only_admins_administer(live: Live, not_admins: dict[str, str], method: str, path: str) -> None:
    body = {} if method == "POST" else None
    for key in (None, "sk-live-" + "x" * 43, not_admins["that was an admin's"]):
        reply = ask(live.url + path, method, key=key, body=body)
        assert (reply.status, reply.json["error"]["code"]) == (401, "unauthenticated")
    for kind in ("a caller's", "one that only reads", "a caller's test key", "another account's"):
        reply = ask(live.url + path, method, key=not_admins[kind], body=body)
        assert (reply.status, reply.json["error"]["code"]) == (403, "scope_missing"), kind
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-request-id"]
    reply = ask(live.url + path, method, key=live.admin_key, body=body)
    assert reply.status in (200, 400), reply.body
    assert reply.headers["cache-control"] == "no-store"


def test_an_admins_key_is_for_nothing_else(live: Live) -> None:
    assert ask(f"{live.url}/v1/tasks", key=live.admin_key).status == 403
    body = {"input": {"prompt": "x"}}
    reply = ask(f"{live.url}/replicate/v1/models/{MODEL}/predictions", "POST", key=live.admin_key, body=body)
    assert reply.status == 403


def test_live_and_test_do_not_see_each_other(live: Live, owned: Owned) -> None:
    account = live.keys("same account, live", mode="live")["key"]
    assert ask(f"{live.url}/replicate/v1/predictions/{owned.task}", key=account).status == 404
    assert ask(f"{live.url}/v1/tasks/{owned.task}", key=account).status == 404
    assert owned.task not in str(ask(f"{live.url}/v1/tasks", key=account).json)


def test_a_revoked_key_is_refused_at_once(live: Live) -> None:
    made = live.keys("short-lived")
    assert ask(f"{live.url}/replicate/v1/account", key=made["key"]).status == 200
    live.cli("keys", "revoke", made["id"])
    assert ask(f"{live.url}/replicate/v1/account", key=made["key"]).status == 401


def test_a_capability_opens_its_own_thing_only(live: Live, owned: Owned) -> None:
    urls = ask(f"{live.url}/replicate/v1/predictions/{owned.task}", key=live.test_key).json["urls"]
    url = f"{live.url}/replicate/v1/models/{MODEL}/predictions"
    other = ask(url, "POST", key=live.test_key, body={"input": {"prompt": "y"}}).json
    page = urls["web"]
    assert ask(page, accept="text/html").status == 200
    assert ask(page.replace(owned.task, other["id"]), accept="text/html").status == 404
    assert ask(page.rpartition("?")[0], accept="text/html").status == 404
    assert ask(urls["stream"].replace(owned.task, other["id"])).status == 404


@pytest.mark.parametrize("rpm", [3])
def test_a_rate_limit_says_when_to_come_back(live: Live, rpm: int) -> None:
    key = live.keys("limited", options=("--rpm", str(rpm)))["key"]
    replies = [ask(f"{live.url}/replicate/v1/account", key=key) for _ in range(rpm + 1)]
    assert [reply.status for reply in replies] == [200] * rpm + [429]
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
    assert "throttled" in replies[-1].json["detail"]


def test_a_concurrency_limit_counts_unfinished_tasks(live: Live) -> None:
    key = live.keys("one at a time", options=("--concurrency", "1"))["key"]
    url = f"{live.url}/replicate/v1/models/{MODEL}/predictions"
    first = ask(url, "POST", key=key, body={"input": {"prompt": "[[hang]]"}})
    second = ask(url, "POST", key=key, body={"input": {"prompt": "x"}})
    assert (first.status, second.status) == (201, 429)
    assert second.headers["retry-after"]
    ask(f"{live.url}/replicate/v1/predictions/{first.json['id']}/cancel", "POST", key=key)
    for _ in range(50):
        third = ask(url, "POST", key=key, body={"input": {"prompt": "x"}})
        if third.status == 201:
            return
        time.sleep(0.1)
    raise AssertionError(third.body)


def test_browsers_of_allowed_origins_may_ask(tmp_path: Path) -> None:
    with Live(tmp_path, environment={"PENSTOCK_CORS_ORIGINS": "https://app.example"}) as server:
        url = f"{server.url}/replicate/v1/account"
        asks = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
        before = ask(url, "OPTIONS", origin="https://app.example", **asks)
        assert before.status == 204
        assert before.headers["access-control-allow-origin"] == "https://app.example"
        assert "authorization" in before.headers["access-control-allow-headers"]
        answered = ask(url, key=server.test_key, origin="https://app.example")
        assert (answered.status, answered.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert "access-control-allow-origin" not in ask(url, key=server.test_key, origin="https://evil.example").headers
