"""The words that a caller's text lends to answers: names, quotations, numbers, and what it is about."""

from __future__ import annotations

import re

from penstock.providers.sandbox import words

NAME = r"[A-ZÀ-Þ][\w'-]+(?: [A-ZÀ-Þ][\w'-]+)*"
NAMES = re.compile(rf"(?<=[\w,;:] ){NAME}")
LISTED = re.compile(rf"(?<=[\w:] ){NAME}(?:, {NAME})*,? (?:and|or|&) {NAME}")
QUOTED = re.compile(r"[\"“”„]([^\"“”„\n]{1,80})[\"“”„]|`([^`\n]{1,80})`")
NUMBERS = re.compile(r"(?<![\w.])-?\d{1,12}(?:\.\d{1,6})?(?![\w.]*\w)")
READ = 20_000
SEARCHED = 2000
"""Of a text, for a list: the pattern takes the square of its length."""


class Voice:
    """Gives out a text's words and numbers in turn, over and over."""

    def __init__(self, text: str, first: str = "", without: frozenset[str] = frozenset()) -> None:
        text = text[:READ]
        quoted: list[str] = [one or other for one, other in QUOTED.findall(text)]
        names: list[str] = NAMES.findall(text)
        known = without.union(*(word.lower().split() for word in [*quoted, *names]))
        topics = [word for word in words.topics_of(text) if word.lower() not in known]
        found = dict.fromkeys([first, *quoted, *names, *topics])
        self.text = text
        self.subjects: list[str] = [word for word in found if word.strip()] or ["sample"]
        self.numbers = [float(number) for number in NUMBERS.findall(text)]
        self._spoken = self._counted = 0

    def subject(self) -> str:
        """The next word; one that was given out before gets a number, so that no two are the same."""
        round, at = divmod(self._spoken, len(self.subjects))
        self._spoken += 1
        return self.subjects[at] + (f" {round + 1}" if round else "")

    def number(self) -> float | None:
        """The next number of the text, None where there is none left."""
        if self._counted >= len(self.numbers):
            return None
        self._counted += 1
        return self.numbers[self._counted - 1]


def listed(text: str) -> list[str]:
    """The names in the first list of a text: `Oslo, Bergen and Tromsø`."""
    match = LISTED.search(text[:SEARCHED])
    return re.findall(NAME, match[0]) if match else []
