"""`penstock accounts`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, Test, operate, say, show

commands = typer.Typer(name="accounts", help="Accounts: who pays.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Kept in the books.")]


@commands.command("create")
def create_account(
    name: str,
    group: Annotated[str, typer.Option(help="Which group its keys are in.")] = "default",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an account, with 1,000 USD of test money."""
    made = operate(data, "accounts.create", name=name, group=group)
    print(json.dumps(made)) if as_json else say(f"account {name!r} made")


@commands.command("change")
def change_account(
    name: str,
    group: Annotated[str, typer.Option(help="Which group its keys shall be in, but for those with one of their own.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Put an account into another group, at once."""
    changed = operate(data, "accounts.change", name=name, group=group)
    print(json.dumps(changed)) if as_json else say(f"account {name!r} is in group {group!r}")


@commands.command("topup")
def topup(
    name: str,
    usd: Annotated[str, typer.Argument(help="Dollars, such as 25 or 0.50.")],
    test: Test = False,
    reason: Reason = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add money to an account."""
    made = operate(data, "accounts.topup", name=name, usd=usd, mode=_mode(test), reason=reason)
    show(made if as_json else [made], as_json, "account", "mode", "balance")


@commands.command("adjust", context_settings={"ignore_unknown_options": True})  # so that -5 is an amount
def adjust(
    name: str,
    usd: Annotated[str, typer.Argument(help="Dollars, such as 5 or -0.50.")],
    reason: Reason,
    test: Test = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Correct a balance by hand, up or down; never below zero."""
    made = operate(data, "accounts.adjust", name=name, usd=usd, mode=_mode(test), reason=reason)
    show(made if as_json else [made], as_json, "account", "mode", "balance")


@commands.command("usage")
def usage(
    name: str,
    by: Annotated[str, typer.Option(help="What to sum up by: some of day, model, key, with commas.")] = "day",
    first: Annotated[str, typer.Option("--from", help="The first day, by UTC; thirty days ago unless set.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last day; today unless set.")] = "",
    test: Test = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show what an account spent, and on what."""
    found = operate(data, "accounts.usage", name=name, by=by, first=first, last=last, mode=_mode(test))
    if as_csv:
        import msgspec

        from penstock.canonical.results import Usage
        from penstock.dialects import account

        print(account.as_csv(msgspec.convert(found, Usage)), end="")
        return
    names = [*found["by"], *(["key_name"] if "key" in found["by"] else [])]
    show(found if as_json else found["rows"], as_json, *names, "runs", "input_tokens", "output_tokens", "amount")


@commands.command("list")
def list_accounts(data: Data = None, as_json: AsJson = False) -> None:
    """List accounts and what they have left."""
    show(operate(data, "accounts.list"), as_json, "name", "group", "live", "test", "created_at")


def _mode(test: bool) -> str:
    return "test" if test else "live"
