"""What was read from another gateway, and what of it has no place here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from penstock.declared.document import Document

NAMED = 25
"""So many of a kind are named in one line of the report; the rest are counted."""
MICRO = Decimal("0.000001")
ROOMY = Context(prec=200)
"""Others may have set any price; whether it makes sense, applying tells."""


@dataclass(frozen=True, slots=True)
class Moved:
    """`skipped`: lines for people, each naming what was left behind, and why."""

    document: Document
    skipped: tuple[str, ...]


class Skipped:
    """Gathers what is left behind; things that stay for one reason share a line."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, kind: str, name: str, why: str) -> None:
        self._found.setdefault((kind, why), []).append(name)

    def lines(self) -> tuple[str, ...]:
        return tuple(f"{_counted(kind, names)}: {why}" for (kind, why), names in self._found.items())


class Names:
    """Makes names unique, and such as penstock takes: at most 100 printable characters, no spaces around them."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)

    def of(self, wanted: str, id: object) -> str:
        plain = "".join(each for each in " ".join(wanted.split()) if each.isprintable())[:80].strip()
        name = plain or f"#{id}"
        if name in self._taken:
            name = f"{name} #{id}"
        self._taken.add(name)
        return name


def usd(amount: Decimal) -> str:
    """Dollars as the document has them, to the micro-dollar."""
    return trimmed(amount.quantize(MICRO, ROUND_HALF_EVEN, ROOMY))


def trimmed(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def listed(models: Mapping[str, str]) -> tuple[str, ...]:
    """Our names and theirs, as a channel of the document has them."""
    return tuple(ours if ours == theirs else f"{ours}={theirs}" for ours, theirs in models.items())


def _counted(kind: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{kind} {names[0]}"
    more = f", and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,} {kind}s ({', '.join(names[:NAMED])}{more})"
