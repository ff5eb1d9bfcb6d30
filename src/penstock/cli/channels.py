"""`penstock channels`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Annotated, Any

import typer

from penstock.cli._showing import BAD, GOOD, AsJson, Data, operate, out, say, show

commands = typer.Typer(name="channels", help="Channels: upstream accounts and servers.", no_args_is_help=True)


Credential = Annotated[
    list[str] | None,
    typer.Option(
        "--credential",
        help="Its API key, or env:NAME for one that the environment holds. Repeat it for several. "
        "Without it: PENSTOCK_CREDENTIAL, one a line.",
    ),
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="owner/name, owner/name=vendor/name, owner/*, or *. Repeat it.")
]
Option = Annotated[
    list[str] | None, typer.Option("--option", help="A fact: idempotent=true, cost=0.8, probe_s=10. Repeat it.")
]
BOUNDS = ("concurrency", "rpm")
USUAL = {"priority": 0, "weight": 1, "concurrency": None, "rpm": None, "credentials": 1}
"""What a channel has unless told; a list of channels shows what is other."""


@commands.command("add")
def add_channel(
    name: str,
    provider: Annotated[str, typer.Option(help="openai, anthropic, gemini, replicate, cog, …")],
    base_url: Annotated[str, typer.Option(help="Where it is; the provider's own address unless set.")] = "",
    credential: Credential = None,
    model: Models = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    weight: Annotated[int, typer.Option(min=0, help="Share among those of one priority.")] = 1,
    concurrency: Annotated[int | None, typer.Option(min=1, help="The most work there at once.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="The most requests a minute.")] = None,
    option: Option = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add an upstream account or server. Its credentials are stored encrypted. Limits are of each credential."""
    given: dict[str, Any] = {"name": name, "provider": provider, "base_url": base_url}
    given["credentials"] = _credentials(credential) or [os.environ.get("PENSTOCK_CREDENTIAL", "")]
    given |= {"models": model or ["*"], "priority": priority, "weight": weight, "concurrency": concurrency, "rpm": rpm}
    made = operate(data, "channels.add", **given, options=_options(option))
    if as_json:
        print(json.dumps(made))
        return
    say(f"channel {name!r} added; try it: penstock channels test {shlex.quote(name)}")
    if "upload_url" in made:
        say(f"start the Cog server with --upload-url {made['upload_url']}")


@commands.command("change")
def change_channel(
    name: str,
    provider: Annotated[str | None, typer.Option(help="Another provider.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Where it is.")] = None,
    credential: Annotated[
        list[str] | None,
        typer.Option(
            "--credential", help="All it shall have from now on; env:NAME for one in the environment. Repeat it."
        ),
    ] = None,
    model: Models = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first.")] = None,
    weight: Annotated[int | None, typer.Option(min=0, help="Share among those of one priority.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="The most work there at once.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="The most requests a minute.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="A fact, of which the others stay: cost=0.8; cost= ends it.")
    ] = None,
    clear: Annotated[list[str] | None, typer.Option("--clear", help="Take a bound away: concurrency, rpm.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change a channel, at once. What is left out stays as it is; a list takes the place of the old one. If the channel
    rests, it is given a fresh chance."""
    given: dict[str, Any] = {"provider": provider, "base_url": base_url, "models": model}
    given["credentials"] = _credentials(credential)
    given |= {"priority": priority, "weight": weight, "concurrency": concurrency, "rpm": rpm}
    said = {field: value for field, value in given.items() if value is not None}
    if option:
        said["options"] = {option: None if value == "" else value for option, value in _options(option).items()}
    for bound in clear or []:
        if bound not in BOUNDS:
            raise typer.BadParameter(f"there is no bound {bound!r}; there are {', '.join(BOUNDS)}")
        said[bound] = None
    changed = operate(data, "channels.change", name=name, **said)
    print(json.dumps(changed)) if as_json else say(f"channel {name!r} changed")


def _credentials(given: list[str] | None) -> list[str] | None:
    """Those of the environment filled in: what stands in a command line is seen by all who may list processes."""
    named = [text.removeprefix("env:") for text in given or [] if text.startswith("env:")]
    if missing := [name for name in named if name not in os.environ]:
        raise typer.BadParameter(f"the environment has no {', '.join(missing)}")
    return given and [os.environ[text[4:]] if text.startswith("env:") else text for text in given]


def _options(given: list[str] | None) -> dict[str, Any]:
    return dict(_option(text) for text in given or [])


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@commands.command("list")
def list_channels(data: Data = None, as_json: AsJson = False) -> None:
    """List channels, without their credentials, and how they do. Averages of first bytes are seconds."""
    rows = operate(data, "channels.list")
    if as_json:
        return show(rows, as_json)
    show([_brief(row) for row in rows], False, "name", "provider", *USUAL, "health", below=("models", "first byte"))
    for row in rows:
        for trouble in _troubles(row["health"]):
            say(f"{row['name']} {trouble}", to=out)


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is as it would be had nobody said anything."""
    resting = not row["disabled"] and _troubles(row["health"])
    return {
        "name": row["name"],
        "provider": row["provider"],
        **{name: row[name] if row[name] != usual else None for name, usual in USUAL.items()},
        "health": "disabled" if row["disabled"] else "see below" if resting else "ready",
        "models": [ours if ours == theirs else f"{ours}={theirs}" for ours, theirs in row["models"].items()],
        "first byte": [f"{model} {first_s:g}" for each in row["health"] for model, first_s in each["first_s"].items()],
    }


def _troubles(credentials: list[dict[str, Any]]) -> list[str]:
    """Who does not do well, and why: by number where there are several."""
    several, troubled = len(credentials) > 1, []
    for number, each in enumerate(credentials, 1):
        parts = [("", each), *each["models"].items()]
        whose = f"no. {number} " if several else ""
        troubled += [f"{whose}{model} {_state(it)}".strip() for model, it in parts if it["state"] != "ready"]
    return troubled


def _state(it: dict[str, Any]) -> str:
    rests = f" for {it['resting_s']:.0f} s" if it["state"] == "resting" else ""
    return f"{it['state']}{rests}: {it['why']}"


@commands.command("test")
def test_channel(name: str, data: Data = None, as_json: AsJson = False) -> None:
    """Ask an upstream whether it answers and takes the credential. Exit code 1 if not."""
    found = operate(data, "channels.test", name=name)
    several = found.get("credentials", [])
    if as_json:
        print(json.dumps(found))
    elif several:
        for number, each in enumerate(several, 1):
            mark, said = (GOOD, "works") if each["works"] else (BAD, each["reason"])
            say(f"{name} no. {number}: ", mark, f" {said}")
    elif found["works"]:
        say(GOOD, f" {name} works", to=out)
    else:
        say(BAD, f" {name}: {found['reason']}")
    sys.exit(0 if found["works"] else 1)


@commands.command("disable")
def disable_channel(
    name: str,
    enable: Annotated[bool, typer.Option("--enable", help="Take it back into use.")] = False,
    data: Data = None,
) -> None:
    """Send a channel no new work. What runs there goes on."""
    operate(data, "channels.disable", name=name, disabled=not enable)
    say(f"channel {name!r} {'enabled' if enable else 'disabled'}")
