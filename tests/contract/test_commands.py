"""The commands, as people and scripts use them: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.asking import ask
from tests.live import Live

IMAGE, WORDS = "black-forest-labs/flux-schnell", "meta/meta-llama-3-8b-instruct"


def penstock(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", *args]
    given = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")} | {"COLUMNS": "200"} | environment
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)


def run(live: Live, *args: str) -> subprocess.CompletedProcess[str]:
    return penstock("run", *args, PENSTOCK_BASE_URL=live.url, PENSTOCK_API_KEY=live.test_key)


def test_run_saves_pictures(live: Live, tmp_path: Path) -> None:
    done = run(live, IMAGE, "-i", "prompt=a boat", "-i", "num_outputs=2", "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    saved = [Path(line) for line in done.stdout.split()]
    assert [path.parent for path in saved] == [tmp_path] * 2
    for path in saved:
        Image.open(path).verify()


def test_run_prints_words_as_they_come(live: Live, tmp_path: Path) -> None:
    done = run(live, WORDS, "-i", "prompt=tell me", "-i", "max_tokens=20", "-o", str(tmp_path))
    assert done.returncode == 0 and "sandbox" in done.stdout
    assert not list(tmp_path.iterdir())


def test_run_uploads_a_file(live: Live, tmp_path: Path) -> None:
    picture = tmp_path / "in.png"
    Image.new("RGB", (64, 64), "teal").save(picture)
    done = run(
        live,
        "black-forest-labs/flux-kontext-pro",
        "-i",
        "prompt=x",
        "-i",
        f"input_image=@{picture}",
        "-o",
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((IMAGE, "-i", "prompt=[[fail:out of paint]]"), 1, "out of paint"),
        ((IMAGE,), 1, "prompt is required"),
        (("nobody/nothing", "-i", "prompt=x"), 1, "could not be found"),
        ((IMAGE, "-i", "prompt"), 1, "not key=value"),
        ((IMAGE, "-i", "prompt=x", "-i", "image=@nowhere.png"), 1, "no file"),
    ],
)
def test_run_says_what_went_wrong(live: Live, args: tuple[str, ...], code: int, words: str) -> None:
    done = run(live, *args)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_cancels_a_run(live: Live) -> None:
    given = os.environ | {"PENSTOCK_BASE_URL": live.url, "PENSTOCK_API_KEY": live.test_key}
    command = [sys.executable, "-m", "penstock", "run", IMAGE, "-i", "prompt=[[slow:60]]", "--json"]
    process = subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "canceled"


def test_commands_work_beside_a_server_and_without_one(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    made = json.loads(penstock("keys", "create", "--name", "first", "--json", *data).stdout)
    assert set(made) == {"id", "name", "key", "mode", "account"} and made["key"].startswith("sk-live-")
    assert penstock("accounts", "topup", "default", "1.50", *data).returncode == 0
    with Live(tmp_path) as server:
        assert ask(f"{server.url}/replicate/v1/account", key=made["key"]).status == 200
        [account] = json.loads(server.cli("accounts", "list", "--json"))
        assert account["live"] == 1_500_000
        assert "books balance" in server.cli("ledger", "check")
        again = penstock("serve", "--port", "0", *data)
        assert again.returncode == 1 and "another penstock process" in again.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("accounts", "topup", "nobody", "5"), "no account"),
        (("accounts", "topup", "default", "five"), "not an amount"),
        (("keys", "revoke", "nothing"), "no active key"),
        (("channels", "add", "x", "--provider", "nobody"), "no provider"),
        (("channels", "test", "x"), "no channel"),
        (("tasks", "show", "x"), "no task"),
        (("prices", "set", "a/b", "--run", "-1"), "can't be negative"),
        (("prices", "set", "a/b", "--line", "banana=1"), "not a price"),
    ],
)
def test_refusals_are_one_line_and_exit_code_1(live: Live, args: tuple[str, ...], words: str) -> None:
    live.keys("so that the default account is there")
    done = penstock(*args, "--data", str(live.data))
    assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 2


def test_doctor_looks_it_over(live: Live) -> None:
    found = json.loads(live.cli("doctor", "--json"))
    assert {finding["about"] for finding in found} >= {"disk", "secret", "database", "channels", "ledger"}
    assert all(finding["verdict"] != "bad" for finding in found)


def test_a_backup_of_a_running_server_starts(live: Live, tmp_path: Path) -> None:
    url = f"{live.url}/replicate/v1/models/{IMAGE}/predictions"
    task = ask(url, "POST", key=live.test_key, body={"input": {"prompt": "keep me"}}, prefer="wait").json
    live.cli("backup", str(tmp_path / "copy" / "data"))
    with Live(tmp_path / "copy") as copy:
        kept = ask(f"{copy.url}/replicate/v1/predictions/{task['id']}", key=live.test_key).json
        assert kept["status"] == "succeeded"
        assert ask(kept["output"][0]).status == 200
        assert "books balance" in copy.cli("ledger", "check")


def test_a_stop_is_graceful_and_bounded(tmp_path: Path) -> None:
    server = Live(tmp_path).start()
    url = f"{server.url}/replicate/v1/models/{IMAGE}/predictions"
    task = ask(url, "POST", key=server.test_key, body={"input": {"prompt": "[[slow:4]]"}}).json
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 8
    server.start()
    try:
        for _ in range(100):
            found = ask(f"{server.url}/replicate/v1/predictions/{task['id']}", key=server.test_key).json
            if found["status"] == "succeeded":
                return
            time.sleep(0.1)
        raise AssertionError(found)
    finally:
        server.stop()


def test_a_nearly_full_disk_takes_no_new_work(tmp_path: Path) -> None:
    with Live(tmp_path, environment={"PENSTOCK_MIN_FREE_DISK": str(1 << 60)}, ready_at="/healthz") as server:
        assert ask(f"{server.url}/readyz").status == 503
        url = f"{server.url}/replicate/v1/models/{IMAGE}/predictions"
        reply = ask(url, "POST", key=server.test_key, body={"input": {"prompt": "x"}})
        assert reply.status == 503 and "disk" in reply.json["detail"]
        assert ask(f"{server.url}/replicate/v1/predictions", key=server.test_key).json["results"] == []


def test_help_names_every_command() -> None:
    said = penstock("--help").stdout
    for command in ("serve", "run", "keys", "accounts", "channels", "prices", "models", "tasks", "ledger", "doctor"):
        assert command in said
