"""The errors in `docs/errors.md`, from the tree and the dialects. `python -m tests.laws.words` writes them anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock import errors
from penstock.dialects._installed import dialects
from penstock.errors import PenstockError

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
BEGIN, END = "<!-- errors -->", "<!-- /errors -->"
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PenstockError)]
"""As they stand in the file."""
COLUMNS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "penstock": ("penstock's own", lambda body: ""),  # its word is the code
    "openai": ("OpenAI: type / code", lambda body: f" `{body['error']['type']}` / `{body['error']['code']}`"),
    "anthropic": ("Anthropic: type", lambda body: f" `{body['error']['type']}`"),
    "gemini": ("Gemini: status", lambda body: f" `{body['error']['status']}`"),
    "replicate": ("Replicate: title", lambda body: f" {body.get('title', '')}".rstrip()),
}
"""Each dialect's heading, and where its clients look for the word."""


def make(kind: type[PenstockError]) -> PenstockError:
    return errors.RangeNotSatisfiable(10) if kind is errors.RangeNotSatisfiable else kind()


def bodies() -> str:
    """One error as every dialect says it."""
    exc = errors.LimitReached("Request was throttled. Your rate limit resets in ~7s.", retry_after_s=7)
    exc.request_id = "5d21c07b9e3f48aa0000000c41"
    said = {title.partition(":")[0]: dialects()[name].error(exc) for name, (title, _) in COLUMNS.items()}
    return "\n\n".join(
        f"{title}, {out.status}:\n\n```json\n{json.dumps(json.loads(out.encoded()), indent=2)}\n```"
        for title, out in said.items()
    )


def table() -> str:
    """One row an error. The tree's root is left out: what is nobody else's is the gateway's."""
    head = ["code", "meaning", "what to do", "retry", *(title for title, _ in COLUMNS.values())]
    rows = [_row(kind) for kind in KINDS if kind is not PenstockError]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _row(kind: type[PenstockError]) -> list[str]:
    meaning = (kind.__doc__ or "").partition("\n")[0].removesuffix(".")
    replies = [(dialects()[name].error(make(kind)), word) for name, (_, word) in COLUMNS.items()]
    said = [f"{out.status}{word(json.loads(out.encoded()))}" for out, word in replies]
    return [f"`{kind.code}`", meaning, kind.advice, "yes" if kind.retry else "no", *said]


def generated() -> str:
    return f"## One error, as each says it\n\n{bodies()}\n\n## All of them\n\n{table()}"


def shown() -> str:
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    head, _, rest = PAGE.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}\n\n{generated()}\n\n{END}{tail}")
