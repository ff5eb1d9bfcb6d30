"""The command line: `penstock serve`, what operators do, and `penstock run`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from penstock import __version__, config, log
from penstock.errors import PenstockError

app = typer.Typer(
    name="penstock",
    help="One base URL and one key for every model: a self-hosted gateway for generative AI.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
keys = typer.Typer(help="Keys: what clients call with.", no_args_is_help=True)
accounts = typer.Typer(help="Accounts: who pays.", no_args_is_help=True)
channels = typer.Typer(help="Channels: upstream accounts and servers.", no_args_is_help=True)
prices = typer.Typer(help="Prices: what models cost your callers.", no_args_is_help=True)
models = typer.Typer(help="Models: what there is.", no_args_is_help=True)
tasks = typer.Typer(help="Tasks: long jobs, and what became of them.", no_args_is_help=True)
calls = typer.Typer(help="Calls: the request log.", no_args_is_help=True)
ledger = typer.Typer(help="The books.", no_args_is_help=True)
files = typer.Typer(help="Files that are kept.", no_args_is_help=True)
for sub, name in (
    (keys, "keys"),
    (accounts, "accounts"),
    (channels, "channels"),
    (prices, "prices"),
    (models, "models"),
    (tasks, "tasks"),
    (calls, "calls"),
    (ledger, "ledger"),
    (files, "files"),
):
    app.add_typer(sub, name=name)

out, err = Console(), Console(stderr=True)
Data = Annotated[Path | None, typer.Option("--data", help="The data directory; PENSTOCK_DATA, else ./data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Test = Annotated[bool, typer.Option("--test/--live", help="The test books, or the live ones.")]


def main() -> None:
    """Runs a command; what it can't do is one line on standard error, and exit code 1."""
    try:
        app()
    except PenstockError as error:
        err.print(f"[bold red]penstock:[/] {error}", highlight=False)
        sys.exit(1)
    except ValueError as error:  # settings that make no sense
        err.print(f"[bold red]penstock:[/] {error}", highlight=False, markup=False)
        sys.exit(2)


def operate(data: Path | None, act: str, **given: Any) -> Any:
    from penstock.console.socket import operate as operate_

    return asyncio.run(operate_(config.load(data=data), act, given))


def leave(code: int) -> NoReturn:
    """End the process at once. The interpreter's own way out can meet a thread of the HTTP client (pyreqwest 0.15) that
    is just giving back the GIL, and dies of that."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def show(rows: Any, as_json: bool, *columns: str) -> None:
    """A table, or JSON; money in dollars in the table, in micro-dollars in JSON."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
        return
    if not rows:
        out.print("[dim]nothing yet[/]")
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*[_cell(column, row.get(column)) for column in columns])
    out.print(table)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "[dim]–[/]"
    if column in ("hold", "charge", "amount", "live", "test", "balance") and isinstance(value, int):
        return f"{value / 1e6:,.6f}".rstrip("0").rstrip(".")
    if isinstance(value, dict):
        return ", ".join(f"{amount:,} {name.removesuffix('_token')}" for name, amount in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).replace("[", "\\[")


# ── serve, run, and the house ─────────────────────────────────────────────────────────────────────────────────────────


@app.command()
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


@app.command()
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


