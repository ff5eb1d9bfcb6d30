"""The table of losses in `docs/translation.md`, from the formats. `python -m tests.laws.losses` writes it anew."""

from __future__ import annotations

from pathlib import Path

from penstock.formats._base import Operation
from penstock.formats._installed import formats

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"
BEGIN, END = "<!-- losses -->", "<!-- /losses -->"
TITLES = {
    "openai_chat": "OpenAI chat completions",
    "openai_responses": "OpenAI responses",
    "anthropic_messages": "Anthropic messages",
    "gemini_content": "Gemini generateContent",
}


def table() -> str:
    """One section a chat format: what it can't hold, and what becomes of it."""
    sections = []
    for name, format in sorted(formats().items()):
        if format.operation is Operation.CHAT:
            rows = [f"| `{what}` | {words} |" for what, words in format.loses.items()]
            title = TITLES.get(name, name)
            sections.append("\n".join([f"### To {title}", "", "| ours | what becomes of it |", "| --- | --- |", *rows]))
    return "\n\n".join(sections)


def shown() -> str:
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    head, _, rest = PAGE.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}")
