from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.canonical.commands import List, Redeem, Show
from penstock.canonical.results import AccountCard, Bound, Entry, Explained, Quoted, Redeemed, Refund, Usage, UsageRow
from penstock.canonical.task import Page
from penstock.canonical.usage import Unit
from penstock.canonical.who import Caller, Group
from penstock.clock import SECOND, parse
from penstock.dialects._base import Dialect
from penstock.dialects.account import Account, as_csv, dollars
from penstock.dialects.billing import Billing
from penstock.dialects.quota import Quota
from penstock.errors import CallerError, Unauthenticated
from tests.unit.dialects.tasks import answered, asked, incoming

OURS, BILLING, QUOTA = Account(), Billing(), Quota()
ENDS = parse("2027-01-31T00:00:00Z")
CALLER = Caller(
    "k1", "a1", "acme", "live", "phone", rpm=60, group=Group("vip", multiplier=1_500_000), models=("openai/*",)
)
DAY = Bound("day", 3_000_000, 1_250_000, ENDS)
CARD = AccountCard(CALLER, 10_000_000, 500_000, 2_500_000, (DAY,), 4_000_000, 7)
ROW = UsageRow("2026-03-04", "acme/boat", "k1", "phone", 2, 30, 40, 1_500_000)


def told(dialect: Dialect, result: Any, target: str, method: str = "GET") -> Any:
    reply = answered(dialect, result, incoming(method, target))
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    return json.loads(reply.encoded())


def test_an_account_in_our_own_words() -> None:
    found = told(OURS, CARD, "/v1/account")
    assert (found["name"], found["mode"], found["balance"], found["held"]) == ("acme", "live", 10_000_000, 500_000)
    assert found["group"] == {"name": "vip", "models": None}
    key = found["key"]
    assert (key["name"], key["models"], key["spent"], key["left"]) == ("phone", ["openai/*"], 2_500_000, 1_750_000)
    assert key["limits"] == {"rpm": 60, "tpm": None, "concurrency": None}
    left = {"most": 3_000_000, "spent": 1_250_000, "left": 1_750_000, "begins_anew_at": "2027-01-31T00:00:00Z"}
    assert key["quotas"] == {"day": left}


money = st.integers(0, 10**15)


@given(money, money, st.lists(st.tuples(money, money), max_size=3))
def test_what_clients_reckon_is_what_the_key_has_left(balance: int, spent: int, quotas: list[tuple[int, int]]) -> None:
    bounds = tuple(Bound("day", most, used, None) for most, used in quotas)
    card = AccountCard(CALLER, balance, 0, spent, bounds, 0, 0)
    granted = told(BILLING, card, "/v1/dashboard/billing/subscription")["hard_limit_usd"]
    used = told(BILLING, card, "/dashboard/billing/usage")["total_usage"]
    left = min([balance, *(max(0, most - used) for most, used in quotas)])
    assert granted - used / 100 == pytest.approx(left / 1e6, rel=1e-9, abs=1e-6)
    bought = told(BILLING, card, "/v1/credits")["data"]
    assert bought["total_credits"] - bought["total_usage"] == pytest.approx(left / 1e6, rel=1e-9, abs=1e-6)
    units = told(QUOTA, card, "/api/usage/token")["data"]
    assert units["total_available"] == left // 2 == units["total_granted"] - units["total_used"]


def test_the_billing_pages() -> None:
    found = told(BILLING, CARD, "/v1/dashboard/billing/subscription")
    assert found["object"] == "billing_subscription"
    assert found["soft_limit_usd"] == found["hard_limit_usd"] == found["system_hard_limit_usd"] == 4.25
    assert found["access_until"] == 0
    assert told(BILLING, CARD, "/dashboard/billing/usage") == {"object": "list", "total_usage": 250.0}


