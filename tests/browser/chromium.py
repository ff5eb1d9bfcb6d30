"""Debian's Chromium without a window: what a page becomes there, and what it complains about."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--enable-logging=stderr", "--hide-scrollbars", "--window-size=1280,1000"),
)
ENDS_WITHIN_S = 60
CONSOLE = re.compile(r"INFO:CONSOLE[^\n]*")


@dataclass(frozen=True, slots=True)
class Seen:
    """A page's document after its scripts ran, and the console's lines."""

    html: str
    console: list[str]

    def text(self, id: str) -> str:
        """The words in the element with this id (a `div` of the page's regions)."""
        found = re.search(rf'id="{id}"[^>]*>(.*?)(?=<div id="|</main>)', self.html, re.DOTALL)
        assert found, f"there is no {id} on the page"
        return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


def visit(url: str, profile: Path, *, waits_s: float = 2.0) -> Seen:
    """Open a page in a fresh profile and look at it after so long on the page's own clock, which stands still while the
    page waits for an answer."""
    more = [f"--user-data-dir={profile}", f"--virtual-time-budget={waits_s * 1000:.0f}", "--dump-dom"]
    done = subprocess.run(["chromium", *FLAGS, *more, url], capture_output=True, timeout=ENDS_WITHIN_S, check=True)
    return Seen(done.stdout.decode(), CONSOLE.findall(done.stderr.decode(errors="replace")))
