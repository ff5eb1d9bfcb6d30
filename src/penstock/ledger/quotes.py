"""What work would cost, before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.canonical.usage import Micros, Unit
from penstock.ledger.rules import Rule


@dataclass(frozen=True, slots=True)
class Priced:
    """The rule that work would be charged by, the most that it can come to, and the most of each unit that this is
    reckoned with."""

    model: str
    rule: Rule
    hold: Micros
    bounds: Mapping[Unit, float] = field(default_factory=dict)
