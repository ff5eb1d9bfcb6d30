"""The fault matrix: what a vendor's fault does to each kind of work. `test_matrix.py` makes every cell happen, and
`python -m tests.fault.matrix` writes the table into `docs/routing.md`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from penstock import errors
from penstock.errors import PenstockError
from tests.rigs.chatting import HANG_UP, STREAM, Script, event, head, part, whole
from tests.rigs.faulty import CALL, SUBMIT, WATCH, Bend, Good

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"
BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"
STREAMED = "stream"
WORKS = {
    CALL: "a call",
    STREAMED: "a stream",
    SUBMIT: "a task, being submitted",
    WATCH: "a task, being watched",
}
"""The columns."""

# ── what a cell says ──────────────────────────────────────────────────────────────────────────────────────────────────


class Word(Enum):
    """As a cell says it, and what it means."""

    @property
    def short(self) -> str:
        return str(self.value[0])

    @property
    def meaning(self) -> str:
        return str(self.value[1])


class Action(Word):
    WELL = "fine", "nothing is wrong"
    ELSEWHERE = "next", "the next channel is asked"
    WAITS = "next or wait", "the next channel is asked; where none is left, the task waits until the rest is over"
    BACK = "back", "nobody else is asked: elsewhere it would fail alike"
    ENDS = "ends", "the stream ends with what came and an error as its last event; nobody else is asked"
    ASKS = (
        "uncertain",
        "the vendor may have it, so no other channel gets it: the vendor is asked by our tag, and gets it again only "
        "where it surely has none or honours the tag as a key",
    )
    AGAIN = "again", "no verdict on the task, which is asked for again later"
    DOUBTS = "doubt", "asked for again; after 10 s of the same the work is lost"


class Charge(Word):
    NOTHING = "nothing", "the hold is given back"
    WHOLE = "answer", "what was made, as ever"
    PRODUCED = "what came", "what was produced until then, by the vendor's count or an estimate"
    HELD = "hold", "it stays until the fate is known: then what was made, or after `uncertain_s` nothing"


@dataclass(frozen=True)
class Rest:
    """Who rests (all of the channel, or this model there) for how long (None: as the vendor said), after so many
    failures in a row."""

    whole: bool
    first_s: float | None
    after: int = 1

    def __str__(self) -> str:
        how_long = "as told" if self.first_s is None else f"{self.first_s:g} s"
        after = f" after {self.after}" if self.after > 1 else ""
        return f"{'channel' if self.whole else 'model'} {how_long}{after}"


REJECTED, BUSY, TOLD, UNREACHABLE = Rest(True, 60), Rest(False, 2), Rest(False, None), Rest(True, 5)
FORGOT, SICK = Rest(False, 60), Rest(False, 5, after=3)


@dataclass(frozen=True)
class Cell:
    """`error`: what the caller is told where no channel is left, or at last; None where nothing is wrong."""

    action: Action
    health: Rest | None
    charge: Charge
    error: type[PenstockError] | None = None
    late: str = ""
    """The code of a task that this goes on for until its longest life is over."""

    @property
    def code(self) -> str:
        return self.error.code if self.error else self.late

    def shown(self, work: str) -> str:
        return "; ".join([self.action.short, str(self.health or "as it was"), self.charge.short, self._error(work)])

    def _error(self, work: str) -> str:
        if self.error is None:
            return f"`{self.late}` at last" if self.late else "none"
        where = " in the stream" if self.action is Action.ENDS else f" {self.error.status}"
        return f"`{self.error.code}`" + ("" if work in (SUBMIT, WATCH) else where)


def elsewhere(health: Rest, error: type[PenstockError]) -> Cell:
    return Cell(Action.ELSEWHERE, health, Charge.NOTHING, error)


def waits(health: Rest, error: type[PenstockError]) -> Cell:
    return Cell(Action.WAITS, health, Charge.NOTHING, error)


def ends(error: type[PenstockError]) -> Cell:
    return Cell(Action.ENDS, SICK, Charge.PRODUCED, error)


FINE = Cell(Action.WELL, None, Charge.WHOLE)
UNCERTAIN = Cell(Action.ASKS, SICK, Charge.HELD, errors.FateUnknown)
NO_VERDICT = Cell(Action.AGAIN, None, Charge.WHOLE, late="timed_out")
FAILED, LATE = elsewhere(SICK, errors.UpstreamError), elsewhere(SICK, errors.UpstreamTimeout)


# ── what vendors do ───────────────────────────────────────────────────────────────────────────────────────────────────

TOLD_S = 4
"""What a vendor says in Retry-After."""
ACCOUNT = "org-4711"
"""The operator's own, which no caller shall read."""
HTML = b"<html><body>Just a moment</body></html>"
SILENCE_S = 9.0
"""Longer than any patience of the tests."""


