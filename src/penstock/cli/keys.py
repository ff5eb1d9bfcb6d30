"""`penstock keys`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, err, operate, out, show

commands = typer.Typer(name="keys", help="Keys: what clients call with.", no_args_is_help=True)


@commands.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    test: Annotated[
        bool, typer.Option("--test/--live", help="A test key costs nothing and never leaves here.")
    ] = False,
    account: Annotated[str, typer.Option(help="Whose; made if need be.")] = "default",
    rpm: Annotated[int | None, typer.Option(min=1, help="The most requests a minute.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="The most unfinished tasks at once.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once."""
    mode = "test" if test else "live"
    made = operate(data, "keys.create", name=name, mode=mode, account=account, rpm=rpm, concurrency=concurrency)
    if as_json:
        print(json.dumps(made))
    else:
        out.print(f"[bold]{made['key']}[/]", highlight=False)
        err.print(f"{mode} key {made['name']!r} of account {account!r}. Keep it: it can't be shown again.")


@commands.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """List keys, without their secrets."""
    show(operate(data, "keys.list"), as_json, "prefix", "name", "mode", "account", "created_at", "revoked_at", "id")


@commands.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="Id, name, or prefix.")], data: Data = None) -> None:
    """Revoke a key, at once."""
    operate(data, "keys.revoke", key=key)
    err.print("revoked")
