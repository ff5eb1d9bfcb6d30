"""Callers ask for their account: in our own words, and in those that tools know; each sees its own books alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.fault.stage import until
from tests.live import Live

FLUX = "black-forest-labs/flux-schnell"
PATHS = [
    "/v1/account",
    "/v1/account/usage",
    "/v1/account/entries",
    "/v1/dashboard/billing/subscription",
    "/dashboard/billing/subscription",
    "/v1/dashboard/billing/usage",
    "/dashboard/billing/usage/",
    "/v1/credits",
    "/api/usage/token",
    "/api/usage/token/",
    "/user/quota",
]
CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Name a river in Norway."}]}


@dataclass(frozen=True)
class Spender:
    """A test key that has made a call and a task."""

    server: Live
    key: str
    call: str
    task: str

    def get(self, path: str, key: str | None = None) -> Reply:
        return ask(self.server.url + path, key=key or self.key)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("account")) as running:
        running.cli("prices", "set", "gpt-5-mini", "--run", "0.01", "--input-mtok", "3", "--output-mtok", "7")
        yield running


@pytest.fixture(scope="module")
def spender(server: Live) -> Spender:
    key = server.keys("phone", account="acme")["key"]
    call = ask(f"{server.url}/v1/chat/completions", "POST", key=key, body=CHAT)
    url = f"{server.url}/replicate/v1/models/{FLUX}/predictions"
    task = ask(url, "POST", key=key, body={"input": {"prompt": "x"}}, prefer="wait")
    assert (call.status, task.json["status"]) == (200, "succeeded")
    return Spender(server, key, call.headers["x-request-id"], task.json["id"])


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_and_is_never_kept(spender: Spender, path: str) -> None:
    reply = spender.get(path)
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    assert ask(spender.server.url + path).status == 401


def test_all_say_the_same(spender: Spender) -> None:
    account = spender.get("/v1/account").json
    left, spent = account["key"]["left"], account["key"]["spent"]
    assert left == account["balance"] == 1_000_000_000 - spent
    assert spent > 10_000
    limit = spender.get("/v1/dashboard/billing/subscription").json["hard_limit_usd"]
    used = spender.get("/v1/dashboard/billing/usage").json["total_usage"]
    assert limit - used / 100 == pytest.approx(left / 1e6)
    assert spender.get("/api/usage/token").json["data"]["total_used"] == spent // 2
    quota = ask(f"{spender.server.url}/user/quota?key={spender.key}").json
    assert quota["total_used_quota"] == pytest.approx(spent / 1e6)
    assert (quota["request_count"], [key["name"] for key in quota["keys"]]) == (2, ["phone"])
    usage = spender.get("/v1/account/usage?by=model,key").json
    assert usage["total"]["amount"] == spent
    assert {row["model"]: row["runs"] for row in usage["rows"]} == {"gpt-5-mini": 1, FLUX: 1}
    day = usage["to"]
    daily = spender.get(f"/user/quota?start_date={day}&end_date={day}").json["daily_quota"]
    assert daily[day][0]["request_count"] == 2


def test_usage_as_csv(spender: Spender) -> None:
    odd = spender.server.keys("=1+1", account="acme")["key"]
    ask(f"{spender.server.url}/v1/chat/completions", "POST", key=odd, body=CHAT)
    reply = spender.get("/v1/account/usage?by=key&format=csv")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert sorted(row["key_name"] for row in rows) == ["'=1+1", "phone"]
    assert all(float(row["usd"]) > 0 for row in rows)


@pytest.mark.parametrize(
    "query", ["from=yesterday", "from=2026-3-4", "from=2026-03-05&to=2026-03-04", "by=colour", "to=9999-13-01"]
)
def test_odd_questions_about_usage_are_refused(spender: Spender, query: str) -> None:
    reply = spender.get(f"/v1/account/usage?{query}")
    assert (reply.status, reply.json["error"]["code"]) == (400, "bad_request")


def test_the_books_by_pages(spender: Spender) -> None:
    found, url = [], "/v1/account/entries?limit=2"
    while url:
        page = spender.get(url).json
        assert len(page["entries"]) <= 2
        found += page["entries"]
        url = (page["next"] or "").removeprefix(spender.server.url)
    assert found == spender.get("/v1/account/entries").json["entries"]
    assert found[-1]["kind"] == "topup"
    assert {"hold", "settle", "draw"} <= {entry["kind"] for entry in found}
    assert [entry["id"] for entry in found] == sorted([entry["id"] for entry in found], reverse=True)


def test_a_call_is_explained_by_its_request_and_by_its_number(spender: Spender) -> None:
    found = spender.get(f"/v1/account/charges/{spender.call}").json
    assert found == spender.get(f"/v1/account/charges/{found['id']}").json
    assert found["charge"] == found["total"] == found["recomputed"] > 10_000
    assert {line["unit"] for line in found["lines"]} == {"run", "input_token", "output_token"}
    assert sum(float(line["comes_to"]) for line in found["lines"]) == pytest.approx(found["total"], abs=1)
    assert (found["work"], found["request"], found["source"]) == ("call", spender.call, "operator")


def test_a_task_is_explained(spender: Spender) -> None:
    found = spender.get(f"/v1/account/charges/{spender.task}").json
    cost = spender.get(f"/v1/tasks/{spender.task}").json["cost"]
    assert (found["work"], found["held"], found["charge"]) == ("task", cost["hold"], cost["charge"])
    assert found["recomputed"] == cost["charge"] > 0


def test_a_response_of_the_background_is_explained(spender: Spender) -> None:
    body = {"model": "gpt-5-mini", "input": "Hi", "background": True}
    made = ask(f"{spender.server.url}/v1/responses", "POST", key=spender.key, body=body).json
    url = f"{spender.server.url}/v1/responses/{made['id']}"
    while made["status"] in ("queued", "in_progress"):
        made = ask(url, key=spender.key).json
    found = spender.get(f"/v1/account/charges/{made['id']}").json
    assert found["work"] == "task"
    assert found["recomputed"] == found["charge"] > 10_000


def test_what_is_not_ones_own_is_not_found(spender: Spender) -> None:
    number = spender.get(f"/v1/account/charges/{spender.call}").json["id"]
    stranger = spender.server.keys("stranger", account="strangers")["key"]
    live = spender.server.keys("live", account="acme", mode="live")["key"]
    for key in (stranger, live):
        for id in (spender.call, spender.task, number):
            assert spender.get(f"/v1/account/charges/{id}", key).status == 404
        assert spender.get("/v1/account", key).json["key"]["spent"] == 0
        assert spender.get("/v1/account/usage", key).json["rows"] == []
    assert spender.get("/v1/account", live).json["balance"] == 0
    assert spender.get("/v1/account/entries", live).json["entries"] == []
    for id in ("0", "9" * 19, "9" * 30, "x", "-1", "%00"):
        assert spender.get(f"/v1/account/charges/{id}").status == 404


def test_an_exhausted_key_may_look(server: Live) -> None:
    made = server.keys("spent", account="spent", options=("--quota-day", "0.02", "--rpm", "2"))
    url = f"{server.url}/v1/chat/completions"
    refused = ask(url, "POST", key=made["key"], body=CHAT | {"max_tokens": 16_384})
    assert refused.status in (402, 403)
    for path in PATHS * 2:
        assert ask(server.url + path, key=made["key"]).status == 200, "and that is not counted"
    key = ask(f"{server.url}/v1/account", key=made["key"]).json["key"]
    quota = key["quotas"]["day"]
    assert (quota["most"], quota["spent"], quota["left"], key["left"]) == (20_000, 0, 20_000, 20_000)
    assert quota["begins_anew_at"].endswith("T00:00:00Z")
    subscription = ask(f"{server.url}/dashboard/billing/subscription", key=made["key"]).json
    assert subscription["hard_limit_usd"] == pytest.approx(0.02)


def test_what_is_held_is_said(server: Live) -> None:
    key = server.keys("holds", account="holds")["key"]
    task = ask(
        f"{server.url}/replicate/v1/models/{FLUX}/predictions", "POST", key=key, body={"input": {"prompt": "[[hang]]"}}
    ).json
    account = ask(f"{server.url}/v1/account", key=key).json
    assert account["held"] == ask(f"{server.url}/v1/tasks/{task['id']}", key=key).json["cost"]["hold"] > 0
    assert account["balance"] + account["held"] == 1_000_000_000
    charge = ask(f"{server.url}/v1/account/charges/{task['id']}", key=key).json
    assert (charge["charge"], charge["held"]) == (None, account["held"])
    ask(f"{server.url}/v1/tasks/{task['id']}/cancel", "POST", key=key)
    until(lambda: ask(f"{server.url}/v1/account", key=key).json["held"] == 0 or None, 10)


# ── codes, refunds, corrections ───────────────────────────────────────────────────────────────────────────────────────


def at_once(work: Any, count: int) -> list[Any]:
    with ThreadPoolExecutor(count) as threads:
        return [each.result() for each in [threads.submit(work, number) for number in range(count)]]


def redeem(server: Live, key: str, code: Any) -> Reply:
    return ask(f"{server.url}/v1/account/redeem", "POST", key=key, body={"code": code})


def test_a_code_is_redeemed_once_by_whoever_is_first(server: Live) -> None:
    keys = [server.keys("live", account=f"redeemer {number}", mode="live")["key"] for number in range(4)]
    [made] = json.loads(server.cli("codes", "create", "5.25", "--reason", "a present", "--json"))
    replies = at_once(lambda number: redeem(server, keys[number % 4], made["code"]), 12)
    assert sorted(reply.status for reply in replies) == [200] + [404] * 11
    first = next(reply for reply in replies if reply.status == 200)
    assert (first.json["amount"], first.json["balance"]) == (5_250_000, 5_250_000)
    balances = [ask(f"{server.url}/v1/account", key=key).json["balance"] for key in keys]
    assert sorted(balances) == [0, 0, 0, 5_250_000]
    [listed] = [code for code in json.loads(server.cli("codes", "list", "--json")) if code["id"] == made["id"]]
    assert listed["redeemed_by"].startswith("redeemer")
    assert made["code"] not in str(listed)


def test_guessing_codes_is_stopped(server: Live) -> None:
    live, test = (server.keys("guesses", account="guessers", mode=mode)["key"] for mode in ("live", "test"))
    [made] = json.loads(server.cli("codes", "create", "1", "--json"))
    assert redeem(server, test, made["code"]).status == 403
    assert [redeem(server, live, f"pc-{number}").status for number in range(11)] == [404] * 10 + [429]
    refused = redeem(server, live, made["code"])
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 3000
    server.cli("codes", "revoke", made["code"][:8])
    other = server.keys("another", account="guessers", mode="live")["key"]
    assert redeem(server, other, made["code"]).status == 404
    assert [redeem(server, other, code).status for code in (None, 7, "", "x" * 101)] == [400] * 4


def test_refunds_at_once_give_back_no_more_than_was_charged(server: Live) -> None:
    key = server.keys("refunded", account="refunded")["key"]
    call = ask(f"{server.url}/v1/chat/completions", "POST", key=key, body=CHAT).headers["x-request-id"]
    charged = ask(f"{server.url}/v1/account/charges/{call}", key=key).json["charge"]

    def refund(number: int) -> bool:
        try:
            server.cli("calls", "refund", call, "0.004", "--reason", f"blurred {number}")
        except RuntimeError:
            return False
        return True

    assert sum(at_once(refund, 6)) == charged // 4000
    found = ask(f"{server.url}/v1/account/charges/{call}", key=key).json
    assert found["refunded"] == charged // 4000 * 4000
    account = ask(f"{server.url}/v1/account", key=key).json
    assert account["key"]["spent"] == 1_000_000_000 - account["balance"] == charged - found["refunded"]
    assert ask(f"{server.url}/v1/account/usage", key=key).json["total"]["amount"] == charged - found["refunded"]
    assert "balance" in server.cli("ledger", "check")


def test_operators_correct_regroup_and_sum_up(server: Live, spender: Spender) -> None:
    server.cli("accounts", "create", "odd")
    server.cli("accounts", "topup", "odd", "2")
    server.cli("accounts", "adjust", "odd", "-1.5", "--reason", "paid twice")
    with pytest.raises(RuntimeError, match="less than that"):
        server.cli("accounts", "adjust", "odd", "-0.6", "--reason", "again")
    [odd] = [each for each in json.loads(server.cli("accounts", "list", "--json")) if each["name"] == "odd"]
    assert (odd["live"], odd["group"]) == (500_000, "default")
    lines = server.cli("accounts", "usage", "acme", "--test", "--by", "model", "--csv").splitlines()
    assert lines[0] == "model,runs,input_tokens,output_tokens,usd"
    explained = server.cli("ledger", "explain", spender.call)
    assert "0.01 USD" in explained
    again = json.loads(server.cli("ledger", "explain", spender.task, "--json"))
    assert again["recomputed"] == again["charge"]


def test_an_account_changes_its_group_at_once(server: Live) -> None:
    key = server.keys("moves", account="movers")["key"]
    with pytest.raises(RuntimeError, match="no group"):
        server.cli("accounts", "change", "movers", "--group", "vip")
    server.cli("groups", "set", "vip", "--multiplier", "1.5")
    server.cli("accounts", "change", "movers", "--group", "vip")
    assert ask(f"{server.url}/v1/account", key=key).json["group"]["name"] == "vip"
    call = ask(f"{server.url}/v1/chat/completions", "POST", key=key, body=CHAT).headers["x-request-id"]
    found = ask(f"{server.url}/v1/account/charges/{call}", key=key).json
    assert found["recomputed"] == found["charge"]
    assert {(line["unit"], line["micros"] / line["per"]) for line in found["lines"]} == {
        ("input_token", 4.5),
        ("output_token", 10.5),
        ("run", 15_000.0),
    }
    told = json.loads(server.cli("ledger", "explain", call, "--json"))
    assert (told["multiplier"], told["recomputed"]) == (1.5, found["charge"])