def test_the_relays_pages() -> None:
    ending = AccountCard(Caller("k", "a", "acme", "live", "phone", expires_at=ENDS), 1, 0, 0, (), 0, 0)
    data = told(QUOTA, ending, "/api/usage/token")["data"]
    assert (data["name"], data["expires_at"]) == ("phone", ENDS // SECOND)
    assert (data["model_limits"], data["model_limits_enabled"], data["unlimited_quota"]) == ({}, False, False)
    assert told(QUOTA, CARD, "/api/usage/token")["data"]["model_limits"] == {"openai/*": True}
    others = UsageRow("2026-03-04", "", "k2", "another", 9, 0, 0, 9)
    usage = Usage("2026-03-04", "2026-03-04", ("day", "key"), (ROW, others))
    assert told(QUOTA, (CARD, usage), "/user/quota") == {
        "username": "acme",
        "total_quota": 10.0,
        "total_used_quota": 4.0,
        "request_count": 7,
        "keys": [{"name": "phone", "remain_quota": 1.75, "used_quota": 2.5}],
        "daily_quota": {"2026-03-04": [{"token_name": "phone", "quota_used": 1.5, "request_count": 2}]},
    }
    assert told(QUOTA, (ending, None), "/user/quota")["keys"][0]["remain_quota"] == -1


def test_errors_in_their_own_words() -> None:
    assert json.loads(BILLING.error(Unauthenticated()).encoded())["error"]["code"] == "invalid_api_key"
    assert json.loads(QUOTA.error(Unauthenticated()).encoded())["success"] is False
    assert json.loads(OURS.error(Unauthenticated()).encoded())["error"]["code"] == "unauthenticated"


def test_a_key_in_the_query_is_taken_where_tools_send_it() -> None:
    assert QUOTA.credential(incoming("GET", "/user/quota?key=sk-1")) == "sk-1"
    assert QUOTA.credential(incoming("GET", "/user/quota?key=sk-1", authorization="Bearer sk-2")) == "sk-2"
    assert QUOTA.credential(incoming("GET", "/api/usage/token?key=sk-1")) is None


def test_what_is_asked() -> None:
    assert asked(OURS, incoming("GET", "/v1/account")) == Show("account", "")
    http = incoming("GET", "/v1/account/usage?from=2026-03-01&to=2026-03-04&by=day,key")
    said = {"first": "2026-03-01", "last": "2026-03-04", "by": "day,key"}
    assert asked(OURS, http) == List("usage", filters=said)
    assert asked(OURS, incoming("GET", "/v1/account/entries?cursor=c&limit=7")) == List("entries", None, "c", 7)
    assert asked(OURS, incoming("GET", "/v1/account/charges/12")) == Show("charge", "12")
    assert asked(OURS, incoming("POST", "/v1/account/redeem", b'{"code": "pc-1"}')) == Redeem("pc-1")
    assert asked(QUOTA, incoming("GET", "/user/quota?start_date=2026-03-01")) == List("quota")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/v1/account/usage?format=xml", b""),
        ("GET", "/v1/account/entries?limit=0", b""),
        ("POST", "/v1/account/redeem", b"{}"),
        ("POST", "/v1/account/redeem", b'{"code": 7}'),
        ("POST", "/v1/account/redeem", b'{"code": "' + b"x" * 101 + b'"}'),
    ],
)
def test_what_makes_no_sense_is_refused(method: str, target: str, body: bytes) -> None:
    with pytest.raises(CallerError):
        asked(OURS, incoming(method, target, body))


@pytest.mark.parametrize(
    ("query", "dry"), [("", False), ("dry_run=1", True), ("a=b&dry_run=true", True), ("x_dry_run=1", False)]
)
def test_a_dry_run_is_asked_for_in_the_query(query: str, dry: bool) -> None:
    assert incoming("POST", f"/x?{query}").dry is dry


@pytest.mark.parametrize("value", ["0", "", "yes", "True"])
def test_an_unclear_dry_run_is_refused(value: str) -> None:
    with pytest.raises(CallerError):
        _ = incoming("POST", f"/x?dry_run={value}").dry


def test_a_quote_is_one_shape_in_all_dialects() -> None:
    quoted = Quoted("m", 5, 9, True, {"version": "v1", "source": "s", "multiplier": 1.0, "lines": []}, {Unit.RUN: 1})
    found = json.loads(OURS.quote(quoted).encoded())
    assert (found["object"], found["dry_run"], found["hold"], found["unit"]) == ("quote", True, 5, "micros")
    assert (found["balance"], found["enough"], found["bounds"]) == (9, True, {"run": 1})
    assert BILLING.quote(quoted).encoded() == OURS.quote(quoted).encoded()


