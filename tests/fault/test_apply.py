"""A document half applied when the process dies is applied whole by the next one, and its money is booked once."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from penstock.declared.applying import WRITES
from tests.live import Live

DOCUMENT = """
[[groups]]
name = "gold"
multiplier = "0.8"

[[accounts]]
name = "bakery"
group = "gold"
opening = { id = "elsewhere/7", usd = "12.5" }

[[channels]]
name = "shop"
provider = "openai"
base_url = "http://127.0.0.1:9/v1"
credentials = ["one", "two"]
models = ["gpt-4o"]

[[aliases]]
name = "best"
targets = ["gpt-4o", "gpt-4o-mini"]

[[prices]]
model = "gpt-4o"
input_mtok = "3"
output_mtok = "12"

[[keys]]
name = "till"
account = "bakery"
key = "sk-from-elsewhere-0123456789"
quota_usd = "5"
"""


@pytest.mark.parametrize("part", WRITES)
def test_an_apply_that_is_killed_is_finished_by_the_next(tmp_path: Path, part: str) -> None:
    document = tmp_path / "document.toml"
    document.write_text(DOCUMENT)
    live = Live(tmp_path, environment={"PENSTOCK_FAULTS": f"applied.{part}"})
    command = [sys.executable, "-m", "penstock", "apply", str(document), "--yes", "--data", str(live.data)]
    killed = subprocess.run(command, env=live._environ(), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = Live(tmp_path)
    again.cli("apply", str(document), "--yes")
    again.cli("apply", str(document), "--dry-run")  # it would end with 3 if there were anything left to do
    assert "the books balance" in again.cli("ledger", "check")
    with closing(connect(again.data / "penstock.db")) as db:
        opened = db.execute("SELECT amount FROM entries WHERE work = 'opening/elsewhere/7'").fetchall()
        acts = db.execute("SELECT outcome FROM audit WHERE act = 'declared.apply' ORDER BY id").fetchall()
    assert opened == [(12_500_000,)]
    assert acts.count(("begun",)) > acts.count(("ok",))  # the act that was cut short is seen to be
