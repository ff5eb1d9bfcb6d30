"""The command line: `penstock serve`, what operators do, and `penstock run`."""

from __future__ import annotations

import typer

from penstock.cli import (
    accounts,
    aliases,
    audit,
    calls,
    channels,
    codes,
    declared,
    groups,
    house,
    keys,
    ledger,
    models,
    prices,
    tasks,
)
from penstock.cli._showing import leave, say
from penstock.errors import PenstockError

app = typer.Typer(
    name="penstock",
    help="One base URL and one key for every model: a self-hosted gateway for generative AI.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is text: the brackets in it mean what they say
    context_settings={"help_option_names": ["-h", "--help"]},
)
NOUNS = (
    *(house, declared, keys, groups, accounts, channels, aliases, prices, models),
    *(tasks, calls, codes, ledger, audit),
)
for noun in NOUNS:
    app.add_typer(noun.commands)
app.add_typer(house.files)
app.add_typer(declared.imports)


def main() -> None:
    """Runs a command; what it can't do is one line on standard error, and exit code 1."""
    try:
        app()
    except PenstockError as error:
        say(("penstock:", "bold red"), f" {error}")
        leave(1)
    except ValueError as error:  # settings that make no sense
        say(("penstock:", "bold red"), f" {error}")
        leave(2)
