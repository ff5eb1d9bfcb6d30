"""`penstock groups`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from penstock.cli._showing import AsJson, Data, facts, operate, say, show
from penstock.cli.keys import Concurrency, Models, Rpm, Tpm, Words, cleared

commands = typer.Typer(name="groups", help="Groups: who shares models, channels, and prices.", no_args_is_help=True)

BOUNDS = {"model": "models", "channel": "channels", "rpm": "rpm", "tpm": "tpm", "concurrency": "concurrency"}


@commands.command("set")
def set_group(
    name: str,
    models: Models = None,
    channel: Annotated[Words, typer.Option("--channel", "--channels", help="A name, or a pattern. Repeat it.")] = None,
    multiplier: Annotated[str | None, typer.Option(help="What prices are multiplied by: 1.25.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="How channels of one priority are chosen from: weight, latency, or cost.")
    ] = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    clear: Annotated[Words, typer.Option("--clear", help=f"Take a bound away: {', '.join(BOUNDS)}. Repeat it.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a group, or change one, at once. What is left out stays as it is; a list takes the place of the old one.
    Limits are of each key that has none of its own."""
    given: dict[str, Any] = {"models": models, "channels": channel, "multiplier": multiplier, "policy": policy}
    given |= {"rpm": rpm, "tpm": tpm, "concurrency": concurrency}
    said = {field: value for field, value in given.items() if value is not None}
    made = operate(data, "groups.set", name=name, **said, **cleared(clear, BOUNDS))
    _show(made, as_json)


@commands.command("list")
def list_groups(data: Data = None, as_json: AsJson = False) -> None:
    """List groups."""
    columns = ("name", "models", "channels", "multiplier", "policy", "rpm", "tpm", "concurrency")
    show(operate(data, "groups.list"), as_json, *columns)


@commands.command("show")
def show_group(name: str, data: Data = None, as_json: AsJson = False) -> None:
    """Show a group, the accounts in it, and how many keys."""
    _show(operate(data, "groups.show", name=name), as_json)


@commands.command("remove")
def remove_group(name: str, data: Data = None) -> None:
    """Remove a group that no key and no account is in."""
    operate(data, "groups.remove", name=name)
    say(f"group {name!r} removed")


def _show(group: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(group)) if as_json else facts(group)
