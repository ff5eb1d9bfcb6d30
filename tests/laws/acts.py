"""The acts in `docs/admin.md`, from their table. `python -m tests.laws.acts` writes them anew."""

from __future__ import annotations

from pathlib import Path

from penstock.console.acts import ACTS, Acting
from penstock.console.acts._base import Parameter
from penstock.console.describing import path, schema
from penstock.console.reference import _kind

PAGE = Path(__file__).parents[2] / "docs" / "admin.md"
BEGIN, END = "<!-- acts -->", "<!-- /acts -->"


def generated() -> str:
    head = ["path", "arguments", "what it does"]
    rows = [_row(ACTS[name]) for name in sorted(ACTS)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _row(act: Acting) -> list[str]:
    where = f"{'GET, ' if act.by_query else ''}POST `{path(act.name)}`"
    return [
        f"`{act.name}`: only where the gateway runs" if act.local else where,
        "; ".join(_argument(parameter) for parameter in act.parameters.values()),
        act.summary,
    ]


def _argument(parameter: Parameter) -> str:
    told = schema(parameter)
    kind = _kind(told).replace("|", "\\|")
    if parameter.required:
        return f"**`{parameter.name}`** {kind}"
    default = told.get("default")
    return f"`{parameter.name}` {kind}" + (f" = `{default}`" if default not in (None, "", [], {}) else "")


def shown() -> str:
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    head, _, rest = PAGE.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}\n\n{generated()}\n\n{END}{tail}")