def refuses(status: int, **headers: str) -> Bend:
    words = f"scripted {status}" + (f" of {ACCOUNT}" if status in (401, 402, 403) else "")
    return lambda good: [whole({"error": {"message": words}, "detail": words}, status, **headers)]


def says(raw: bytes, kind: str = "application/json", status: int = 200) -> Bend:
    return lambda good: [whole(raw, status, kind)]


def silent(good: Good) -> Script:
    return [SILENCE_S]


def resets(good: Good) -> Script:
    return [0.05, HANG_UP]


def resets_midway(good: Good) -> Script:
    return [good.parts[0], 0.2, HANG_UP]


def stalls(good: Good) -> Script:
    return [good.parts[0], *(step for piece in good.parts[1:] for step in (SILENCE_S, piece))]


def drips(good: Good) -> Script:
    return [step for piece in good.parts for step in (piece[:9], 0.1, piece[9:], 0.1)]


def breaks_json(good: Good) -> Script:
    broken = b'{"choices": [{"delta": {"con'
    return [STREAM + event(broken) + b"0\r\n\r\n"] if good.stream else [whole(broken)]


def talks_nonsense(good: Good) -> Script:
    nonsense = b"\xff\x00 nonsense\n\n" * 9
    return [STREAM + part(nonsense) + b"0\r\n\r\n"] if good.stream else [whole([1, 2])]


def plain(good: Good) -> tuple[str, bytes]:
    """The content type and the body of a good answer, without chunks."""
    body = b"".join(good.parts).partition(b"\r\n\r\n")[2]
    return ("text/event-stream", b"".join(body.split(b"\r\n")[1::2])) if good.stream else ("application/json", body)


def counts_too_far(good: Good) -> Script:
    kind, body = plain(good)
    return [head(200, kind, content_length=str(len(body) + 99)) + body]


def counts_too_little(good: Good) -> Script:
    """What is left out is the end; of a stream the first event is whole."""
    kind, body = plain(good)
    least = body.index(b"\n\n") + 9 if good.stream else len(body) // 2
    return [head(200, kind, content_length=str(least)) + body]


@dataclass(frozen=True)
class Fault:
    """A row. `bend` None: no connection comes about; `at` is where instead: the vendor's own port in another scheme, a
    deaf port, or one where nobody listens. `takes`: the vendor has the work all the same. A cell that is not there
    can't come about."""

    name: str
    words: str
    cells: dict[str, Cell] = field(hash=False)
    bend: Bend | None = None
    at: str = ""
    takes: bool = False

    def __str__(self) -> str:
        return self.name


def row(name: str, words: str, *cells: Cell, **more: Any) -> Fault:
    return Fault(name, words, dict(zip(WORKS, cells, strict=False)), **more)


def refusal(
    status: int, words: str, cell: Cell, submit: Cell | None = None, watch: Cell = NO_VERDICT, **headers: str
) -> Fault:
    """Before its first byte a stream is a call."""
    name = f"{status}-told" if headers else f"{status}"
    return row(name, words, cell, cell, submit or cell, watch, bend=refuses(status, **headers))


def unconnected(name: str, words: str, at: str, *watch: Cell) -> Fault:
    error = errors.UpstreamUnreachable
    return row(name, words, *[elsewhere(UNREACHABLE, error)] * 2, waits(UNREACHABLE, error), *watch, at=at)


