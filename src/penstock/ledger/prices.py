"""The operator's prices over time, and what holds now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from penstock.canonical.who import ONE
from penstock.clock import Nanos, now
from penstock.context import Context
from penstock.errors import CallerError, Unpriced
from penstock.ids import new_id
from penstock.ledger.lines import SPELT, check
from penstock.ledger.rules import Line, Rule
from penstock.store import Step, accounts

NEVER: Nanos = 2**63 - 1
KEPT_AT_ONCE = 10_000
Asked = tuple[str, tuple[Line, ...] | None, str, str, Nanos]


class Dated(msgspec.Struct, frozen=True):
    """A rule of the operator's: for one model, on the channel of this name (`""`: on all that have none of their own),
    from this moment on. `rule` None: from then on the list price holds."""

    id: str
    model: str
    channel: str
    starts_at: Nanos
    rule: Rule | None


class Prices:
    """All of them in memory; read at start, changed through `add`."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._dated: list[Dated] = []
        self._valid: dict[str, dict[str, Rule]] = {}
        self._until: Nanos = 0
        self._made: dict[tuple[str, str, int], Rule] = {}

    async def load(self) -> None:
        rows = await accounts.prices_of_all(self._ctx.store)
        self._dated = [_dated(*row) for row in rows]
        self._renew()

    def _renew(self) -> None:
        """What holds now, and until when. Rows come in the order of their beginnings, so the last one counts."""
        at = now()
        self._valid, self._until = defaultdict(dict), NEVER
        for dated in self._dated:
            if dated.starts_at > at:
                self._until = min(self._until, dated.starts_at)
            elif dated.rule is not None:
                self._valid[dated.model][dated.channel] = dated.rule
            else:
                self._valid[dated.model].pop(dated.channel, None)
        self._made.clear()

    async def add(
        self,
        model: str,
        lines: Sequence[Mapping[str, Any]] | None,
        source: str = "operator",
        *,
        channel: str = "",
        starts_at: Nanos = 0,
    ) -> Dated:
        """Set a model's price, from now on unless it is dated; None: the list price again. Raises CallerError where a
        line makes no sense. Work that exists keeps its price."""
        read = None if lines is None else read_lines(lines)
        [dated] = await self.add_all([(model, read, source, channel, starts_at)])
        return dated

    async def add_all(self, given: Iterable[Asked]) -> list[Dated]:
        """The same for many, all or none: for each its model, lines, source, channel, and beginning."""
        steps = {new_id(): asked for asked in given}
        await self._ctx.store.write(*[_step(id, *asked) for id, asked in steps.items()])
        await self.load()
        return [dated for dated in self._dated if dated.id in steps]

    def every(self) -> list[Dated]:
        """All there ever were, in the order in which they hold."""
        return list(self._dated)

    def now(self) -> dict[str, dict[str, Rule]]:
        """The rules that hold: by model, then by channel (`""`: all others)."""
        if now() >= self._until:
            self._renew()
        return {model: dict(rules) for model, rules in self._valid.items() if rules}

    def knows(self, model: str) -> bool:
        """Whether the operator has set a price for it that holds now."""
        if now() >= self._until:
            self._renew()
        return bool(self._valid.get(model))

    def rule(self, model: str, listed: Rule | None, multiplier: int = ONE) -> Rule:
        """The operator's rule, else the list price, for callers whose group pays so many millionths of it. Raises
        Unpriced."""
        if now() >= self._until:
            self._renew()
        own = self._valid.get(model)
        base = (own.get("") if own else None) or listed
        if base is None:
            raise Unpriced()
        if multiplier == ONE and (not own or own.keys() == {""}):
            return base
        key = model, base.id, multiplier
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= KEPT_AT_ONCE:
                self._made.clear()
            channels = {channel: rule for channel, rule in own.items() if channel} if own else {}
            made = self._made[key] = base.combined(channels, multiplier)
        return made


def read_lines(raw: Any) -> tuple[Line, ...]:
    """Lines as operators give them: `unit`, `micros`, `per`, `above`, `when`. Raises CallerError."""
    try:
        given = [{**line, **_spelt(line)} for line in raw]
        lines = msgspec.convert(given, tuple[Line, ...])
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise CallerError(f"not a price: {error}") from None
    if any(line.micros < 0 or line.per < 1 or line.above < 0 for line in lines):
        raise CallerError("not a price: amounts can't be negative")
    return lines


def _step(
    id: str, model: str, lines: tuple[Line, ...] | None, source: str, channel: str = "", starts_at: Nanos = 0
) -> Step:
    if not model:
        raise CallerError("a price needs a model")
    check(lines or ())
    return accounts.price(model, msgspec.json.encode(lines).decode(), source, channel, starts_at or now(), id)


def _spelt(line: Mapping[str, Any]) -> dict[str, Any]:
    unit, per = SPELT.get(str(line.get("unit")), (line.get("unit"), 1))
    return {"unit": unit, "per": int(line.get("per", 1)) * per}


def _dated(id: str, model: str, rule: str, source: str, at: Nanos, channel: str, starts_at: Nanos) -> Dated:
    lines = msgspec.json.decode(rule)
    own = None if lines is None else Rule(read_lines(lines), id, source)
    return Dated(id, model, channel, starts_at or at, own)
