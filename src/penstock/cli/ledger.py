"""`penstock ledger`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from penstock.cli._showing import BAD, GOOD, AsJson, Data, Test, number, operate, out, say, show, usd

commands = typer.Typer(name="ledger", help="The books.", no_args_is_help=True)


@commands.command("check")
def check_ledger(data: Data = None) -> None:
    """Prove the books. Exit code 1 if they do not balance."""
    wrong = operate(data, "ledger.check")
    for words in wrong:
        say(BAD, f" {words}")
    if not wrong:
        say(GOOD, " the books balance", to=out)
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
    if not as_json:
        found = [entry | {"uncovered": entry["uncovered"] or None} for entry in found]
    show(found, as_json, "at", "kind", "amount", "work", "uncovered")


@commands.command("explain")
def explain_charge(
    charge: Annotated[str, typer.Argument(help="The id of a task or of a request, or the number of a call's charge.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show how a charge came about: price, units, and arithmetic."""
    found = operate(data, "ledger.explain", charge=charge)
    if as_json:
        show(found, as_json)
        return
    say(f"{found['work']} {found['id']} of {found['model']}, {found['at']}", to=out)
    say(f"price {found['rule'] or 'none'} ({found['source'] or 'no source'})", to=out)
    for line in found["lines"]:
        each = f"{number(line['amount'])} {line['unit']} × {usd(line['micros'])} USD / {line['per']:,}"
        say(f"  {each} = {usd(line['comes_to'])} USD", to=out)
    if found["multiplier"] != 1:
        say(f"  × {number(found['multiplier'])} for the group", to=out)
    for name in ("total", "uncovered", "charge", "refunded", "recomputed"):
        if found[name] is not None:
            say(f"{name:>10} {found[name] / 1e6:.6f} USD", to=out)
