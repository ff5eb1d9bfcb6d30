"""How a sandbox job or call behaves: read from the model's name and from directives like `[[slow:30]]` in the prompt.

| model | directive | what happens |
| --- | --- | --- |
| `sandbox/instant` | `[[slow:0]]` | it is done at once |
| `sandbox/slow` | `[[slow]]`, `[[slow:30]]` | it runs for 30 s, or for so many |
| `sandbox/failing` | `[[fail]]`, `[[fail:words]]` | it fails after half its time, with those words |
| `sandbox/flaky` | `[[flaky]]` | every second poll is answered 503 |
| `sandbox/dying` | `[[die]]` | the vendor forgets the job in mid-life: 404 on every poll from half its time on |
| `sandbox/hanging` | `[[hang]]` | it never ends |
| `sandbox/refusing` | `[[refuse]]` | its submit is refused by the content policy |
| `sandbox/busy` | `[[busy]]`, `[[busy:2]]` | its first 2 submits, or so many, are answered 429 with Retry-After 1 |
| | `[[outputs:4]]` | it makes so many outputs |
| | `[[broke]]` | the account is out of credit: 402 |

A call takes the same words; what they do there is in `calls`. Only calls know these:

| directive | what happens |
| --- | --- |
| `[[cut]]`, `[[cut:3]]` | the stream ends after so many pieces, without its end mark |
| `[[context]]` | it does not fit into the model's context |
| `[[usage:none]]`, `[[usage:zero]]`, `[[usage:twice]]` | the report of usage is missing, says zero, comes twice |

Directives combine, the model's behaviour comes first, and of two that disagree the later counts. What is none of these
is left alone, also in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

Outcome = Literal["succeeded", "failed"]
Telling = Literal["once", "none", "zero", "twice"]
USUAL_S = 2.0
SLOW_S = 30.0
LONGEST_S = 3600.0
MOST_OUTPUTS = 10
MOST_BUSY = 100
MOST_PIECES = 10_000
BUSY_TIMES = 2
RETRY_AFTER_S = 1.0
LONGEST_REASON = 300
FAILED = "The sandbox failed this job, as its script says."
DIRECTIVE = re.compile(r"\[\[\s*([a-z]+)\s*(?::([^\[\]]*))?\]\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Script:
    """One job's or call's behaviour. Without `outputs` the request says how many; `takes_s` is how long it runs."""

    takes_s: float = USUAL_S
    outcome: Outcome = "succeeded"
    reason: str | None = None
    outputs: int | None = None
    busy_times: int = 0
    refuses: bool = False
    hangs: bool = False
    dies: bool = False
    flaky: bool = False
    broke: bool = False
    cut_after: int | None = None
    context_full: bool = False
    usage: Telling = "once"

    @property
    def ends_s(self) -> float | None:
        """When the job has ended, in seconds from its start; None if never."""
        if self.hangs:
            return None
        return self.takes_s / 2 if self.outcome == "failed" else self.takes_s

    @property
    def forgotten_s(self) -> float | None:
        """From when on the vendor does not know the job, in seconds from its start; None if it always does."""
        return self.takes_s / 2 if self.dies else None


Change = Callable[[Script, str], Script]


def number(text: str, usual: float, most: float) -> float:
    """The number in a directive, within 0 and `most`; the usual one where it is none."""
    try:
        value = float(text)
    except ValueError:
        return usual
    return min(max(value, 0.0), most) if isfinite(value) else usual


def fail(script: Script, words: str) -> Script:
    return replace(script, outcome="failed", reason=words.strip()[:LONGEST_REASON] or FAILED)


def slow(script: Script, seconds: str) -> Script:
    return replace(script, takes_s=number(seconds, SLOW_S, LONGEST_S))


def outputs(script: Script, count: str) -> Script:
    return replace(script, outputs=max(1, int(number(count, 1, MOST_OUTPUTS))))


def busy(script: Script, times: str) -> Script:
    return replace(script, busy_times=int(number(times, BUSY_TIMES, MOST_BUSY)))


def cut(script: Script, pieces: str) -> Script:
    return replace(script, cut_after=int(number(pieces, 1, MOST_PIECES)))


def usage(script: Script, telling: str) -> Script:
    known: tuple[Telling, ...] = ("none", "zero", "twice")
    return replace(script, usage=next((word for word in known if word == telling.lower()), script.usage))


DIRECTIVES: dict[str, Change] = {
    "slow": slow,
    "fail": fail,
    "outputs": outputs,
    "busy": busy,
    "refuse": lambda script, _: replace(script, refuses=True),
    "hang": lambda script, _: replace(script, hangs=True),
    "die": lambda script, _: replace(script, dies=True),
    "flaky": lambda script, _: replace(script, flaky=True),
    "broke": lambda script, _: replace(script, broke=True),
    "cut": cut,
    "context": lambda script, _: replace(script, context_full=True),
    "usage": usage,
}
# What a model's name says, as the directive that says the same.
MODELS: dict[str, tuple[str, str]] = {
    "sandbox/instant": ("slow", "0"),
    "sandbox/slow": ("slow", ""),
    "sandbox/failing": ("fail", ""),
    "sandbox/flaky": ("flaky", ""),
    "sandbox/dying": ("die", ""),
    "sandbox/hanging": ("hang", ""),
    "sandbox/refusing": ("refuse", ""),
    "sandbox/busy": ("busy", ""),
}


def read(model_path: str, prompt: str, takes_s: float = USUAL_S) -> Script:
    """The behaviour that a model and a prompt ask for; `takes_s` is what a job of this kind usually takes."""
    script = Script(takes_s=takes_s)
    of_model = [MODELS[model_path]] if model_path in MODELS else []
    for word, value in [*of_model, *directives(prompt)]:
        script = DIRECTIVES[word](script, value)
    return script


def directives(prompt: str) -> list[tuple[str, str]]:
    """The directives of a prompt that we know, in their order: (word, value or an empty text)."""
    found = [(word.lower(), (value or "").strip()) for word, value in DIRECTIVE.findall(prompt)]
    return [(word, value) for word, value in found if word in DIRECTIVES]


def clean(prompt: str) -> str:
    """The prompt without its directives, for drawing and quoting."""
    bare = DIRECTIVE.sub(lambda hit: " " if hit[1].lower() in DIRECTIVES else hit[0], prompt)
    return re.sub(r"[ \t]{2,}", " ", bare).strip() if bare != prompt else prompt