# ── usage ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_usage_as_json() -> None:
    rows = (
        UsageRow("2026-03-04", "", "k1", "phone", 2, 30, 40, 1),
        UsageRow("2026-03-05", "", "k1", "phone", 1, 1, 1, 2),
    )
    found = told(OURS, Usage("2026-03-01", "2026-03-31", ("day", "key"), rows), "/v1/account/usage")
    counts = {"runs": 2, "input_tokens": 30, "output_tokens": 40, "amount": 1}
    assert found["rows"][0] == {"day": "2026-03-04", "key": "k1", "key_name": "phone"} | counts
    assert found["total"] == {"runs": 3, "input_tokens": 31, "output_tokens": 41, "amount": 3}
    assert (found["from"], found["to"], found["by"]) == ("2026-03-01", "2026-03-31", ["day", "key"])


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_no_cell_of_the_csv_is_a_formula(name: str) -> None:
    row = UsageRow("2026-03-04", name, "k1", name, 2, 30, 40, -1_500_000)
    lines = list(csv.reader(io.StringIO(as_csv(Usage("", "", ("day", "model", "key"), (row,))), newline="")))
    assert lines[0] == ["day", "model", "key", "key_name", "runs", "input_tokens", "output_tokens", "usd"]
    day, model, _, key, *counts = lines[1]
    assert (day, counts) == ("2026-03-04", ["2", "30", "40", "-1.500000"])
    assert model == key
    assert not model.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert model in (name, f"'{name}")


def test_csv_is_a_file_of_its_own() -> None:
    usage = Usage("2026-03-01", "2026-03-31", ("model",), (ROW,))
    reply = answered(OURS, usage, incoming("GET", "/v1/account/usage?format=csv"))
    assert reply.content_type == "text/csv; charset=utf-8"
    assert reply.headers["content-disposition"] == 'attachment; filename="usage-2026-03-01-2026-03-31.csv"'
    assert reply.body == b"model,runs,input_tokens,output_tokens,usd\r\nacme/boat,2,30,40,1.500000\r\n"


@pytest.mark.parametrize(
    ("amount", "words"), [(0, "0.000000"), (1, "0.000001"), (-1, "-0.000001"), (12_345_678, "12.345678")]
)
def test_dollars_to_the_last_micro(amount: int, words: str) -> None:
    assert dollars(amount) == words


# ── the books ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_entries_by_page() -> None:
    entry = Entry("e1", ENDS, "topup", None, 5, 0, {"reason": "paid"})
    found = told(OURS, Page([entry], next="e1"), "/v1/account/entries?limit=1&other=x")
    assert found["entries"][0]["at"] == "2027-01-31T00:00:00.000Z"
    assert found["entries"][0]["detail"] == {"reason": "paid"}
    assert found["next"] == "https://gw.example/v1/account/entries?limit=1&cursor=e1"
    assert told(OURS, Page([]), "/v1/account/entries")["next"] is None


def test_a_charge_explained() -> None:
    line = {"unit": "run", "amount": 1, "micros": 5, "per": 1, "comes_to": "5"}
    charge = Explained(
        *("12", "call", "r1", "m", ENDS, "k1", "v1", "operator", {"run": 1}, (line,), 1.0, 5, None, 0, 5, 5, False),
        refunds=(Refund(ENDS, 2, "blurred"),),
    )
    found = told(OURS, charge, "/v1/account/charges/12")
    assert (found["charge"], found["recomputed"], found["refunded"]) == (5, 5, 2)
    assert found["refunds"] == [{"at": "2027-01-31T00:00:00.000Z", "amount": 2, "reason": "blurred"}]


def test_a_redeemed_code() -> None:
    found = told(OURS, Redeemed(5, 9), "/v1/account/redeem", "POST")
    assert (found["amount"], found["balance"], found["currency"]) == (5, 9, "USD")
