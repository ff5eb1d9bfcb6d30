"""`penstock audit`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from penstock.cli._showing import AsJson, Data, operate, say, show

commands = typer.Typer(name="audit", help="The audit log: what operators did.", no_args_is_help=True)


@commands.command("list")
def list_audit(
    act: Annotated[str, typer.Option(help="Only this act, such as keys.create.")] = "",
    actor: Annotated[str, typer.Option(help="Only this actor: key/ID or cli/USER.")] = "",
    since: Annotated[str, typer.Option(help="From this date or time on.")] = "",
    cursor: Annotated[str, typer.Option(help="Go on after this one, as the page before said.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show what operators did, newest first. An act without an outcome was cut short."""
    page = operate(data, "audit.list", act=act, actor=actor, since=since, cursor=cursor, limit=limit)
    told = [done | {"given": _given(done["given"])} for done in page["acts"]]
    show(page if as_json else told, as_json, "at", "act", "outcome", below=("actor",), cut="given")
    if page["next"] and not as_json:
        say((f"more: --cursor {page['next']}", "dim"))


def _given(given: dict[str, Any]) -> str:
    """On one line; `--json` has it whole."""
    said = {name: value for name, value in given.items() if value not in (None, "", [], {})}
    return " ".join(f"{name}={','.join(map(str, it)) if isinstance(it, list) else it}" for name, it in said.items())
