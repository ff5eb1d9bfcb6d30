from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from penstock import log

CANARIES = [
    "sk-live-C4naryC4naryC4nary",
    "pc-C4nar-yC4na-ryC4n-aryC4-naryC",
    "sk-test-C4nary_C4nary-C4nary",
    "sk-C4naryC4naryC4nary",
    "whsec_C4naryC4naryC4nary==",
    "r8_C4naryC4naryC4nary",
    "Bearer C4nary.C4nary~C4nary",
    "token C4naryC4nary",
    "v1.1900000000.C4naryC4naryC4naryC4nary",
]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Holder:
    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Holder({self.value})"


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("secret", CANARIES)
def test_no_secret_is_ever_written(capsys: pytest.CaptureFixture[str], form: str, secret: str) -> None:
    log.configure(form)
    logger, plain = log.logger("canary"), logging.getLogger("elsewhere")
    deep: object = {"here": secret}
    for _ in range(9):
        deep = {"in": [deep, (secret,), {secret}]}
    logger.info(f"got {secret}", value=secret, nested=deep, bytes=secret.encode(), held=Holder(secret), a={secret: 1})
    logger.info("by name", authorization="C4nary", headers={"x-api-key": "C4nary", "Cookie": "C4nary"}, key="C4nary")
    plain.warning("got %s", secret)
    for speak in (logger.exception, plain.exception):
        try:
            raise ValueError(f"it was {secret}")
        except ValueError:
            speak("failed")
    written = capsys.readouterr().err
    assert "C4nary" not in written
    assert "failed" in written and "elsewhere" in written and "ValueError" in written


def test_what_is_no_secret_stays(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    log.logger("x").info("moved", task="06gzwekbcz6zjxedewy4wsmz50", attempt=2, took_s=0.5, done=True, none=None)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp")
    assert line == {
        "event": "moved",
        "level": "info",
        "logger": "penstock.x",
        "task": "06gzwekbcz6zjxedewy4wsmz50",
        "attempt": 2,
        "took_s": 0.5,
        "done": True,
        "none": None,
    }
    assert log.redact("task-of-a-long-name disk-live-20261121") == "task-of-a-long-name disk-live-20261121"
