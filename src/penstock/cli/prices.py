"""`penstock prices`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli._showing import LOOK, AsJson, Data, operate, out, say, show

commands = typer.Typer(name="prices", help="Prices: what models cost your callers.", no_args_is_help=True)

OPERATOR = "operator"
"""Where a price is from unless told: no source to speak of."""
Channel = Annotated[str, typer.Option(help="On this channel alone.")]
From = Annotated[str, typer.Option("--from", help="From then on, by UTC: 2026-12-01, or 2026-12-01T09:00:00Z.")]


def _usd(what: str) -> Any:
    return typer.Option(metavar="USD", help=f"For {what}.")


@commands.command("set")
def set_price(
    model: str,
    run: Annotated[str | None, _usd("a run, or a request")] = None,
    output: Annotated[str | None, _usd("an output: an image, a video, a file")] = None,
    second: Annotated[str | None, _usd("a second of run time")] = None,
    minute: Annotated[str | None, _usd("a minute of run time")] = None,
    video_second: Annotated[str | None, _usd("a second of finished video")] = None,
    audio_second: Annotated[str | None, _usd("a second of sound")] = None,
    audio_minute: Annotated[str | None, _usd("a minute of sound")] = None,
    character: Annotated[str | None, _usd("a character that goes in")] = None,
    input_mtok: Annotated[str | None, _usd("a million tokens that go in")] = None,
    cached_mtok: Annotated[str | None, _usd("a million that were read from a cache")] = None,
    output_mtok: Annotated[str | None, _usd("a million tokens that come out")] = None,
    line: Annotated[
        list[str] | None,
        typer.Option("--line", help="UNIT=USD[/PER] [above TOKENS] [when FIELD=VALUE,…]. Repeat it."),
    ] = None,
    channel: Channel = "",
    starts: From = "",
    source: Annotated[str, typer.Option(help="Where the price is from: a page, a contract.")] = OPERATOR,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set what a model costs, from now on or from a date. Work that exists keeps its price."""
    each = {"run": run, "output": output, "second": second, "minute": minute, "video_second": video_second}
    each |= {"audio_second": audio_second, "audio_minute": audio_minute, "character": character}
    tokens = {"input_token": input_mtok, "cached_token": cached_mtok, "output_token": output_mtok}
    lines = [f"{unit}={usd}" for unit, usd in each.items() if usd is not None]
    lines += [f"{unit}={usd}/1000000" for unit, usd in tokens.items() if usd is not None]
    lines += line or []
    if not lines:
        raise typer.BadParameter("give a price: --run, --output, --second, --input-mtok and --output-mtok, or --line")
    given = {"model": model, "lines": lines, "source": source, "channel": channel, "starts": starts}
    _say(operate(data, "prices.set", **given), as_json, "set")


@commands.command("unset")
def unset_price(
    model: str, channel: Channel = "", starts: From = "", data: Data = None, as_json: AsJson = False
) -> None:
    """Take your price of a model away: its list price holds again."""
    made = operate(data, "prices.unset", model=model, channel=channel, starts=starts)
    _say(made, as_json, "unset")


@commands.command("list")
def list_prices(
    model: Annotated[str, typer.Argument(help="A name, or a pattern such as 'openai/*'.")] = "",
    every: Annotated[bool, typer.Option("--all", help="With the whole catalogue, and the prices that were.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List your own prices, and what models cost that channels serve. With MODEL or --all, the catalogue's too."""
    rows = operate(data, "prices.list", model=model, every=every)
    if not model and not every:
        served = {each["model"] for each in operate(data, "models.list") if each["channels"]}
        rows = [row for row in rows if row["from"] == "you" or row["model"] in served]
    _show(rows, as_json)
    if not rows and not as_json:
        say("the catalogue's: penstock prices list --all")


@commands.command("show")
def show_price(model: str, data: Data = None, as_json: AsJson = False) -> None:
    """Show all prices that a model had, has, and will have."""
    rows = operate(data, "prices.show", model=model)
    _show(rows, as_json)
    for source in dict.fromkeys(row["source"] for row in rows if not as_json):
        if source not in ("", OPERATOR):
            say((f"source: {source}", "dim"), to=out)


@commands.command("import")
def import_prices(
    file: Annotated[Path, typer.Argument(help="LiteLLM's or genai-prices' JSON.", exists=True, dir_okay=False)],
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Only these: a name of the list, or a pattern. Repeat it.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All models of the list.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Take token prices over from a list: for the models that channels name, unless --model or --all says which."""
    content = file.read_text(encoding="utf-8", errors="replace")
    made = operate(data, "prices.import", content=content, models=model or [], every=every, dry_run=dry_run)
    if as_json:
        print(json.dumps(made, ensure_ascii=False))
        return
    rows = [
        {"model": change["model"], "change": change["change"], "price": _steps(change)} for change in made["changes"]
    ]
    if rows:
        show(rows, False, "model", "change", below=("price",))
    for refused in made["refused"]:
        say(LOOK, f" {refused['model']}: {refused['why']}")
    verb = "would change" if dry_run else "changed"
    say(f"{len(rows)} {verb}, {made['same']} are as they were, {len(made['refused'])} refused")


def _steps(change: dict[str, Any]) -> str:
    return "; ".join(
        f"{step['line']}: {step['was'] or '–'} → {step['is'] or '–'}{f' ({by})' if (by := step['by']) else ''}"
        for step in change["steps"]
    )


def _say(made: dict[str, Any], as_json: bool, verb: str) -> None:
    if as_json:
        print(json.dumps(made, ensure_ascii=False))
        return
    where = f" on {made['channel']}" if made["channel"] else ""
    when = f" from {made['starts_at']}" if made["holds"] == "coming" else ""
    say(f"price of {made['model']}{where} {verb}{when}")
    if not made["priced"] and made["holds"] == "now":
        but = "elsewhere" if made["channel"] else "any more"
        say(LOOK, f" it has no price {but}, so live keys can't use it")


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if not as_json:
        for row in rows:
            row["price"] = "; ".join(row["price"]) or ("the list price again" if row.get("unset") else "free")
            row["since"] = (row["starts_at"] or "").removesuffix("T00:00:00Z").replace("T", " ").removesuffix("Z")
    show(rows, as_json, "model", "channel", "holds", "since", "from", below=("price",))
