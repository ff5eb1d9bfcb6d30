"""The whole gateway on PostgreSQL: the same promises as on SQLite, and one serving node per database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asking import ask
from tests.live import Live
from tests.stores import Postgres

MODEL = "black-forest-labs/flux-schnell"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    postgres = Postgres()
    asyncio.run(postgres.execute("CREATE DATABASE whole"))
    yield postgres.url("whole")
    postgres.close()


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("on-postgres")
    with Live(folder, environment={"PENSTOCK_DATABASE_URL": database}) as running:
        yield running


def create(server: Live, prompt: str, **headers: str) -> dict[str, object]:
    url = f"{server.url}/replicate/v1/models/{MODEL}/predictions"
    reply = ask(url, "POST", key=server.test_key, body={"input": {"prompt": prompt}}, **headers)
    assert reply.status == 201, reply.body
    return dict(reply.json)


def get(server: Live, id: object) -> dict[str, object]:
    return dict(ask(f"{server.url}/replicate/v1/predictions/{id}", key=server.test_key).json)


def test_a_task_goes_its_way(server: Live) -> None:
    made = create(server, "a boat", prefer="wait")
    assert made["status"] == "succeeded" and made["output"]
    listed = ask(f"{server.url}/replicate/v1/predictions", key=server.test_key).json["results"]
    assert made["id"] in [found["id"] for found in listed]
    assert get(server, made["id"]) == made
    assert ask(str(made["output"][0])).status == 200  # type: ignore[index]


def test_what_runs_survives_kill_9(server: Live) -> None:
    tasks = [create(server, f"[[slow:2]] {n}") for n in range(5)]
    server.kill()
    server.start()
    deadline = time.monotonic() + 20
    while any(get(server, task["id"])["status"] != "succeeded" for task in tasks):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "books balance" in server.cli("ledger", "check")


def test_the_same_key_is_the_same_task(server: Live) -> None:
    first, second = (create(server, "once", idempotency_key="k1")["id"] for _ in range(2))
    assert first == second


def test_a_cancel_by_the_operator_is_seen_at_once(server: Live) -> None:
    made = create(server, "[[hang]]")
    assert get(server, made["id"])["status"] in ("starting", "processing")
    server.cli("tasks", "cancel", str(made["id"]))
    deadline = time.monotonic() + 10
    while get(server, made["id"])["status"] != "canceled":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_second_serving_node_is_refused(server: Live, database: str, tmp_path: Path) -> None:
    other = Live(tmp_path, environment={"PENSTOCK_DATABASE_URL": database})
    with pytest.raises(RuntimeError, match="another penstock node"):
        other.start()


def test_commands_work_without_the_server(server: Live, database: str) -> None:
    server.stop()
    try:
        assert {row["name"] for row in json.loads(server.cli("accounts", "list", "--json"))} >= {"default"}
        assert "books balance" in server.cli("ledger", "check")
    finally:
        server.start()
