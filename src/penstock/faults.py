"""Named moments at which a test may kill this process, to prove that nothing is lost there."""

from __future__ import annotations

import os
import signal


class Faults:
    """`armed` is `name` or `name:n`: at the n-th time that the moment comes, the process is gone. Empty: never."""

    def __init__(self, armed: str = "") -> None:
        self.name, _, count = armed.partition(":")
        self.left = int(count or 1)

    def reach(self, name: str) -> None:
        if self.name and name == self.name:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
