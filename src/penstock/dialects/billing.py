"""The balance as tools around OpenAI's API ask for it: OpenAI's old billing pages, OpenRouter's credits.

Source: new-api's `controller/billing.go`, OpenAI's dashboard of 2023, OpenRouter's page on credits; read 2026-11-21.
Units: dollars, and for `total_usage` of the billing pages cents.
Quirks: clients reckon `hard_limit_usd − total_usage / 100`, so that is what this key can still spend: the least of the
balance and what is left of its quotas. The dates of `usage` are ignored, as elsewhere: it is all that was ever spent.
"""

from __future__ import annotations

from penstock.canonical.commands import Show
from penstock.canonical.results import AccountCard
from penstock.clock import SECOND
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.dialects.openai import words
from penstock.errors import PenstockError

FRESH = {"cache-control": "no-store"}


def write_subscription(dialect: Dialect, card: AccountCard, http: Incoming) -> Outgoing:
    granted, expires_at = (card.left + card.spent) / 1e6, card.caller.expires_at
    body = {
        "object": "billing_subscription",
        "has_payment_method": True,
        "soft_limit_usd": granted,
        "hard_limit_usd": granted,
        "system_hard_limit_usd": granted,
        "access_until": 0 if expires_at is None else expires_at // SECOND,
    }
    return Outgoing(200, body, dict(FRESH))


def write_usage(dialect: Dialect, card: AccountCard, http: Incoming) -> Outgoing:
    return Outgoing(200, {"object": "list", "total_usage": card.spent / 1e4}, dict(FRESH))


def write_credits(dialect: Dialect, card: AccountCard, http: Incoming) -> Outgoing:
    data = {"total_credits": (card.left + card.spent) / 1e6, "total_usage": card.spent / 1e6}
    return Outgoing(200, {"data": data}, dict(FRESH))


class Billing(Dialect):
    name = "billing"
    prefixes = ("/v1", "")
    errors = words.WORDS

    @route("GET", "/dashboard/billing/subscription", write_subscription, counts=False)
    def subscription(self, http: Incoming) -> Show:
        """Show what this key may spend, and has spent, in all."""
        return Show("account", "")

    @route("GET", "/dashboard/billing/usage", write_usage, counts=False)
    def usage(self, http: Incoming) -> Show:
        """Show what this key has spent, in cents."""
        return Show("account", "")

    @route("GET", "/credits", write_credits, counts=False)
    def credits(self, http: Incoming) -> Show:
        """Show what this key may spend, and has spent, in dollars."""
        return Show("account", "")

    def error(self, exc: PenstockError) -> Outgoing:
        return words.error(exc, self.word(exc))
