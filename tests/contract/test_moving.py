"""Moving here from other gateways: old keys go on, through the channels and at the prices that were read."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asking import Reply, ask
from tests.contract.test_docs import ROOT, blocks
from tests.live import Live
from tests.rigs.chatting import COMPLETION, PROMPT, Chatting
from tests.unit.declared.new_api_tables import NEW_API, sqlite_file

SECRET = "k" * 48
NOTHING_TO_DO, DIFFERS = 0, 3


@pytest.fixture
def upstream() -> Iterator[Chatting]:
    with Chatting() as running:
        yield running


def rows(upstream: Chatting) -> dict[str, list[dict[str, object]]]:
    options = {
        "ModelRatio": '{"gpt-4o": 1.25}',
        "CompletionRatio": '{"gpt-4o": 4}',
        "GroupRatio": '{"default": 1, "vip": 0.8}',
    }
    names = ("id", "type", "key", "name", "base_url", "models", "group", "model_mapping")
    channels = [
        (1, 1, "up-1", "for all", upstream.base_url("all"), "gpt-4o", "default", None),
        (2, 1, "up-2", "[vip] only", upstream.base_url("vip"), "gpt-4o,other", "vip", '{"gpt-4o": "gpt-4o-vip"}'),
    ]
    token = {"id": 1, "user_id": 2, "key": SECRET, "name": "app", "expired_time": -1, "remain_quota": 500_000}
    return {
        "channels": [dict(zip(names, channel, strict=True)) for channel in channels],
        "users": [
            {"id": 1, "username": "root", "password": "h", "role": 100, "quota": 0},
            {"id": 2, "username": "alice", "password": "h", "quota": 1_000_000, "group": "vip"},
        ],
        "tokens": [token | {"unlimited_quota": False, "model_limits_enabled": True, "model_limits": "gpt-4o"}],
        "options": [{"key": key, "value": value} for key, value in options.items()],
    }


def chat(server: Live, model: str, key: str = f"sk-{SECRET}") -> Reply:
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
    return ask(f"{server.url}/openai/v1/chat/completions", "POST", key=key, body=body)


def imported(server: Live, *args: str) -> subprocess.CompletedProcess[str]:
    return penstock(server, "import", *args)


def penstock(server: Live, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", *args, "--data", str(server.data)]
    return subprocess.run(command, env=server._environ(), cwd=server.folder, capture_output=True, text=True, timeout=60)


def live_balance(server: Live, account: str) -> int:
    every = json.loads(server.cli("accounts", "list", "--json"))
    return next(int(each["live"]) for each in every if each["name"] == account)


def test_an_old_key_of_new_api_calls_through_its_groups_channel_at_the_old_price(
    tmp_path: Path, upstream: Chatting
) -> None:
    database = str(sqlite_file(tmp_path / "one-api.db", NEW_API, rows(upstream)))
    with Live(tmp_path / "here") as server:
        shown = imported(server, "new-api", database, "--dry-run")
        assert shown.returncode == DIFFERS, shown.stderr
        done = imported(server, "new-api", database, "--yes")
        assert done.returncode == 0, done.stderr
        assert "left behind: user root: an administrator" in done.stderr
        assert SECRET not in shown.stdout + done.stdout

        assert live_balance(server, "alice") == 2_000_000
        assert chat(server, "gpt-4o").status == 200
        assert [(asked.account, asked.body["model"]) for asked in upstream.asked] == [("vip", "gpt-4o-vip")]
        charged = (PROMPT * 2.5 + COMPLETION * 10) * 0.8
        assert live_balance(server, "alice") == 2_000_000 - charged
        assert chat(server, "other").status == 403

        again = imported(server, "new-api", database, "--dry-run")
        assert again.returncode == NOTHING_TO_DO, again.stdout
        assert live_balance(server, "alice") == 2_000_000 - charged


def test_a_model_of_litellm_answers_under_its_name_and_its_alias(tmp_path: Path, upstream: Chatting) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"""
model_list:
  - model_name: house
    litellm_params: {{model: openai/big, api_base: "{upstream.base_url("first")}/v1", api_key: os.environ/FIRST_KEY}}
    model_info: {{input_cost_per_token: 2.0e-6, output_cost_per_token: 8.0e-6}}
router_settings:
  model_group_alias: {{gpt-4o: house}}
""")
    with Live(tmp_path / "here", environment={"FIRST_KEY": "up-1"}) as server:
        done = imported(server, "litellm", str(config), "--yes")
        assert done.returncode == 0, done.stderr
        key = server.keys("app", mode="live")["key"]
        server.cli("accounts", "topup", "default", "1")
        assert [chat(server, model, key).status for model in ("house", "gpt-4o")] == [200, 200]
        assert [(asked.account, asked.body["model"]) for asked in upstream.asked] == [("first", "big")] * 2
        assert live_balance(server, "default") == 1_000_000 - 2 * (PROMPT * 2 + COMPLETION * 8)
        assert imported(server, "litellm", str(config), "--dry-run").returncode == NOTHING_TO_DO


def test_the_commands_of_the_page_work_in_order(tmp_path: Path, upstream: Chatting) -> None:
    page = ROOT / "docs" / "moving.md"
    [config] = blocks(page, "yaml")
    with Live(tmp_path / "here", environment={"OPENAI_API_KEY": "up-1", "AZURE_API_KEY": "up-2"}) as server:
        sqlite_file(server.folder / "one-api.db", NEW_API, rows(upstream))
        (server.folder / "config.yaml").write_text(config)
        for line in "".join(blocks(page, "sh")).splitlines():
            done = penstock(server, *shlex.split(line)[1:])
            assert done.returncode == (DIFFERS if "--dry-run" in line else 0), f"{line}\n{done.stdout}{done.stderr}"
        names = {each["name"] for each in json.loads(server.cli("channels", "list", "--json"))}
        assert names == {"for all", "[vip] only", "openai", "azure acme.openai.azure.com", "hosted_vllm 10.0.0.7"}
