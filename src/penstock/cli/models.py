"""`penstock models`."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, operate, show

commands = typer.Typer(name="models", help="Models: what there is.", no_args_is_help=True)


@commands.command("list")
def list_models(
    search: Annotated[str, typer.Argument(help="Words to look for.")] = "", data: Data = None, as_json: AsJson = False
) -> None:
    """List the models that this gateway knows, and the channels that serve them."""
    found = operate(data, "models.list", search=search)
    show(found, as_json, "model", "kind", "channels", below=("price",), cut="description")
