"""Serve, run, and what concerns the whole installation."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock import __version__, config, log
from penstock.cli._showing import BAD, GOOD, LOOK, AsJson, Data, leave, operate, out, say, show

commands = typer.Typer()
"""Without a name: these stand beside the nouns."""
files = typer.Typer(name="files", help="Files that are kept.", no_args_is_help=True)


@commands.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to bind; 127.0.0.1 unless set.")] = None,
    port: Annotated[int | None, typer.Option(help="8700 unless set.")] = None,
    data: Data = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain; with --tls-key, serve https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    welcome: Annotated[
        bool, typer.Option("--welcome", help="Print a test key and a first request, as `make run` does.")
    ] = False,
) -> None:
    """Serve the gateway until SIGTERM or Ctrl-C."""
    from penstock.serving import serve_until_told

    settings = config.load(tls=tls_cert is not None, host=host, port=port, data=data)
    log.configure(settings.log_format)
    leave(serve_until_told(settings, tls_cert, tls_key, welcome=welcome))


@commands.command()
def run(
    model: Annotated[str, typer.Argument(help="owner/name, or owner/name:version.")],
    input: Annotated[list[str] | None, typer.Option("-i", "--input", help="key=value; @file uploads it.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder for outputs.")] = Path(),
    logs: Annotated[bool, typer.Option("--logs", help="Print the model's logs as they come.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a model and save what it makes. Exit code: 0 succeeded, 1 failed, 130 canceled."""
    from penstock.running import run_model

    leave(asyncio.run(run_model(model, input or [], output, logs=logs, as_json=as_json)))


@commands.command()
def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Look the installation over. Exit code 1 if something is wrong."""
    found = operate(data, "doctor")
    marks = {"good": GOOD, "look": LOOK, "bad": BAD}
    if as_json:
        show(found, as_json)
    else:
        for finding in found:
            say(marks[finding["verdict"]], " ", (finding["about"], "bold"), f": {finding['words']}", to=out)
    sys.exit(1 if any(finding["verdict"] == "bad" for finding in found) else 0)


@commands.command()
def backup(to: Annotated[str, typer.Argument(help="A new folder.")], data: Data = None) -> None:
    """Copy database, files, and secret, also while the server runs."""
    made = operate(data, "backup", to=str(Path(to).absolute()))
    say(f"backed up {made['bytes']:,} bytes to {made['to']}", to=out)


@commands.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@files.command("prune")
def prune(data: Data = None) -> None:
    """Remove now what is past its time."""
    gone = operate(data, "files.prune")
    say(f"removed the data of {gone['tasks']} tasks, {gone['files']} files, {gone['blobs']} blobs", to=out)
