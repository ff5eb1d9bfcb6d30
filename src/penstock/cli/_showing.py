"""What commands share: the options of most of them, the way to the gateway, and how results are shown."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from penstock import config

out, err = Console(), Console(stderr=True)
Data = Annotated[Path | None, typer.Option("--data", help="The data directory; PENSTOCK_DATA, else ./data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Test = Annotated[bool, typer.Option("--test/--live", help="The test books, or the live ones.")]


def operate(data: Path | None, act: str, /, **given: Any) -> Any:
    from penstock.console.socket import operate as operate_

    return asyncio.run(operate_(config.load(data=data), act, given))


def leave(code: int) -> NoReturn:
    """End the process at once. The interpreter's own way out can meet a thread of the HTTP client (pyreqwest 0.15) that
    is just giving back the GIL, and dies of that."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def show(rows: Any, as_json: bool, *columns: str) -> None:
    """A table, or JSON; money in dollars in the table, in micro-dollars in JSON."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
        return
    if not rows:
        out.print("[dim]nothing yet[/]")
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*[_cell(column, row.get(column)) for column in columns])
    out.print(table)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "[dim]–[/]"
    if column in ("hold", "charge", "amount", "live", "test", "balance") and isinstance(value, int):
        return f"{value / 1e6:,.6f}".rstrip("0").rstrip(".")
    if isinstance(value, dict):
        return ", ".join(f"{amount:,} {name.removesuffix('_token')}" for name, amount in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).replace("[", "\\[")