@app.command()
def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Look the installation over. Exit code 1 if something is wrong."""
    found = operate(data, "doctor")
    marks = {"good": "[green]✓[/]", "look": "[yellow]![/]", "bad": "[red]✗[/]"}
    if as_json:
        show(found, as_json)
    else:
        for finding in found:
            out.print(marks[finding["verdict"]], f"[bold]{finding['about']}[/]:", finding["words"], highlight=False)
    sys.exit(1 if any(finding["verdict"] == "bad" for finding in found) else 0)


@app.command()
def backup(to: Annotated[str, typer.Argument(help="A new folder.")], data: Data = None) -> None:
    """Copy database, files, and secret, also while the server runs."""
    made = operate(data, "backup", to=str(Path(to).absolute()))
    out.print(f"backed up {made['bytes']:,} bytes to {made['to']}")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


# ── keys, accounts, the books ─────────────────────────────────────────────────────────────────────────────────────────


@keys.command("create")
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


@keys.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """List keys, without their secrets."""
    show(operate(data, "keys.list"), as_json, "prefix", "name", "mode", "account", "created_at", "revoked_at", "id")


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="Id, name, or prefix.")], data: Data = None) -> None:
    """Revoke a key, at once."""
    operate(data, "keys.revoke", key=key)
    err.print("revoked")


@accounts.command("create")
def create_account(name: str, data: Data = None, as_json: AsJson = False) -> None:
    """Make an account, with 1,000 USD of test money."""
    made = operate(data, "accounts.create", name=name)
    print(json.dumps(made)) if as_json else err.print(f"account {name!r} made")


@accounts.command("topup")
def topup(
    name: str,
    usd: Annotated[str, typer.Argument(help="Dollars, such as 25 or 0.50.")],
    test: Test = False,
    reason: Annotated[str, typer.Option(help="Kept in the books.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add money to an account."""
    mode = "test" if test else "live"
    made = operate(data, "accounts.topup", name=name, usd=usd, mode=mode, reason=reason)
    show(made if as_json else [made], as_json, "account", "mode", "balance")


@accounts.command("list")
def list_accounts(data: Data = None, as_json: AsJson = False) -> None:
    """List accounts and what they have left."""
    show(operate(data, "accounts.list"), as_json, "name", "live", "test", "created_at", "id")


@ledger.command("check")
def check_ledger(data: Data = None) -> None:
    """Prove the books. Exit code 1 if they do not balance."""
    wrong = operate(data, "ledger.check")
    for words in wrong:
        err.print(f"[red]✗[/] {words}", highlight=False)
    if not wrong:
        out.print("[green]✓[/] the books balance")
    sys.exit(1 if wrong else 0)


