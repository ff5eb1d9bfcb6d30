"""`penstock accounts`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, Test, err, operate, show

commands = typer.Typer(name="accounts", help="Accounts: who pays.", no_args_is_help=True)


@commands.command("create")
def create_account(name: str, data: Data = None, as_json: AsJson = False) -> None:
    """Make an account, with 1,000 USD of test money."""
    made = operate(data, "accounts.create", name=name)
    print(json.dumps(made)) if as_json else err.print(f"account {name!r} made")


@commands.command("topup")
def topup(
    name: str,
    usd: Annotated[str, typer.Argument(help="Dollars, such as 25 or 0.50.")],
    test: Test = False,
    reason: Annotated[str, typer.Option(help="Kept in the books.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add money to an account."""
    mode = "test" if test else "live"
    made = operate(data, "accounts.topup", name=name, usd=usd, mode=mode, reason=reason)
    show(made if as_json else [made], as_json, "account", "mode", "balance")


@commands.command("list")
def list_accounts(data: Data = None, as_json: AsJson = False) -> None:
    """List accounts and what they have left."""
    show(operate(data, "accounts.list"), as_json, "name", "live", "test", "created_at", "id")
