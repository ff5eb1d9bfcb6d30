"""What the load left in the books: a charge on disk for every answer, and sums that agree to the micro-dollar."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import Gateway
from bench.rows import Row

ANSWERED = 'penstock_requests_total{dialect="openai",status="200"}'
LAST_WITHIN_S = 10.0


@dataclass(frozen=True)
class Books:
    """`charges` were counted in the file while the gateway still ran; `said` are the words of `penstock ledger check`
    after it had ended."""

    answers: int
    charges: int
    balance: bool
    said: str

    def __add__(self, other: Books) -> Books:
        said = self.said if other.balance else other.said
        balance = self.balance and other.balance
        return Books(self.answers + other.answers, self.charges + other.charges, balance, said)

    def row(self, what: str, seen: int, cut: int = 0) -> Row:
        """`seen`: how many answers clients read to their end; `cut`: how many clients at most were stopped before that,
        and may have been charged for an answer that did not begin."""
        missing = max(self.answers - self.charges, seen - self.charges, 0)
        surplus = max(self.charges - self.answers - cut, 0)
        return Row(
            f"{what}: answers not charged, or twice",
            max(missing + surplus, int(not self.balance)),
            f"{seen:,} read to the end, {self.answers:,} answered with 200, {self.charges:,} charges on disk",
            f"penstock ledger check: {self.said}",
            at_most=0,
        )


def counted(gateway: Gateway, data: Path) -> tuple[int, int]:
    """Answers and charges, once clients that were stopped in the middle are settled too."""
    until = time.monotonic() + LAST_WITHIN_S
    while True:
        answers, charges = int(gateway.metrics().get(ANSWERED, 0)), _charges(data)
        if answers == charges or time.monotonic() > until:
            return answers, charges
        time.sleep(0.2)


def checked(data: Path, answers: int, charges: int) -> Books:
    command = [sys.executable, "-m", "penstock", "ledger", "check", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=data.parent)
    return Books(answers, charges, done.returncode == 0, " ".join((done.stdout + done.stderr).split())[:300])


def _charges(data: Path) -> int:
    with closing(sqlite3.connect(f"file:{data / 'penstock.db'}?mode=ro", uri=True)) as db:
        count: int = db.execute("SELECT count(*) FROM charges").fetchone()[0]
    return count
