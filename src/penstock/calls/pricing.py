"""Whether a call can be made, where, at what price, and the most that it can come to."""

from __future__ import annotations

import re
from functools import lru_cache

from penstock.calls.work import Work
from penstock.canonical.usage import Micros
from penstock.canonical.who import TEST, Caller
from penstock.catalog import language
from penstock.context import Context
from penstock.errors import QuotaSpent, UnknownModel
from penstock.formats._base import Operation
from penstock.ledger import Prices, Rule
from penstock.ledger.rules import Line
from penstock.routing import Channels
from penstock.routing.planning import CallPlan, plan_call

FREE = Rule((), version="free")
LONGEST, MOST_CHOICES = 10_000_000, 1000
"""What a client may ask for at most, as far as money goes: the books hold 63 bits."""
NAME = re.compile(r"[^\s\x00-\x1f\x7f/?#%][^\x00-\x1f\x7f?#%]{0,199}")
"""What a model may be called: it goes into vendors' paths, into logs, and into the books."""
BROKE = b"[[broke]]"
"""A script of test mode: there is no money."""
UNCHARGED = frozenset({Operation.COUNT, Operation.MODERATE})
"""What vendors do for nothing; an operator may still set a price for a moderation model."""


def planned(ctx: Context, caller: Caller, work: Work) -> CallPlan | None:
    """Where the call can go, with its price rule noted; None where tokens shall be counted and nobody upstream does.

    Raises UnknownModel, Unpriced.
    """
    model = work.call.model
    known = is_known(ctx, caller, model)
    plan = plan_call(ctx, model, caller.mode, work.call.format, work.operation) if known else []
    if not known or not (plan or work.operation is Operation.COUNT):
        raise UnknownModel(f"The model {model[:200]!r} does not exist here, or this key may not use it.")
    work.rule = _rule(ctx, caller, model, work.operation)
    return plan or None


def is_known(ctx: Context, caller: Caller, model: str) -> bool:
    """A live key's models are those that a channel serves; a test key may also call what the catalogue and the sandbox
    know."""
    if not NAME.fullmatch(model) or ".." in model:
        return False
    scripted = model.startswith(language.SANDBOX)
    if caller.mode == TEST and (scripted or language.find(model) is not None):
        return not scripted or model.removeprefix(language.SANDBOX) in language.SCRIPTED
    return not scripted and bool(ctx.of(Channels).serving(model, calls=True))


def most(ctx: Context, work: Work) -> Micros:
    """What to hold. A client that bounds nothing is bounded by the model's context, or by the settings. What pictures
    come to is a guess; no more than a token a byte, which is noted as `work.most`.

    Raises QuotaSpent where a script says so.
    """
    rule, call = work.rule, work.call
    if work.caller.mode == TEST and BROKE in call.body:
        raise QuotaSpent()
    if rule is None or not rule.lines:
        return 0
    known = language.find(call.model)
    context = known.context if known else 0
    assumed = ctx.settings.longest_answer
    answered = 0
    if work.operation is Operation.CHAT:
        bound = call.most_tokens if call.most_tokens and call.most_tokens > 0 else min(context or assumed, assumed)
        answered = min(bound, LONGEST) * min(max(1, call.choices), MOST_CHOICES)
    held = rule.most_tokens(_within(context, work.size.most_tokens), answered)
    work.most = rule.most_tokens(_within(context, len(call.body)), answered) if work.size.media else held
    return held


def _within(context: int, tokens: int) -> int:
    return min(tokens, context) if context else tokens


def _rule(ctx: Context, caller: Caller, model: str, operation: Operation) -> Rule:
    """The operator's rule, else the list price; a test key needs neither. Raises Unpriced."""
    if operation is Operation.COUNT:
        return FREE
    listed = _listed(model)
    if listed is None and (caller.mode == TEST or operation in UNCHARGED):
        listed = FREE
    return ctx.of(Prices).rule(model, listed)


@lru_cache(4096)
def _listed(model: str) -> Rule | None:
    known = language.find(model)
    if known is None or not known.price:
        return None
    lines = tuple(Line(price.unit, price.micros, price.per, price.above) for price in known.price)
    return Rule(lines, version="catalog", source=language.source())
