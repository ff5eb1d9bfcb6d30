"""Our own API of a caller's account: what it has, what it spent and on what, how each charge came about, codes."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import to_builtins

from penstock.canonical.commands import List, Redeem, Show
from penstock.canonical.results import AccountCard, Bound, Entry, Explained, Redeemed, Usage, UsageRow
from penstock.canonical.task import Page
from penstock.canonical.usage import Micros
from penstock.clock import Nanos, rfc3339
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.errors import CallerError, PenstockError

FRESH = {"cache-control": "no-store"}
MONEY = {"currency": "USD", "unit": "micros"}
COUNTS = ("runs", "input_tokens", "output_tokens")
ENTRIES_MOST = 100
CODE_MOST = 100
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def write_account(dialect: Dialect, card: AccountCard, http: Incoming) -> Outgoing:
    caller = card.caller
    group = caller.group
    key = {
        "id": caller.key,
        "name": caller.name,
        "expires_at": _time(caller.expires_at),
        "scopes": sorted(caller.scopes),
        "models": caller.models,
        "networks": [str(network) for network in caller.networks],
        "limits": {"rpm": caller.rpm, "tpm": caller.tpm, "concurrency": caller.concurrency},
        "spent": card.spent,
        "quotas": {bound.period: _bound(bound) for bound in card.bounds},
        "left": card.left,
    }
    body = {
        "object": "account",
        "id": caller.account,
        "name": caller.account_name,
        "mode": caller.mode,
        "group": {"name": group.name, "models": group.models},
        "balance": card.balance,
        "held": card.held,
        **MONEY,
        "key": key,
    }
    return Outgoing(200, body, dict(FRESH))


def _bound(bound: Bound) -> dict[str, Any]:
    return {"most": bound.most, "spent": bound.spent, "left": bound.left, "begins_anew_at": _time(bound.anew_at)}


def write_usage(dialect: Dialect, usage: Usage, http: Incoming) -> Outgoing:
    if http.query.get("format") == "csv":
        name = f"usage-{usage.first}-{usage.last}.csv"
        headers = FRESH | {"content-disposition": f'attachment; filename="{name}"'}
        return Outgoing(200, as_csv(usage).encode(), headers, "text/csv; charset=utf-8")
    total = {name: sum(getattr(row, name) for row in usage.rows) for name in (*COUNTS, "amount")}
    rows = [_named(usage, row) | {name: getattr(row, name) for name in total} for row in usage.rows]
    body = {"object": "usage", "from": usage.first, "to": usage.last, "by": usage.by, **MONEY, "rows": rows}
    return Outgoing(200, body | {"total": total}, dict(FRESH))


def _named(usage: Usage, row: UsageRow) -> dict[str, str]:
    named = {name: getattr(row, name) for name in usage.by}
    return named | ({"key_name": row.key_name} if "key" in usage.by else {})


def as_csv(usage: Usage) -> str:
    """Amounts in dollars, to the last micro. What spreadsheets would take for a formula gets an apostrophe."""
    out = io.StringIO()
    lines = csv.writer(out)
    names = [*usage.by, *(["key_name"] if "key" in usage.by else [])]
    lines.writerow([*names, *COUNTS, "usd"])
    for row in usage.rows:
        words = [_plain(word) for word in _named(usage, row).values()]
        lines.writerow([*words, *(getattr(row, name) for name in COUNTS), dollars(row.amount)])
    return out.getvalue()


def _plain(word: str) -> str:
    return f"'{word}" if word.startswith(FORMULA) else word


def dollars(amount: Micros) -> str:
    whole, micros = divmod(abs(amount), 1_000_000)
    return f"{'-' if amount < 0 else ''}{whole}.{micros:06d}"


def write_entries(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    kept = {name: value for name, value in http.query.items() if name == "limit"}
    following = (
        f"{http.links.base}{quote(http.target)}?{urlencode(kept | {'cursor': page.next})}" if page.next else None
    )
    entries = [_entry(entry) for entry in page.results]
    return Outgoing(200, {"object": "list", **MONEY, "entries": entries, "next": following}, dict(FRESH))


def _entry(entry: Entry) -> dict[str, Any]:
    return {**to_builtins(entry), "at": rfc3339(entry.at, 3)}


def write_charge(dialect: Dialect, charge: Explained, http: Incoming) -> Outgoing:
    body = {"object": "charge", **to_builtins(charge), **MONEY, "at": rfc3339(charge.at, 3)}
    del body["multiplier"]  # it is in the lines
    refunds = [to_builtins(refund) | {"at": rfc3339(refund.at, 3)} for refund in charge.refunds]
    return Outgoing(200, body | {"refunds": refunds, "refunded": charge.refunded}, dict(FRESH))


def write_redeemed(dialect: Dialect, redeemed: Redeemed, http: Incoming) -> Outgoing:
    body = {"object": "redeemed", "amount": redeemed.amount, "balance": redeemed.balance, **MONEY}
    return Outgoing(200, body, dict(FRESH))


class Account(Dialect):
    name = "account"

    @route("GET", "/v1/account", write_account, counts=False)
    def account(self, http: Incoming) -> Show:
        """Show the account: its balance, and what this key may and has spent."""
        return Show("account", "")

    @route("GET", "/v1/account/usage", write_usage, counts=False)
    def usage(self, http: Incoming) -> List:
        """Sum up what was spent, by day, model, and key, as JSON or CSV."""
        query = http.query
        if query.get("format", "json") not in ("json", "csv"):
            raise CallerError("format must be json or csv")
        said = {"first": query.get("from", ""), "last": query.get("to", ""), "by": query.get("by", "")}
        return List("usage", filters=said)

    @route("GET", "/v1/account/entries", write_entries, counts=False)
    def entries(self, http: Incoming) -> List:
        """List the entries of the books, newest first."""
        return List("entries", cursor=http.query.get("cursor") or None, limit=_limit(http.query.get("limit")))

    @route("GET", "/v1/account/charges/{id}", write_charge, counts=False)
    def charge(self, http: Incoming) -> Show:
        """Explain a charge, by the id of its task or request, or its number."""
        return Show("charge", http.path["id"])

    @route("POST", "/v1/account/redeem", write_redeemed)
    def redeem(self, http: Incoming) -> Redeem:
        """Redeem a code: its money goes to the account."""
        code = http.json_object().get("code")
        if not isinstance(code, str) or not 0 < len(code) <= CODE_MOST:
            raise CallerError("the request body must have a code, as a string")
        return Redeem(code)

    def word(self, exc: PenstockError) -> str:
        return exc.code

    def error(self, exc: PenstockError) -> Outgoing:
        return Outgoing(exc.status, {"error": {"code": self.word(exc), "message": str(exc)}})


def _limit(said: str | None) -> int:
    if not said:
        return ENTRIES_MOST
    if not (said.isascii() and said.isdigit() and int(said[:9]) > 0):
        raise CallerError(f"limit must be 1 to {ENTRIES_MOST}")
    return min(int(said[:9]), ENTRIES_MOST)


def _time(at: Nanos | None) -> str | None:
    return None if at is None else rfc3339(at)
