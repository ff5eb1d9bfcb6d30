"""`penstock keys`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from penstock.cli._showing import AsJson, Data, err, operate, out, show

commands = typer.Typer(name="keys", help="Keys: what clients call with.", no_args_is_help=True)

Words = list[str] | None
Which = Annotated[str, typer.Argument(metavar="KEY", help="Id, name, or prefix.")]
Group = Annotated[str | None, typer.Option(help="Its account's, unless set.")]
Expires = Annotated[str | None, typer.Option(help="A date, a time (RFC 3339), or so long from now: 30d, 12h.")]
Models = Annotated[Words, typer.Option("--model", "--models", help="A name, or a pattern: openai/*. Repeat it.")]
Networks = Annotated[Words, typer.Option("--network", help="Where its clients may be: 203.0.113.0/24. Repeat it.")]
Scopes = Annotated[Words, typer.Option("--scope", help="relay, read, or admin. Repeat it; relay and read unless set.")]
Quota = Annotated[str | None, typer.Option(help="The most that it may spend in all, in USD.")]
QuotaMonth = Annotated[str | None, typer.Option(help="In a month, by UTC.")]
QuotaDay = Annotated[str | None, typer.Option(help="In a day, by UTC.")]
Rpm = Annotated[int | None, typer.Option(min=1, help="The most requests a minute.")]
Tpm = Annotated[int | None, typer.Option(min=1, help="The most tokens a minute.")]
Concurrency = Annotated[int | None, typer.Option(min=1, help="The most unfinished work at once.")]

BOUNDS = {
    "group": "group",
    "expires": "expires",
    "model": "models",
    "network": "networks",
    "quota": "quota_usd",
    "quota-month": "quota_month_usd",
    "quota-day": "quota_day_usd",
    "rpm": "rpm",
    "tpm": "tpm",
    "concurrency": "concurrency",
}
"""What can be taken away, by the name of its option."""


@commands.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    test: Annotated[
        bool, typer.Option("--test/--live", help="A test key costs nothing and never leaves here.")
    ] = False,
    account: Annotated[str, typer.Option(help="Whose; made if need be.")] = "default",
    key: Annotated[
        str,
        typer.Option(
            help="One that its clients have already, from elsewhere; better by environment.",
            envvar="PENSTOCK_IMPORT_KEY",
            show_envvar=True,
        ),
    ] = "",
    group: Group = None,
    expires: Expires = None,
    models: Models = None,
    network: Networks = None,
    scope: Scopes = None,
    quota: Quota = None,
    quota_month: QuotaMonth = None,
    quota_day: QuotaDay = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once."""
    mode = "test" if test else "live"
    given = _given(
        *(("key", key or None), ("group", group), ("expires", expires), ("models", models), ("networks", network)),
        *(("scopes", scope), ("quota_usd", quota), ("quota_month_usd", quota_month), ("quota_day_usd", quota_day)),
        *(("rpm", rpm), ("tpm", tpm), ("concurrency", concurrency)),
    )
    _made(operate(data, "keys.create", name=name, mode=mode, account=account, **given), as_json)


@commands.command("change")
def change_key(
    key: Which,
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    group: Group = None,
    expires: Expires = None,
    models: Models = None,
    network: Networks = None,
    scope: Scopes = None,
    quota: Quota = None,
    quota_month: QuotaMonth = None,
    quota_day: QuotaDay = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    clear: Annotated[Words, typer.Option("--clear", help=f"Take a bound away: {', '.join(BOUNDS)}. Repeat it.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change what a key may, at once. What is left out stays as it is; a list takes the place of the old one."""
    given = _given(
        *(("name", name), ("group", group), ("expires", expires), ("models", models), ("networks", network)),
        *(("scopes", scope), ("quota_usd", quota), ("quota_month_usd", quota_month), ("quota_day_usd", quota_day)),
        *(("rpm", rpm), ("tpm", tpm), ("concurrency", concurrency)),
    )
    changed = operate(data, "keys.change", key=key, **given, **cleared(clear, BOUNDS))
    print(json.dumps(changed)) if as_json else _print(changed)


@commands.command("rotate")
def rotate_key(
    key: Which,
    overlap: Annotated[str, typer.Option(help="How long the old one goes on: 24h, 7d; 0 ends it now.")] = "0",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key with the name and the bounds of this one, which ends after the overlap."""
    _made(operate(data, "keys.rotate", key=key, overlap=overlap), as_json)


@commands.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """List keys, without their secrets."""
    found = operate(data, "keys.list")
    if not as_json:
        found = [row | {"group": row["group"] or row["account_group"], "state": _state(row)} for row in found]
    show(found, as_json, "prefix", "name", "mode", "account", "group", "state")


@commands.command("show")
def show_key(key: Which, data: Data = None, as_json: AsJson = False) -> None:
    """Show what a key may, and what it has spent."""
    found = operate(data, "keys.show", key=key)
    print(json.dumps(found)) if as_json else _print(found)


@commands.command("revoke")
def revoke_key(key: Which, data: Data = None) -> None:
    """Revoke a key, at once."""
    operate(data, "keys.revoke", key=key)
    err.print("revoked")


def cleared(words: Words, bounds: dict[str, str]) -> dict[str, None]:
    """What to take away. Raises BadParameter."""
    if unknown := set(words or ()) - set(bounds):
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))} to clear; there are {', '.join(bounds)}")
    return {bounds[word]: None for word in words or ()}


def _given(*options: tuple[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options if value is not None}


def _made(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(made))
    else:
        out.print(f"[bold]{made['key']}[/]", highlight=False, soft_wrap=True)
        words = f"{made['mode']} key {made['name']!r} of account {made['account']!r}."
        err.print(f"{words} Keep it: it can't be shown again.", soft_wrap=True)


def _state(key: dict[str, Any]) -> str:
    ends = key["expires_at"]
    return f"until {ends[:10]}" if key["state"] == "active" and ends else str(key["state"])


def _print(key: dict[str, Any]) -> None:
    effect, spent = key.pop("in_effect", {}), key.pop("spent", {})
    more = {f"{name} in effect": value for name, value in effect.items() if value != key.get(name)}
    more |= {f"spent {name}": value for name, value in spent.items()}
    facts({name: _value(name, value) for name, value in (key | more).items()})


def _value(name: str, value: Any) -> Any:
    return f"{value / 1e6:g} USD" if name.startswith(("quota", "spent")) and value is not None else value


def facts(said: dict[str, Any]) -> None:
    """A line for each thing that is said."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in said.items():
        if value not in (None, [], ""):
            words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            table.add_row(f"[bold]{name.replace('_', ' ')}[/]", escape(words))
    out.print(table)
