"""Whether a call can be made, where, at what price, and the most that it can come to."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

from penstock.access.admission import check_allowed
from penstock.calls.work import Work, begin
from penstock.canonical.commands import Call
from penstock.canonical.usage import Micros, Unit
from penstock.canonical.who import TEST, Caller
from penstock.catalog import language
from penstock.context import Context
from penstock.errors import QuotaSpent, UnknownModel, Unpriced
from penstock.formats._base import Operation
from penstock.ledger import Priced, Prices, Rule
from penstock.ledger.rules import Line
from penstock.routing import Aliases
from penstock.routing.planning import CallPlan, plan_call, serving, sticky

FREE = Rule((), version="free")
LONGEST, MOST_CHOICES = 10_000_000, 1000
"""What a client may ask for at most, as far as money goes: the books hold 63 bits."""
NAME = re.compile(r"[^\s\x00-\x1f\x7f/?#%][^\x00-\x1f\x7f?#%]{0,199}")
"""What a model may be called: it goes into vendors' paths, into logs, and into the books."""
BROKE = b"[[broke]]"
"""A script of test mode: there is no money."""
BOUNDED = (Unit.INPUT_TOKEN, Unit.OUTPUT_TOKEN)
UNCHARGED = frozenset({Operation.COUNT, Operation.MODERATE})
"""What vendors do for nothing; an operator may still set a price for a moderation model."""


def planned(ctx: Context, caller: Caller, work: Work) -> CallPlan | None:
    """Where the call can go, with its price rule noted; None where tokens shall be counted and nobody upstream does.

    Raises ModelForbidden, UnknownModel, Unpriced.
    """
    call, model = work.call, work.call.model
    targets = ctx.of(Aliases).targets(model)
    check_allowed(caller, model, targets)
    plan: CallPlan = []
    if _may_be_known(caller, model, targets):
        same = sticky(caller.account, model, call.body)
        plan = plan_call(ctx, model, caller.mode, call.format, work.operation, group=caller.group, sticky=same)
    if not plan and not (work.operation is Operation.COUNT and is_known(ctx, caller, model, targets)):
        raise UnknownModel(f"The model {model[:200]!r} does not exist here, or this key may not use it.")
    work.rule = _fitting(caller, _rule(ctx, caller, model, targets[0], work.operation), call.body)
    return plan or None


def quoted(ctx: Context, caller: Caller, call: Call) -> Priced:
    """What the call would hold and why. Raises what the call would, but for want of money."""
    work = begin(ctx, caller, call)
    if planned(ctx, caller, work) is None or work.rule is None:
        return Priced(call.model, FREE, 0)
    bounds = _bounds(ctx, work)
    return Priced(call.model, work.rule, most(ctx, work), dict(zip(BOUNDED, bounds, strict=True)))


def is_known(ctx: Context, caller: Caller, model: str, targets: tuple[str, ...]) -> bool:
    """A live key's models are those that a channel of its group serves; a test key may also call what the catalogue and
    the sandbox know."""
    if not _may_be_known(caller, model, targets):
        return False
    return caller.mode == TEST or bool(serving(ctx, model, caller.group, calls=True))


def _may_be_known(caller: Caller, model: str, targets: tuple[str, ...]) -> bool:
    """As far as can be told without the channels."""
    if not _is_name(model):
        return False
    if model.startswith(language.SANDBOX):
        return caller.mode == TEST and _scripted(model)
    return caller.mode != TEST or any(_scripted(target) or language.find(target) is not None for target in targets)


def _scripted(model: str) -> bool:
    return model.startswith(language.SANDBOX) and model.removeprefix(language.SANDBOX) in language.SCRIPTED


def most(ctx: Context, work: Work) -> Micros:
    """What to hold. A client that bounds nothing is bounded by the model's context, or by the settings. What pictures
    come to is a guess; no more than a token a byte, which is noted as `work.most`.

    Raises QuotaSpent where a script says so.
    """
    rule, call = work.rule, work.call
    if work.caller.mode == TEST and BROKE in call.body:
        raise QuotaSpent()
    if rule is None or rule.free:
        return 0
    asked, answered = _bounds(ctx, work)
    held = rule.most_tokens(asked, answered)
    work.most = held
    if work.size.media:
        work.most = rule.most_tokens(_within(_context(ctx, call.model), len(call.body)), answered)
    return held


def _bounds(ctx: Context, work: Work) -> tuple[int, int]:
    """The most tokens that can go in and come out."""
    call, context, assumed = work.call, _context(ctx, work.call.model), ctx.settings.longest_answer
    answered = 0
    if work.operation is Operation.CHAT:
        bound = call.most_tokens if call.most_tokens and call.most_tokens > 0 else min(context or assumed, assumed)
        answered = min(bound, LONGEST) * min(max(1, call.choices), MOST_CHOICES)
    return _within(context, work.size.most_tokens), answered


def _context(ctx: Context, model: str) -> int:
    known = language.find(ctx.of(Aliases).targets(model)[0])
    return known.context if known else 0


@lru_cache(4096)
def _is_name(model: str) -> bool:
    return NAME.fullmatch(model) is not None and ".." not in model


def _within(context: int, tokens: int) -> int:
    return min(tokens, context) if context else tokens


def _rule(ctx: Context, caller: Caller, model: str, target: str, operation: Operation) -> Rule:
    """The operator's rule for this name, else for the model that it stands for first, else the list price; a test key
    needs none. Raises Unpriced."""
    if operation is Operation.COUNT:
        return FREE
    prices, listed = ctx.of(Prices), _listed(target)
    if listed is None and (caller.mode == TEST or operation in UNCHARGED):
        listed = FREE
    name = model if target == model or prices.knows(model) else target
    return prices.rule(name, listed, caller.group.multiplier)


def _fitting(caller: Caller, rule: Rule, body: bytes) -> Rule:
    """The rule for what the client's body says, where that matters; a test key is never refused. Raises Unpriced."""
    if not rule.conditional:
        return rule
    try:
        return rule.fitting(_said(body))
    except Unpriced:
        if caller.mode == TEST:
            return FREE
        raise


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


@lru_cache(4096)
def _listed(model: str) -> Rule | None:
    known = language.find(model)
    if known is None or not known.price:
        return None
    lines = tuple(Line(price.unit, price.micros, price.per, price.above) for price in known.price)
    return Rule(lines, version="catalog", source=language.source())
