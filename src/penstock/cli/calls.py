"""`penstock calls`."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, Test, operate, show

commands = typer.Typer(name="calls", help="Calls: the request log.", no_args_is_help=True)


@commands.command("list")
def list_calls(
    account: Annotated[str, typer.Argument()] = "default",
    test: Test = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's calls, newest first: what was asked where, what it used, cost, and took."""
    found = operate(data, "calls.list", account=account, mode="test" if test else "live", limit=limit)
    show(found, as_json, "at", "model", "channel", "outcome", "units", "charge", "took_us")
