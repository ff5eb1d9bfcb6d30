"""What commands show people: names as they are, and whole at 80 columns where a command needs them. None but those that
set a gateway up make one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from penstock.cli import app
from penstock.cli._showing import moment, number, usd
from tests.asking import ask
from tests.live import Live

IMAGE = "black-forest-labs/flux-schnell"
BRACKETS = ("[/x]", "a[b]", ":boat: [red]x")


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *path, name)


def helps(command: Any, *path: str) -> Any:
    for name in path:
        command = command.commands[name]
    return [parameter.help for parameter in command.params if getattr(parameter, "help", None)]


EVERY = sorted(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: " ".join(path) or "penstock")
def test_help_says_what_it_was_written_to_say(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*path, "--help"], terminal_width=1000)
    assert done.exit_code == 0, done.exception
    said = "".join(done.output.split())
    for words in helps(typer.main.get_command(app), *path):
        assert "".join(words.rstrip(".").split()) in said


def at_80(data: Path, *args: str, columns: str = "80", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "COLUMNS"))}
    given |= {"COLUMNS": columns} if columns else {}
    command = [sys.executable, "-m", "penstock", *args, *(("--data", str(data)) if cwd is None else ())]
    return subprocess.run(command, env=given, cwd=cwd, capture_output=True, text=True, timeout=60)


def shown(live: Live, *args: str, columns: str = "80") -> str:
    done = at_80(live.data, *args, columns=columns)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", BRACKETS)
def test_names_with_brackets_are_shown_as_they_are(live: Live, name: str) -> None:
    channel = (
        "--provider",
        "openai",
        "--credential",
        "sk-x",
        "--model",
        f"q{name}",
        "--base-url",
        "http://127.0.0.1:9",
    )
    for said in [
        shown(live, "accounts", "create", name),
        shown(live, "accounts", "list"),
        shown(live, "accounts", "topup", name, "1", "--reason", name),
        shown(live, "keys", "create", "--name", name, "--account", name, "--model", f"m{name}"),
        shown(live, "keys", "list"),
        shown(live, "keys", "show", name),
        shown(live, "keys", "revoke", name),
        shown(live, "channels", "add", name, *channel),
        shown(live, "channels", "list"),
        shown(live, "channels", "change", name, "--rpm", "5"),
        shown(live, "channels", "disable", name),
        shown(live, "prices", "set", f"p{name}", "--run", "1", "--source", name),
        shown(live, "prices", "list"),
        shown(live, "prices", "show", f"p{name}"),
        shown(live, "aliases", "set", f"al{name}", f"q{name}"),
        shown(live, "aliases", "list"),
        shown(live, "codes", "create", "5", "--reason", name) + shown(live, "codes", "list"),
        shown(live, "groups", "set", name) + shown(live, "groups", "show", name),
        shown(live, "audit", "list", columns=""),
    ]:
        assert name in said
    for words in (("accounts", "topup", f"no{name}", "1"), ("prices", "set", "tiny", "--line", f"a{name}")):
        refused = at_80(live.data, *words)
        assert (refused.returncode, name in refused.stderr, refused.stderr.count("\n")) == (1, True, 1), refused.stderr


def test_what_commands_need_is_whole_at_80_columns(live: Live) -> None:
    url = f"{live.url}/replicate/v1/models/{IMAGE}/predictions"
    task = ask(url, "POST", key=live.test_key, body={"input": {"prompt": "x"}}, prefer="wait").json["id"]
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    reply = ask(f"{live.url}/v1/chat/completions", "POST", key=live.test_key, body=body)
    request = reply.headers["x-request-id"]
    shown(
        live,
        "codes",
        "create",
        "1",
        "--reason",
        "for those who stood in the rain while the boats came in, all day long",
    )
    many = [word for number in range(9) for word in ("--model", f"someone/a-model-of-theirs-{number}")]
    shown(live, "channels", "add", "wide", "--provider", "replicate", "--credential", "r8_x", *many, "--priority", "3")
    shown(live, "keys", "create", "--name", "wide", "--rpm", "60", "--quota-month", "1250.5", *many, "--expires", "2h")
    assert shown(live, "tasks", "list").split().count(task) == 1
    [line] = [line for line in shown(live, "calls", "list", "--test").splitlines() if request in line]
    assert line.split()[0] == request
    code = json.loads(shown(live, "codes", "list", "--json"))[0]["prefix"]
    assert code in shown(live, "codes", "list").split()
    key = json.loads(shown(live, "keys", "list", "--json"))[-1]
    keys = shown(live, "keys", "list")
    assert key["prefix"] in keys.split() and f"{moment(key['expires_at'])}" in keys
    assert "60 requests a minute, 1,250.5 USD a month" in keys
    channels = shown(live, "channels", "list")
    assert "weight" not in channels and f"models: {', '.join(many[1::2])}\n" in channels
    adjusted = {"name": "no such account", "usd": "-1", "reason": "found while the books were read, twice"}
    assert ask(f"{live.url}/v1/admin/accounts/adjust", "POST", key=live.admin_key, body=adjusted).status in (400, 404)
    audit = shown(live, "audit", "list")
    assert not [line for line in audit.splitlines() if len(line) > 80]
    assert "…" in audit and "    actor: key/" in audit


def test_lines_are_whole_where_there_is_no_terminal(live: Live) -> None:
    source = f"https://example.com/{'prices/' * 20}"
    shown(live, "prices", "set", "acme/wide", "--run", "0.000001", "--source", source)
    [line] = [line for line in shown(live, "audit", "list", columns="").splitlines() if source in line]
    assert "…" not in line and "acme/wide" in line
    assert source in shown(live, "prices", "show", "acme/wide", columns="")


def test_prices_are_the_operators_own_until_asked_for_all(live: Live) -> None:
    shown(live, "prices", "set", "acme/mine", "--run", "0.000015")
    few, all_ = shown(live, "prices", "list"), shown(live, "prices", "list", "--all")
    assert "acme/mine" in few and "run=0.000015" in few and "gpt-4o-mini" not in few
    assert "acme/mine" in all_ and "gpt-4o-mini" in all_
    assert "operator" not in shown(live, "prices", "show", "acme/mine")


@pytest.mark.parametrize(
    "args", [("accounts", "list"), ("keys", "list"), ("tasks", "list"), ("doctor",), ("ledger", "check"), ("export",)]
)
def test_no_gateway_is_made_by_looking_for_one(tmp_path: Path, args: tuple[str, ...]) -> None:
    done = at_80(tmp_path, *args, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "penstock: there is no gateway's data in ./data; start it with penstock serve, or name its directory: "
        "--data DIR, PENSTOCK_DATA\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data =\n", ("penstock.toml: not TOML", "line 1")),
        ("[/x]\n", ("penstock.toml: not TOML", "line 1")),
        ('port = "[bold]"', ("penstock.toml", "port: ")),
        ("nonsense = 1", ("penstock.toml has settings that there are not: nonsense",)),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "penstock.toml").write_text(text)
    done = at_80(tmp_path, "doctor", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("penstock: "), done.stderr
    assert all(each in done.stderr for each in words) and done.stderr.count("\n") == 1, done.stderr


def test_a_broken_document_is_named_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "moved.toml").write_text("[[channels]]\nname = 5\n")
    done = at_80(tmp_path, "apply", "moved.toml", cwd=tmp_path)
    assert (done.returncode, "moved.toml: " in done.stderr, "$.channels[0]" in done.stderr) == (1, True, True)


def test_amounts_have_no_exponent() -> None:
    assert [usd(15), usd("0.5"), usd(1_234_567_500_000), usd(-1)] == [
        "0.000015",
        "0.0000005",
        "1,234,567.5",
        "-0.000001",
    ]
    assert [number(0), number(1e-05), number(100)] == ["0", "0.00001", "100"]


def test_an_exponent_is_no_amount(live: Live) -> None:
    shown(live, "accounts", "create", "bakery")
    done = at_80(live.data, "accounts", "topup", "bakery", "1e3")
    assert (done.returncode, "1e3" in done.stderr) == (1, True)
