"""What is held is the most that an input can come to, whatever else the input says."""

from __future__ import annotations

import pytest

from penstock.canonical.usage import Unit
from penstock.ledger import Rule
from penstock.ledger.rules import Line
from penstock.tasks.costs import most

TOKENS = Rule((Line(Unit.OUTPUT_TOKEN, 10),))
OUTPUTS = Rule((Line(Unit.OUTPUT, 10),))


@pytest.mark.parametrize(
    ("rule", "input", "held"),
    [
        (TOKENS, {"max_tokens": 5}, 50),
        (TOKENS, {"max_tokens": 0, "max_new_tokens": 100}, 1000),
        (TOKENS, {"max_tokens": 0}, 81920),
        (TOKENS, {"max_tokens": -7}, 81920),
        (TOKENS, {"max_tokens": 10**30}, 10**10),
        (TOKENS, {"max_tokens": "5"}, 81920),
        (OUTPUTS, {}, 10),
        (OUTPUTS, {"num_outputs": 4, "n": 1}, 40),
        (OUTPUTS, {"num_outputs": -4}, 10),
    ],
)
def test_a_hold_cannot_be_talked_down(rule: Rule, input: dict[str, object], held: int) -> None:
    assert most(rule, None, input, 60.0) == held
