"""The balance as relays' own tools ask for it: new-api's `/api/usage/token`, and `/user/quota`.

Source: new-api's `controller/token.go`, the balance pages of DeerAPI and CometAPI; read 2026-11-21.
Units: `/api/usage/token` counts in 500,000ths of a dollar, `/user/quota` in dollars.
Quirks: `code` is a boolean. Elsewhere `/user/quota` shows all keys of a user; here a key sees itself alone. `key=` in
the query is taken there, since those tools send no header.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from penstock.canonical.commands import List, Show
from penstock.canonical.results import AccountCard, Usage
from penstock.canonical.usage import Micros
from penstock.clock import SECOND
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.errors import PenstockError

FRESH = {"cache-control": "no-store"}
MICROS_EACH = 2
"""A unit of quota: 500,000 are a dollar."""


def write_token(dialect: Dialect, card: AccountCard, http: Incoming) -> Outgoing:
    caller = card.caller
    used, available = card.spent // MICROS_EACH, card.left // MICROS_EACH
    data = {
        "object": "token_usage",
        "name": caller.name,
        "total_granted": used + available,
        "total_used": used,
        "total_available": available,
        "unlimited_quota": False,  # without a quota of its own a key is bounded by its account's balance
        "model_limits": dict.fromkeys(caller.models or (), True),
        "model_limits_enabled": caller.models is not None,
        "expires_at": 0 if caller.expires_at is None else caller.expires_at // SECOND,
    }
    return Outgoing(200, {"code": True, "message": "ok", "data": data}, dict(FRESH))


def write_quota(dialect: Dialect, told: tuple[AccountCard, Usage | None], http: Incoming) -> Outgoing:
    card, usage = told
    caller = card.caller
    key = {"name": caller.name, "remain_quota": _usd(card.left) if card.bounds else -1, "used_quota": _usd(card.spent)}
    body: dict[str, Any] = {
        "username": caller.account_name,
        "total_quota": _usd(card.balance),
        "total_used_quota": _usd(card.spent_in_all),
        "request_count": card.runs,
        "keys": [key],
    }
    if usage is not None:
        body["daily_quota"] = _daily(usage, caller.key)
    return Outgoing(200, body, dict(FRESH))


def _daily(usage: Usage, key: str) -> dict[str, list[dict[str, Any]]]:
    days: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in usage.rows:
        if row.key == key:
            said = {"token_name": row.key_name, "quota_used": _usd(row.amount), "request_count": row.runs}
            days[row.day].append(said)
    return days


def _usd(amount: Micros) -> float:
    return amount / 1e6


class Quota(Dialect):
    name = "quota"

    def credential(self, http: Incoming) -> str | None:
        return http.bearer() or (http.query.get("key") if http.target.startswith("/user/") else None)

    @route("GET", "/api/usage/token", write_token, counts=False)
    def token(self, http: Incoming) -> Show:
        """Show what this key may spend, and has spent, in 500,000ths of a dollar."""
        return Show("account", "")

    @route("GET", "/user/quota", write_quota, counts=False)
    def quota(self, http: Incoming) -> List:
        """Show the account's balance and this key's, in dollars; with two dates also what it spent on each day."""
        days = {"first": http.query.get("start_date", ""), "last": http.query.get("end_date", "")}
        return List("quota", filters=days if all(days.values()) else {})

    def word(self, exc: PenstockError) -> str:
        return exc.code

    def error(self, exc: PenstockError) -> Outgoing:
        return Outgoing(exc.status, {"success": False, "message": str(exc), "code": self.word(exc)})
