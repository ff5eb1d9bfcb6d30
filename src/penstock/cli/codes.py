"""`penstock codes`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from penstock.cli._showing import AsJson, Data, moment, operate, say, show

commands = typer.Typer(name="codes", help="Codes: money that callers redeem.", no_args_is_help=True)


@commands.command("create")
def create_codes(
    usd: Annotated[str, typer.Argument(help="What each is worth, such as 25 or 0.50.")],
    count: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    reason: Annotated[str, typer.Option(help="Kept in the books of whoever redeems it.")] = "",
    expires: Annotated[
        str, typer.Option(help="A date, a time, or so long from now (30d, 12h); never unless set.")
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make codes. They are shown this once, one a line."""
    made = operate(data, "codes.create", usd=usd, count=count, reason=reason, expires=expires)
    if as_json:
        print(json.dumps(made))
        return
    for code in made:
        print(code["code"])
    say(f"{len(made)} of {usd} USD each. Keep them: they can't be shown again.")


@commands.command("list")
def list_codes(data: Data = None, as_json: AsJson = False) -> None:
    """List codes by how they begin, and what became of them."""
    found = operate(data, "codes.list")
    if not as_json:
        found = [code | {"state": _state(code)} for code in found]
    show(found, as_json, "prefix", "amount", "created_at", "state", below=("reason",))


@commands.command("revoke")
def revoke_code(code: Annotated[str, typer.Argument(help="Its id, or how it begins.")], data: Data = None) -> None:
    """Revoke a code that was not redeemed yet."""
    operate(data, "codes.revoke", code=code)
    say(f"code {code!r} revoked")


def _state(code: dict[str, Any]) -> str:
    if code["redeemed_at"]:
        return f"redeemed {moment(code['redeemed_at'])} by {code['redeemed_by']}"
    if code["revoked_at"]:
        return f"revoked {moment(code['revoked_at'])}"
    return f"until {moment(code['expires_at'])}" if code["expires_at"] else "open"
