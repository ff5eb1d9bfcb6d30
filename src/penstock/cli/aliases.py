"""`penstock aliases`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, operate, say, show

commands = typer.Typer(
    name="aliases", help="Aliases: names of your own for models, and what to fall back on.", no_args_is_help=True
)


@commands.command("set")
def set_alias(
    name: str,
    targets: Annotated[list[str], typer.Argument(help="The models to try, in order; also the name itself.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let a name stand for a model, or for several that are tried in order."""
    made = operate(data, "aliases.set", name=name, targets=targets)
    if as_json:
        print(json.dumps(made))
        return
    say(f"{name} is {', then '.join(made['models'])}")
    for model in made["unserved"]:
        say(f"no channel serves {model} yet; add one: penstock channels add")


@commands.command("list")
def list_aliases(data: Data = None, as_json: AsJson = False) -> None:
    """List aliases, and what they stand for."""
    show(operate(data, "aliases.list"), as_json, "name", "targets", below=("models", "unserved"))


@commands.command("remove")
def remove_alias(name: str, data: Data = None) -> None:
    """Forget an alias. Work that exists goes on."""
    operate(data, "aliases.remove", name=name)
    say(f"alias {name!r} removed")