BACK = Cell(Action.BACK, None, Charge.NOTHING, errors.CallerError)
DENIED = elsewhere(REJECTED, errors.ChannelRejected)
DENIED_WATCH = Cell(Action.AGAIN, REJECTED, Charge.WHOLE, late="timed_out")
CROWDED, CROWDED_TASK = elsewhere(BUSY, errors.UpstreamBusy), waits(BUSY, errors.UpstreamBusy)
LOST = Cell(Action.DOUBTS, None, Charge.NOTHING, errors.UpstreamForgot)
MATRIX = (
    refusal(400, "400: the request is wrong", BACK),
    refusal(401, "401: our credential", DENIED, watch=DENIED_WATCH),
    refusal(402, "402: our account", DENIED, watch=DENIED_WATCH),
    refusal(403, "403: our account", DENIED, watch=DENIED_WATCH),
    refusal(
        404,
        "404: the model, or the prediction",
        elsewhere(FORGOT, errors.UnknownModel),
        elsewhere(FORGOT, errors.UnknownModel),
        LOST,
    ),
    refusal(429, "429", CROWDED, CROWDED_TASK),
    refusal(
        429,
        "429 with `Retry-After`",
        elsewhere(TOLD, errors.UpstreamBusy),
        waits(TOLD, errors.UpstreamBusy),
        retry_after=f"{TOLD_S}",
    ),
    refusal(500, "500 with the vendor's words", FAILED),
    refusal(502, "502, as a gateway says", FAILED, UNCERTAIN),
    refusal(503, "503", CROWDED, CROWDED_TASK),
    refusal(529, "529", CROWDED, CROWDED_TASK),
    unconnected("refused", "no connection: refused", "nobody", NO_VERDICT),
    unconnected("deaf", "no connection: not in time", "deaf"),
    unconnected("no-tls", "no connection: TLS fails", "tls"),
    row("silent", "sent, then silence", LATE, LATE, UNCERTAIN, NO_VERDICT, bend=silent, takes=True),
    row("reset", "sent, then a reset", FAILED, FAILED, UNCERTAIN, NO_VERDICT, bend=resets),
    row(
        "reset-midway",
        "a reset in the middle of the answer",
        *(FAILED, ends(errors.UpstreamError), UNCERTAIN, NO_VERDICT),
        bend=resets_midway,
        takes=True,
    ),
    row(
        "stalls",
        "an answer that drips more slowly than the limits",
        *(LATE, ends(errors.UpstreamTimeout), UNCERTAIN, NO_VERDICT),
        bend=stalls,
        takes=True,
    ),
    row("drips", "an answer that drips within the limits", FINE, FINE, FINE, FINE, bend=drips, takes=True),
    row("html", "200 with a page of HTML", FAILED, FAILED, UNCERTAIN, NO_VERDICT, bend=says(HTML, "text/html")),
    row("broken-json", "200 with broken JSON", FAILED, FAILED, UNCERTAIN, NO_VERDICT, bend=breaks_json, takes=True),
    row("nonsense", "200 with nonsense", FAILED, FAILED, UNCERTAIN, NO_VERDICT, bend=talks_nonsense, takes=True),
    row(
        "too-long",
        "`Content-Length` beyond the end",
        *(FAILED, FINE, UNCERTAIN, NO_VERDICT),
        bend=counts_too_far,
        takes=True,
    ),
    row(
        "too-short",
        "`Content-Length` before the end",
        *(FAILED, ends(errors.UpstreamError), UNCERTAIN, NO_VERDICT),
        bend=counts_too_little,
        takes=True,
    ),
)


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────────


INTRO = """\
A cell says four things: what is done; who rests for how long, at once or after so many failures in a row; what the
caller is charged for this attempt; and the caller's error where no channel is left, with its HTTP status. Where another
channel answers, the caller gets its answer, pays for that alone, and is told of no error. A stream is a call until its
first event has gone to the caller. [Errors](errors.md#all-of-them) has each dialect's words for the codes; a task that
has failed shows its code."""


def generated() -> str:
    return f"{INTRO}\n\n{_table()}\n\n{_meanings()}"


def _table() -> str:
    heads = ["the vendor's fault", *WORKS.values()]
    rows = [[fault.words, *(_shown(fault, work) for work in WORKS)] for fault in MATRIX]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def _meanings() -> str:
    kinds = {"What is done:": Action, "What is charged:": Charge}
    lists = [
        "\n".join([f"{title}\n", *(f"- *{word.short}*: {word.meaning}." for word in kind)])
        for title, kind in kinds.items()
    ]
    return "\n\n".join(lists)


def _shown(fault: Fault, work: str) -> str:
    return fault.cells[work].shown(work) if work in fault.cells else "as when refused"


def shown() -> str:
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{generated()}\n\n{END}{rest.partition(END)[2]}")
