"""Which models are served, and what they cost: for those who look the gateway over, and as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from penstock.access import Groups
from penstock.canonical.usage import Unit
from penstock.catalog import language
from penstock.catalog.loaded import catalog
from penstock.context import Context
from penstock.ledger import Prices
from penstock.ledger.rules import Line
from penstock.routing import Aliases, Channels
from penstock.routing.channels import Row, upstream_name
from penstock.routing.planning import PRETENDED

Lines = tuple[Line, ...]
Listed = dict[str, tuple[Lines, str]]
"""By model, its lines and where they are from."""


class Offering:
    """What there is as of one moment."""

    def __init__(self, ctx: Context) -> None:
        self._aliases, self._channels, self._groups = ctx.of(Aliases), ctx.of(Channels), ctx.of(Groups)
        self._own = ctx.of(Prices).now()
        self.listed = _listed(ctx)

    # prices

    def list_price(self, model: str) -> tuple[Lines, str]:
        """Also by another's name for it, as calls have it (`openai/gpt-4o`). No lines where there are none."""
        known = language.find(model)
        return self.listed.get(model) or self.listed.get(known.name if known else "") or ((), "")

    def charged_as(self, model: str) -> str:
        """The name whose price counts: its own where it has one, else that of the model that it stands for first."""
        return model if model in self._own else self._aliases.targets(model)[0]

    def lines(self, model: str) -> Lines | None:
        """What it costs wherever no channel has a price of its own. None: nothing is set, so live keys can't use it."""
        own = self._own.get(self.charged_as(model), {}).get("")
        return own.lines if own else self.list_price(self._aliases.targets(model)[0])[0] or None

    def dearer(self, alias: str) -> Iterator[str]:
        """What an alias falls back on though it is charged at less than that costs."""
        charged = _each(self.lines(alias) or ())
        for model in self._aliases.targets(alias)[1:]:
            own = self._own.get(model, {}).get("")
            costs = _each(own.lines if own else self.list_price(model)[0])
            if any(costs[unit] > charged[unit] for unit in charged.keys() & costs.keys()):
                yield model

    # channels

    def serving(self, model: str) -> list[str]:
        """The channels that do, each once."""
        found = (*self._channels.serving(model), *self._channels.serving(model, calls=True))
        return list(dict.fromkeys(channel.name for channel, _ in found))

    def answers(self, model: str) -> bool:
        """Whether it is for calls."""
        return bool(self._channels.serving(model, calls=True))

    def unserved(self, name: str) -> list[str]:
        """What of a model, or of all that an alias stands for, no channel serves now."""
        return [
            model
            for model in self._aliases.targets(name)
            if not model.startswith(PRETENDED) and not self.serving(model)
        ]

    def is_served(self, name: str) -> bool:
        return len(self.unserved(name)) < len(self._aliases.targets(name))

    def is_on(self, channel: str, model: str) -> bool:
        found = self._channels.named(channel)
        return found is not None and any(upstream_name(found, each) for each in self._aliases.targets(model))

    def named(self) -> list[str]:
        """The models that channels in use name one by one."""
        rows = [row for row in self._channels.rows() if not row.given["disabled"]]
        return sorted({ours for row in rows for ours in _named(row)})

    def language(self) -> list[str]:
        """Models that no catalogue file has, and some channel serves: named by it, known, or priced."""
        known = {each.name for each in language.every()}
        names = {*self.named(), *(name for name in (*known, *self._own) if self.answers(name))}
        return sorted(name for name in names if not name.startswith(PRETENDED))

    # what is probably a mistake

    def unpriced(self) -> list[str]:
        free = language.MODERATION
        return [name for name in self.named() if name not in free and self.lines(name) is None]

    def idle_aliases(self) -> list[str]:
        return [name for name in self._aliases.every() if not self.is_served(name)]

    def idle_prices(self) -> list[str]:
        return [name for name in self._own if not self.is_served(name)]

    def idle_patterns(self) -> list[str]:
        names = [row.name for row in self._channels.rows()]
        return [
            f"{group.name} ({pattern})"
            for group in self._groups.every()
            for pattern in group.channels or ()
            if not any(fnmatchcase(name, pattern) for name in names)
        ]

    def hidden_by(self, alias: str) -> list[str]:
        """The channels that serve a model by this name which can't be called, for the name means another."""
        if alias in self._aliases.every().get(alias, (alias,)):
            return []
        return [row.name for row in self._channels.rows() if alias in _named(row)]

    def hidden_on(self, channel: str) -> list[str]:
        """The other way round: names of a channel's that mean something else."""
        return [name for name in _named(self._channels.row(channel)) if self.hidden_by(name)]


def _named(row: Row) -> list[str]:
    return [ours for ours in row.given["models"] if "*" not in ours]


def _listed(ctx: Context) -> Listed:
    spoken = {known.name: (_lines(known.price), language.source()) for known in language.every() if known.price}
    made = {
        model.path: (_lines(model.prices), model.prices[0].source) for model in catalog(ctx).models() if model.prices
    }
    return made | spoken


def _lines(prices: Sequence[Any]) -> Lines:
    return tuple(Line(price.unit, price.micros, price.per, price.above, getattr(price, "when", {})) for price in prices)


def _each(lines: Sequence[Line] | None) -> dict[Unit, Fraction]:
    """The plain price of each unit."""
    return {line.unit: Fraction(line.micros, line.per) for line in lines or () if not line.above and not line.when}