@ledger.command("show")
def show_ledger(
    account: Annotated[str, typer.Argument()] = "default",
    test: Test = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's entries, newest first."""
    found = operate(data, "ledger.show", account=account, mode="test" if test else "live", limit=limit)
    show(found, as_json, "at", "kind", "amount", "work", "uncovered")


@calls.command("list")
def list_calls(
    account: Annotated[str, typer.Argument()] = "default",
    test: Test = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's calls, newest first: what was asked where, what it used, cost, and took."""
    found = operate(data, "calls.list", account=account, mode="test" if test else "live", limit=limit)
    show(found, as_json, "at", "model", "channel", "outcome", "units", "charge", "took_us")


# ── channels, prices, models ──────────────────────────────────────────────────────────────────────────────────────────


@channels.command("add")
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


@channels.command("list")
def list_channels(data: Data = None, as_json: AsJson = False) -> None:
    """List channels, without their credentials."""
    columns = ("name", "provider", "base_url", "models", "priority", "weight", "concurrency", "disabled", "cooling_s")
    show(operate(data, "channels.list"), as_json, *columns)


@channels.command("test")
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


@channels.command("disable")
def disable_channel(
    name: str,
    enable: Annotated[bool, typer.Option("--enable", help="Take it back into use.")] = False,
    data: Data = None,
) -> None:
    """Send a channel no new work. What runs there goes on."""
    operate(data, "channels.disable", name=name, disabled=not enable)
    err.print("enabled" if enable else "disabled")


@prices.command("set")
def set_price(
    model: str,
    run: Annotated[str | None, typer.Option(help="USD per run.")] = None,
    output: Annotated[str | None, typer.Option(help="USD per output.")] = None,
    second: Annotated[str | None, typer.Option(help="USD per second of run time.")] = None,
    input_mtok: Annotated[str | None, typer.Option(help="USD per million tokens that go in.")] = None,
    cached_mtok: Annotated[str | None, typer.Option(help="USD per million that were read from a cache.")] = None,
    output_mtok: Annotated[str | None, typer.Option(help="USD per million tokens that come out.")] = None,
    line: Annotated[list[str] | None, typer.Option("--line", help="unit=USD, or unit=USD/per. Repeat it.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set what a model costs from now on. Tasks that exist keep their price."""
    from penstock.console.api import micros

    each = (("run", run), ("output", output), ("second", second))
    tokens = (("input_token", input_mtok), ("cached_token", cached_mtok), ("output_token", output_mtok))
    given = [(unit, usd, 1) for unit, usd in each if usd is not None]
    given += [(unit, usd, 1_000_000) for unit, usd in tokens if usd is not None]
    for text in line or []:
        unit, _, amount = text.partition("=")
        usd, _, per = amount.partition("/")
        given.append((unit, usd, int(per or 1)))
    if not given:
        raise typer.BadParameter("give a price: --run, --output, --second, --input-mtok and --output-mtok, or --line")
    lines = [{"unit": unit, "micros": micros(usd), "per": per} for unit, usd, per in given]
    made = operate(data, "prices.set", model=model, lines=lines)
    print(json.dumps(made)) if as_json else err.print(f"price of {model} set")


@prices.command("list")
def list_prices(data: Data = None, as_json: AsJson = False) -> None:
    """List what each model costs."""
    found = operate(data, "prices.list")
    if not as_json:
        for row in found:
            row["price"] = "; ".join(f"{x['micros'] / 1e6:g} USD/{x.get('per', 1)} {x['unit']}" for x in row["lines"])
    show(found, as_json, "model", "price", "from")


@models.command("list")
def list_models(
    search: Annotated[str, typer.Argument(help="Words to look for.")] = "", data: Data = None, as_json: AsJson = False
) -> None:
    """List the models that this gateway knows, and the channels that serve them."""
    show(operate(data, "models.list", search=search), as_json, "model", "kind", "channels", "description")


# ── tasks, files ──────────────────────────────────────────────────────────────────────────────────────────────────────


@tasks.command("list")
def list_tasks(
    state: Annotated[str, typer.Option(help="queued, running, succeeded, …")] = "",
    model: str = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    found = operate(data, "tasks.list", state=state, model=model, limit=limit)
    show(found, as_json, "id", "state", "model", "mode", "charge", "created_at", "error_code")


@tasks.command("show")
def show_task(task: str, data: Data = None, as_json: AsJson = False) -> None:
    """Show all about one task: its input, output, events, money, webhooks."""
    found = operate(data, "tasks.show", task=task)
    print(json.dumps(found)) if as_json else out.print_json(json.dumps(found))


@tasks.command("cancel")
def cancel_task(task: str, data: Data = None) -> None:
    """Cancel a task."""
    err.print(operate(data, "tasks.cancel", task=task)["state"])


@tasks.command("retry")
def retry_task(task: str, data: Data = None) -> None:
    """Make an ended task again, as a new one with its own hold."""
    print(operate(data, "tasks.retry", task=task)["id"])


@tasks.command("redeliver")
def redeliver(task: str, data: Data = None) -> None:
    """Send a task's last webhook again."""
    operate(data, "tasks.redeliver", task=task)
    err.print("on its way")


@tasks.command("refund")
def refund_task(task: str, usd: str, reason: Annotated[str, typer.Option()], data: Data = None) -> None:
    """Give back some of what a task was charged."""
    operate(data, "tasks.refund", task=task, usd=usd, reason=reason)
    err.print("refunded")


@files.command("prune")
def prune(data: Data = None) -> None:
    """Remove now what is past its time."""
    gone = operate(data, "files.prune")
    out.print(f"removed the data of {gone['tasks']} tasks, {gone['files']} files, {gone['blobs']} blobs")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
