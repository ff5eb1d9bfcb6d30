"""What commands share: the options of most of them, the way to the gateway, and how results are shown.

All that people read goes through `say`, which takes no markup: names are shown as they are. Off a terminal, lines are
never cut nor broken, so that programs find whole ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from penstock import config
from penstock.errors import GatewayError

Data = Annotated[Path | None, typer.Option("--data", help="The data directory; PENSTOCK_DATA, else ./data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Test = Annotated[bool, typer.Option("--test/--live", help="The test books, or the live ones.")]
Row = Mapping[str, Any]
Part = str | tuple[str, str]
"""Text, or text and its style."""

out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
err = Console(markup=False, emoji=False, highlight=False, soft_wrap=True, stderr=True)
SETS_UP = frozenset(("accounts.create", "channels.add", "declared.apply", "declared.compare", "keys.create"))
"""Acts that may come before a gateway's first start."""
MONEY = frozenset(("amount", "balance", "charge", "hold", "live", "test", "uncovered"))
GOOD, BAD, LOOK = ("✓", "green"), ("✗", "red"), ("!", "yellow")
CUT_LEAST = 12


def operate(data: Path | None, act: str, /, **given: Any) -> Any:
    """What an act results in. Raises PenstockError, also where there is no gateway that it could be meant for."""
    from penstock.console.asking import operate as operate_

    settings = config.load(data=data)
    if act not in SETS_UP and not _is_there(settings):
        where = os.path.join(".", settings.data)
        raise GatewayError(
            f"there is no gateway's data in {where}; start it with penstock serve, or name its directory: "
            "--data DIR, PENSTOCK_DATA"
        )
    result = asyncio.run(operate_(settings, act, given))
    for words in result.get("warnings", ()) if isinstance(result, dict) else ():
        say(LOOK, f" {words}")
    return result


def _is_there(settings: config.Settings) -> bool:
    if settings.database_url:
        return bool(settings.secret) or (settings.data / "secret").exists()
    return (settings.data / "penstock.db").exists()


def leave(code: int) -> NoReturn:
    """End the process at once. The interpreter's own way out can meet a thread of the HTTP client (pyreqwest 0.15) that
    is just giving back the GIL, and dies of that."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def say(*parts: Part, to: Console = err) -> None:
    """A line."""
    to.print(Text.assemble(*parts))


def show(rows: Any, as_json: bool, *columns: str, below: Sequence[str] = (), cut: str = "") -> None:
    """A table, or JSON; money in dollars in the table, in micro-dollars in JSON. Columns that are empty are left out.
    Where the lines are too long, what is to stand `below` gets lines of its own, and `cut`, the last, loses its end."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
        return
    if not rows:
        say(("nothing yet", "dim"), to=out)
        return
    there = [each for each in (*columns, *below, cut) if any(row.get(each) not in (None, "", [], {}) for row in rows)]
    cells = [{each: _cell(each, row.get(each)) for each in there} for row in rows]
    widths = {each: max(cell_len(_title(each)), *(cell_len(row[each]) for row in cells)) for each in there}
    beside, most = there, _most()
    least = widths | ({cut: min(widths[cut], CUT_LEAST)} if cut in widths else {})
    if sum(width + 2 for width in least.values()) > most + 2:
        beside = [each for each in there if each not in below]
    if cut in beside:
        left = most - sum(width + 2 for each, width in widths.items() if each in beside and each != cut)
        widths[cut] = min(widths[cut], max(left, CUT_LEAST))
    say((_line([_title(each) for each in beside], [widths[each] for each in beside]), "bold"), to=out)
    for row in cells:
        say(_line([row[each] for each in beside], [widths[each] for each in beside]), to=out)
        for each in there:
            if each not in beside and row[each] != "–":
                say(f"    {_title(each)}: {row[each]}", to=out)


def facts(said: Row) -> None:
    """A line for each thing that is said; times are whole."""
    there = {_title(name): _cell("", value) for name, value in said.items() if value not in (None, [], {}, "")}
    width = max(map(len, there), default=0)
    for title, words in there.items():
        say((title.ljust(width), "bold"), f"  {words}", to=out)


def usd(micros: Any) -> str:
    """Micro-dollars, also parts of one, as dollars."""
    return number(Decimal(str(micros)).scaleb(-6))


def number(value: Any) -> str:
    """As people write it: never with an exponent."""
    text = f"{Decimal(str(value)):,.15f}"
    return text.rstrip("0").rstrip(".")


def moment(at: str) -> str:
    """An RFC 3339 time to the second, by UTC; without the date where that is today, else without this year's number."""
    today, day, clock = datetime.now(UTC).date().isoformat(), at[:10], at[11:19]
    if day == today:
        return clock
    return f"{day.removeprefix(today[:5])} {clock}"


def _most() -> int:
    """How wide a line may be."""
    return out.width if out.is_terminal or "COLUMNS" in os.environ else sys.maxsize


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_fitting(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _fitting(cell: str, width: int) -> str:
    return set_cell_size(cell, width) if cell_len(cell) <= width else f"{set_cell_size(cell, width - 1)}…"


def _title(column: str) -> str:
    return column.removesuffix("_at").replace("_", " ")


def _cell(column: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if column == "at" or column.endswith("_at"):
        return moment(value)
    if column in MONEY and isinstance(value, int):
        return usd(value)
    if isinstance(value, dict):
        return ", ".join(f"{number(amount)} {name.removesuffix('_token')}" for name, amount in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return str(value).replace("\n", " ")
