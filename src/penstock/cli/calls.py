"""`penstock calls`."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, Test, operate, say, show

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
    if not as_json:
        found = [call | {"took": f"{call['took_us'] / 1e6:.2f} s"} for call in found]
    show(found, as_json, "request", "at", "outcome", "charge", "took", below=("model", "channel", "units"))


@commands.command("refund")
def refund_call(
    call: Annotated[str, typer.Argument(help="Its request's id, or its charge's number.")],
    usd: str,
    reason: Annotated[str, typer.Option(help="Kept in the books.")],
    data: Data = None,
) -> None:
    """Give back some of what a call was charged."""
    operate(data, "calls.refund", call=call, usd=usd, reason=reason)
    say(f"{usd} USD of {call} refunded")
