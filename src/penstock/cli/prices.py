"""`penstock prices`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, err, operate, show

commands = typer.Typer(name="prices", help="Prices: what models cost your callers.", no_args_is_help=True)


@commands.command("set")
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
    from penstock.console.acts import micros

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


@commands.command("list")
def list_prices(data: Data = None, as_json: AsJson = False) -> None:
    """List what each model costs."""
    found = operate(data, "prices.list")
    if not as_json:
        for row in found:
            row["price"] = "; ".join(f"{x['micros'] / 1e6:g} USD/{x.get('per', 1)} {x['unit']}" for x in row["lines"])
    show(found, as_json, "model", "price", "from")
