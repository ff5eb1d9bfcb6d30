"""One file declares it all: applied by the command, beside a server and without one, at start, and on SIGHUP."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asking import ask
from tests.live import Live

SECRET = "sk-from-before-1234"
KEY = f'\n[[keys]]\nname = "old app"\nkey = "{SECRET}"\n'
CHANNEL = '\n[[channels]]\nname = "acme"\nprovider = "vllm"\ncredential = "env:ACME_KEY"\n'
GROUP = '\n[[groups]]\nname = "team"\nrpm = {}\n'


def penstock(server: Live, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Not on a terminal, in the server's folder."""
    command = [sys.executable, "-m", "penstock", *args, "--data", str(server.data)]
    given = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    given |= {"COLUMNS": "200"} | server.environment | environment
    return subprocess.run(command, env=given, cwd=server.folder, capture_output=True, text=True, timeout=60)


def status(server: Live, key: str) -> int:
    return ask(f"{server.url}/v1/models", key=key).status


def rows(server: Live, noun: str) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(server.cli(noun, "list", "--json"))}


def logged(server: Live, words: str) -> None:
    """Waits until the server's log says it."""
    deadline = time.monotonic() + 10
    while words not in server.log.read_text():
        assert time.monotonic() < deadline, server.log_tail()
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path, environment={"ACME_KEY": "canary-1"}) as running:
        yield running


def test_applied_beside_a_server_it_holds_at_once(server: Live) -> None:
    file = server.folder / "penstock.toml"
    file.write_text("rpm = 1000\n" + GROUP.format(5) + CHANNEL + KEY + '\n[[keys]]\nname = "new"\n')
    assert status(server, SECRET) == 401
    seen = penstock(server, "apply", "--dry-run")
    assert seen.returncode == 3 and "+ channels acme" in seen.stdout and "•••" in seen.stdout
    assert "canary" not in seen.stdout + seen.stderr
    assert status(server, SECRET) == 401
    done = penstock(server, "apply")
    assert done.returncode == 0, done.stderr
    new = done.stdout.split("key default/new: ")[1].split()[0]
    assert [status(server, key) for key in (SECRET, new)] == [200, 200]
    for args in (("apply",), ("apply", "--dry-run"), ("apply", "--json")):
        again = penstock(server, *args)
        assert again.returncode == 0 and "sk-" not in again.stdout
    file.write_text(GROUP.format(6))
    assert "rpm: 5 → 6" in penstock(server, "apply").stdout
    assert rows(server, "groups")["team"]["rpm"] == 6
    assert "canary" not in server.log.read_text() and SECRET not in server.cli("audit", "list", "--json")


def test_what_is_refused(server: Live) -> None:
    file = server.folder / "other.toml"
    file.write_text(GROUP.format(5) + '[[channels]]\nname = "x"\nprovider = "nobody"\n')
    done = penstock(server, "apply", "other.toml")
    assert done.returncode == 1 and "channels, 'x': no provider named 'nobody'" in done.stderr
    assert "team" not in rows(server, "groups")
    file.write_text(CHANNEL.replace("ACME_KEY", "NOT_THERE"))
    assert "the environment has no NOT_THERE" in penstock(server, "apply", "other.toml").stderr
    missing = penstock(server, "apply", "nowhere.toml")
    assert missing.returncode == 1 and "nowhere.toml can't be read: No such file" in missing.stderr


def test_an_export_is_the_same_and_makes_the_same(server: Live, tmp_path_factory: pytest.TempPathFactory) -> None:
    (server.folder / "all.toml").write_text(GROUP.format(5) + CHANNEL + KEY + '[[prices]]\nmodel = "m"\nrun = "0.1"\n')
    assert penstock(server, "apply", "all.toml").returncode == 0
    told = penstock(server, "export")
    assert "canary" not in told.stdout and "it asks the environment for ACME_CREDENTIAL" in told.stderr
    exported = server.folder / "exported.toml"
    assert penstock(server, "export", "--secrets", "-o", "exported.toml").returncode == 0
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    same = penstock(server, "apply", "exported.toml", "--dry-run")
    assert same.returncode == 0 and "nothing to do" in same.stderr
    empty = Live(tmp_path_factory.mktemp("empty"))  # never started: the command opens the database itself
    assert penstock(empty, "apply", str(exported), "--json").returncode == 0
    assert penstock(empty, "export", "--secrets").stdout == exported.read_text()


def test_the_file_is_applied_at_start_and_on_sighup(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(GROUP.format(5) + CHANNEL + KEY + '[[keys]]\nname = "unseen"\n')
    with Live(tmp_path, environment={"ACME_KEY": "canary-1"}) as server:
        assert status(server, SECRET) == 200
        assert set(rows(server, "keys")) == {"old app"}
        assert "penstock apply" in server.log.read_text()
        server.cli("channels", "disable", "acme")
        assert server.process is not None
        pid = server.process.pid
        file.write_text(GROUP.format(7) + CHANNEL)
        os.kill(pid, signal.SIGHUP)
        logged(server, '"changes": 1')
        assert rows(server, "groups")["team"]["rpm"] == 7
        assert rows(server, "channels")["acme"]["disabled"] is True
        file.write_text(GROUP.format(8) + "[[")
        os.kill(pid, signal.SIGHUP)
        logged(server, "not applied")
        file.write_text(GROUP.format(9) + '[[channels]]\nname = "b"\nprovider = "nobody"\n')
        os.kill(pid, signal.SIGHUP)
        logged(server, "nobody")
        file.unlink()
        assert (rows(server, "groups")["team"]["rpm"], status(server, SECRET)) == (7, 200)
        assert "canary" not in server.log.read_text()


def test_a_server_does_not_start_with_a_document_that_makes_no_sense(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text('[[channels]]\nname = "b"\nprovider = "nobody"\n')
    with pytest.raises(RuntimeError, match="no provider named 'nobody'"):
        Live(tmp_path).start()
