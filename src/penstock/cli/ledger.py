"""`penstock ledger`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, Test, err, operate, out, show

commands = typer.Typer(name="ledger", help="The books.", no_args_is_help=True)


@commands.command("check")
def check_ledger(data: Data = None) -> None:
    """Prove the books. Exit code 1 if they do not balance."""
    wrong = operate(data, "ledger.check")
    for words in wrong:
        err.print(f"[red]✗[/] {words}", highlight=False)
    if not wrong:
        out.print("[green]✓[/] the books balance")
    sys.exit(1 if wrong else 0)


@commands.command("show")
def show_ledger(
    account: Annotated[str, typer.Argument()] = "default",
    test: Test = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's entries, newest first."""
    found = operate(data, "ledger.show", account=account, mode="test" if test else "live", limit=limit)
    show(found, as_json, "at", "kind", "amount", "work", "uncovered")
