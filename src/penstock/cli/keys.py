"""`penstock keys`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from penstock import clock
from penstock.cli._showing import AsJson, Data, facts, moment, operate, out, say, show, usd

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

DAY_S = 86_400.0
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
FIRST = (
    *("id", "prefix", "name", "mode", "account", "account_id", "group", "account_group"),
    *("state", "created_at", "expires_at", "scopes"),
)
"""What a key is, before what it may."""
WORDS = {
    "rpm": "{} requests a minute",
    "tpm": "{} tokens a minute",
    "concurrency": "{} at once",
    "quota_total": "{} USD in all",
    "quota_month": "{} USD a month",
    "quota_day": "{} USD a day",
    "models": "models {}",
    "networks": "from {}",
}
"""Its bounds, in a list of keys."""


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
        found = [key | {"group": _group(key), "state": _state(key), "bounds": _bounds(key)} for key in found]
    show(found, as_json, "prefix", "name", "mode", "account", "group", "state", below=("bounds",))


@commands.command("show")
def show_key(key: Which, data: Data = None, as_json: AsJson = False) -> None:
    """Show what a key may, and what it has spent."""
    found = operate(data, "keys.show", key=key)
    print(json.dumps(found)) if as_json else _print(found)


@commands.command("revoke")
def revoke_key(key: Which, data: Data = None) -> None:
    """Revoke a key, at once."""
    operate(data, "keys.revoke", key=key)
    say(f"key {key!r} revoked")


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
        say((made["key"], "bold"), to=out)
        say(f"{made['mode']} key {made['name']!r} of account {made['account']!r}. Keep it: it can't be shown again.")


def _group(key: dict[str, Any]) -> str:
    """But for the one that all are in."""
    group = key["group"] or key["account_group"]
    return "" if group == "default" else str(group)


def _state(key: dict[str, Any]) -> str:
    ends = key["expires_at"]
    if key["state"] != "active" or not ends:
        return str(key["state"])
    soon = clock.parse(ends) < clock.after(DAY_S)
    return f"until {moment(ends) if soon else ends[:10]}"


def _bounds(key: dict[str, Any]) -> list[str]:
    special = [] if key["scopes"] == ["relay", "read"] else [f"scopes {' '.join(key['scopes'])}"]
    return special + [
        words.format(_bound(name, key[name])) for name, words in WORDS.items() if key[name] not in (None, [])
    ]


def _bound(name: str, value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return usd(value) if name.startswith("quota") else f"{value:,}"


def _print(key: dict[str, Any]) -> None:
    effect, spent = key.pop("in_effect", {}), key.pop("spent", {})
    said = {name: key[name] for name in sorted(key, key=_place)}
    said |= {f"{name} in effect": value for name, value in effect.items() if value != key.get(name)}
    said |= {f"spent {name}": value for name, value in spent.items()}
    facts({name: _value(name, value) for name, value in said.items()})


def _place(name: str) -> int:
    """What is not among the first stays in its order."""
    return FIRST.index(name) if name in FIRST else len(FIRST)


def _value(name: str, value: Any) -> Any:
    return f"{usd(value)} USD" if name.startswith(("quota", "spent")) and value is not None else value
