"""What an answer came to: the vendor's own count where it gave one, else an estimate that says so."""

from __future__ import annotations

import math
from collections.abc import Iterable

from penstock.calls.sizes import Size
from penstock.canonical.events import (
    Counted,
    Event,
    Finished,
    Grew,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolDelta,
    guessed_tokens,
)
from penstock.canonical.usage import INPUT_UNITS, OUTPUT_UNITS, Unit
from penstock.ledger.rules import MOST

SAID = (TextDelta, ReasoningDelta, ToolDelta, RefusalDelta)


class Meter:
    """Sees every event of one answer. `answers`: text is expected to come out, as from a chat and not an embedding."""

    __slots__ = ("_answers", "_counted", "_grew", "finished", "seen")

    def __init__(self, *, answers: bool = True) -> None:
        self._answers = answers
        self._counted: dict[Unit, float] = {}
        self._grew = 0.0
        self.finished = False
        self.seen = False

    def see(self, events: Iterable[Event]) -> None:
        for event in events:
            self.seen = True
            kind = type(event)
            if kind is Grew:
                self._grew += event.tokens  # type: ignore[union-attr]
            elif kind is Counted:
                self._counted.update(event.usage)  # type: ignore[union-attr]
            elif kind is Finished:
                self.finished = True
            elif kind in SAID:
                self._grew += guessed_tokens(event.text)  # type: ignore[union-attr]

    def usage(self, size: Size, *, whole: bool) -> tuple[dict[Unit, int], bool]:
        """Units, and whether any of them is an estimate. `whole`: the vendor said all that it had to say.

        Each report of the vendor replaced what it named of earlier ones, so one that is sent twice counts once. A count
        of output that came before the end is only its beginning.
        """
        counted = {unit: _whole(amount) for unit, amount in self._counted.items()}
        reported = [counted[unit] for unit in INPUT_UNITS if unit in counted]
        knows_input = bool(reported) and (whole or self.finished or any(reported))  # a stream may begin with zeros
        knows_output = any(unit in counted for unit in OUTPUT_UNITS)
        if knows_input and (not self._answers or (knows_output and (whole or self.finished))):
            return counted, False
        if not knows_input:
            counted[Unit.INPUT_TOKEN] = size.guessed_tokens
        if self._answers:
            known = sum(counted.get(unit, 0) for unit in OUTPUT_UNITS)
            more = math.ceil(self._grew) - known
            if more > 0 or not knows_output:
                counted[Unit.OUTPUT_TOKEN] = counted.get(Unit.OUTPUT_TOKEN, 0) + max(0, more)
        return counted, True


def _whole(amount: float) -> int:
    """What a vendor counted, within what the books hold."""
    if type(amount) is int and 0 <= amount <= MOST:
        return amount
    return math.ceil(min(max(0, amount), MOST))
