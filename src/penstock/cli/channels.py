"""`penstock channels`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from penstock.cli._showing import AsJson, Data, err, operate, out, show

commands = typer.Typer(name="channels", help="Channels: upstream accounts and servers.", no_args_is_help=True)


@commands.command("add")
def add_channel(
    name: str,
    provider: Annotated[str, typer.Option(help="openai, anthropic, gemini, replicate, cog, …")],
    base_url: Annotated[str, typer.Option(help="Where it is; the provider's own address unless set.")] = "",
    credential: Annotated[
        str, typer.Option(help="Its API key; better by environment.", envvar="PENSTOCK_CREDENTIAL", show_envvar=True)
    ] = "",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="owner/name, owner/name=vendor/name, owner/*, or *. Repeat it.")
    ] = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    weight: Annotated[int, typer.Option(min=0, help="Share among those of one priority.")] = 1,
    concurrency: Annotated[int | None, typer.Option(min=1, help="The most work there at once.")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="A fact: idempotent=true.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add an upstream account or server. Its credential is stored encrypted."""
    given: dict[str, Any] = {"name": name, "provider": provider, "base_url": base_url, "credential": credential}
    given |= {"models": model or ["*"], "priority": priority, "weight": weight, "concurrency": concurrency}
    made = operate(data, "channels.add", **given, options=dict(_option(text) for text in option or []))
    if as_json:
        print(json.dumps(made))
        return
    err.print(f"channel {name!r} added; try it: penstock channels test {name}")
    if "upload_url" in made:
        err.print(f"start the Cog server with --upload-url {made['upload_url']}", highlight=False, soft_wrap=True)


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@commands.command("list")
def list_channels(data: Data = None, as_json: AsJson = False) -> None:
    """List channels, without their credentials."""
    columns = ("name", "provider", "base_url", "models", "priority", "weight", "concurrency", "disabled", "cooling_s")
    show(operate(data, "channels.list"), as_json, *columns)


@commands.command("test")
def test_channel(name: str, data: Data = None, as_json: AsJson = False) -> None:
    """Ask an upstream whether it answers and takes the credential. Exit code 1 if not."""
    found = operate(data, "channels.test", name=name)
    if as_json:
        print(json.dumps(found))
    elif found["works"]:
        out.print(f"[green]✓[/] {name} works")
    else:
        err.print(f"[red]✗[/] {name}: {found['reason']}", highlight=False)
    sys.exit(0 if found["works"] else 1)


@commands.command("disable")
def disable_channel(
    name: str,
    enable: Annotated[bool, typer.Option("--enable", help="Take it back into use.")] = False,
    data: Data = None,
) -> None:
    """Send a channel no new work. What runs there goes on."""
    operate(data, "channels.disable", name=name, disabled=not enable)
    err.print("enabled" if enable else "disabled")
