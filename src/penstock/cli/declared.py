"""`penstock apply`, `export`, and `import`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from penstock import config
from penstock.cli._showing import AsJson, Data, operate, out, say
from penstock.errors import CallerError

commands = typer.Typer()
"""Without a name: these stand beside the nouns."""
imports = typer.Typer(name="import", help="Move here from another gateway.", no_args_is_help=True)
DIFFERS = 3
MARKS = {"add": ("+", "green"), "change": ("~", "yellow")}

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change: exit code 3 if anything would.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
To = Annotated[Path | None, typer.Option("-o", "--output", help="Write the document to this file instead.")]


@commands.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(help="The document; TOML.")] = config.FILE,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add and change what a file declares, at once. Nothing is removed. Exit code 1 if it is refused."""
    from penstock.declared import document

    _apply(document.read(_text(file), os.environ, str(file)), data, dry_run=dry_run, yes=yes, as_json=as_json)


@commands.command("export")
def export(
    output: To = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="With the channels' credentials.")] = False,
    data: Data = None,
) -> None:
    """Write all there is as a document: channels, aliases, prices, groups, accounts, and keys without their secrets."""
    made = operate(data, "declared.export", secrets=secrets)
    _write(made["toml"], output)
    for line in made["skipped"]:
        say(f"left out: {line}")
    if made["asks"]:
        say(f"it asks the environment for {', '.join(made['asks'])}")


@imports.command("new-api")
def from_new_api(
    source: Annotated[str, typer.Argument(help="Its database: a SQLite file, or a URL.")],
    output: To = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Move here from new-api or one-api: channels, prices, groups, accounts, and keys. The database is only read."""
    from penstock.declared import new_api

    _move(new_api.read(source), output, data, dry_run=dry_run, yes=yes, as_json=as_json)


@imports.command("litellm")
def from_litellm(
    file: Annotated[Path, typer.Argument(help="Its config.yaml.")],
    output: To = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Move here from LiteLLM's proxy: the models of its configuration, with their aliases and prices."""
    from penstock.declared import litellm

    _move(litellm.read(_text(file), os.environ), output, data, dry_run=dry_run, yes=yes, as_json=as_json)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None


def _move(moved: Any, output: Path | None, data: Path | None, **how: bool) -> None:
    from penstock.declared.document import filled
    from penstock.declared.exporting import written

    for line in moved.skipped:
        say(f"left behind: {line}")
    if output:
        _write(written(moved.document), output)
    else:
        _apply(filled(moved.document, os.environ, strict=not how["dry_run"]), data, **how)


def _apply(document: Any, data: Path | None, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    given = msgspec.to_builtins(document)
    changes = operate(data, "declared.compare", document=given)
    due = [change for change in changes if change["verb"] != "same"]
    if not as_json:
        _show(changes, due)
    elif dry_run or not due:
        print(json.dumps({"changes": due, "keys": []}, ensure_ascii=False))
    if dry_run or not due:
        sys.exit(DIFFERS if due else 0)
    if not (yes or as_json) and sys.stdin.isatty() and not typer.confirm("Apply?", err=True):
        sys.exit(1)
    _tell(operate(data, "declared.apply", document=given), as_json=as_json)


def _show(changes: list[dict[str, Any]], due: list[dict[str, Any]]) -> None:
    for change in due:
        mark, style = MARKS[change["verb"]]
        say((f"{mark} {change['part']} {change['name']}", style), to=out)
        for field, value in change["after"].items():
            before = f"{_said(change['before'][field])} → " if field in change["before"] else ""
            say(f"    {field}: {before}{_said(value)}", to=out)
    same = len(changes) - len(due)
    words = f"{len(due)} to do, {same} as declared" if due else f"nothing to do: {same} as declared"
    say(words)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={part}" for name, part in value.items()) or "none"
    return "none" if value is None or value == "" else str(value)


def _tell(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(done, ensure_ascii=False))
        return
    for key in done["keys"]:
        say(f"key {key['account']}/{key['name']}: ", (key["key"], "bold"), to=out)
    if done["keys"]:
        say("Keep these keys: they can't be shown again.")
    say(f"{len(done['changes'])} done")


def _write(text: str, output: Path | None) -> None:
    """To a file that only its owner can read: it may hold secrets."""
    if output is None:
        print(text, end="")
        return
    output.touch(mode=0o600)
    output.write_text(text)
    say(f"written to {output}")
