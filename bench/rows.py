"""What is printed: one figure, what it is compared with, and whether it is what was aimed at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from bench.machine import Span

DISTURBED = 0.08
"""Where others took more than this part of the server's core, a figure is worth little."""

TRIES = 3


class Spanned(Protocol):
    @property
    def span(self) -> Span: ...


T = TypeVar("T", bound=Spanned)


def quietest(measure: Callable[[], T]) -> T:
    """Measure, and again where others disturbed it; the least disturbed counts."""
    results: list[T] = []
    while len(results) < TRIES and (not results or results[-1].span.foreign > DISTURBED):
        results.append(measure())
    return min(results, key=lambda result: result.span.foreign)


@dataclass(frozen=True)
class Row:
    """`at_least` or `at_most` is the target, in the unit of `figure`; neither where there is none."""

    what: str
    figure: float
    words: str
    beside: str = ""
    at_least: float | None = None
    at_most: float | None = None
    disturbed: float = 0.0

    @property
    def reached(self) -> bool | None:
        if self.at_least is not None:
            return self.figure >= self.at_least
        return self.figure <= self.at_most if self.at_most is not None else None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}"
        return f"≤ {self.at_most:,g}" if self.at_most is not None else ""

    @property
    def verdict(self) -> str:
        words = {True: "reached", False: "NOT reached", None: ""}[self.reached]
        return f"{words} (others took {self.disturbed:.0%} of the core)" if self.disturbed > DISTURBED else words

    def raw(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.reached}
