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
    out.print(f"{found['work']} {found['id']} of {found['model']}, {found['at']}", highlight=False)
    out.print(f"price {found['rule'] or 'none'} ({found['source'] or 'no source'})", highlight=False, markup=False)
    for line in found["lines"]:
        each = f"{line['amount']:,} {line['unit']} × {line['micros'] / 1e6:g} USD / {line['per']:,}"
        out.print(f"  {each} = {float(line['comes_to']) / 1e6:.9g} USD", highlight=False)
    if found["multiplier"] != 1:
        out.print(f"  × {found['multiplier']:g} for the group", highlight=False)
    for name in ("total", "uncovered", "charge", "refunded", "recomputed"):
        if found[name] is not None:
            out.print(f"{name:>10} {found[name] / 1e6:.6f} USD", highlight=False)
