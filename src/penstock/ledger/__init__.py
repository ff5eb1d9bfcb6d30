"""How much: the books, prices, and what work costs."""

from penstock.ledger.allowances import Allowances, Hold
from penstock.ledger.audit import check
from penstock.ledger.entries import adjust, hold, refund, release, settle, topup
from penstock.ledger.prices import Prices
from penstock.ledger.quotas import Quotas
from penstock.ledger.quotes import Priced
from penstock.ledger.rules import Charge, Rule

__all__ = [
    "Allowances",
    "Charge",
    "Hold",
    "Priced",
    "Prices",
    "Quotas",
    "Rule",
    "adjust",
    "check",
    "hold",
    "refund",
    "release",
    "settle",
    "topup",
]
