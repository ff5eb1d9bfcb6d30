"""Reading the database of new-api or one-api."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock.declared.document import Account, Channel, Document, Group, Key, Line, Opening, Price
from penstock.declared.new_api import read
from penstock.declared.new_api.ratios import completion
from penstock.errors import CallerError
from tests.stores import Postgres
from tests.unit.declared.new_api_tables import NEW_API, ONE_API, sqlite_file, statements

DAY = 4_000_000_000  # in 2096
GONE = "2026-03-04 05:06:07.123456+08:00"


def secret(letter: str) -> str:
    return letter * 48


def channel(id: int, type: int, name: str, models: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "key": f"key-{id}", "name": name, "models": models, **more}


CHANNELS = [
    channel(1, 1, "OpenAI main", "gpt-4o,gpt-4o-mini", group="default,vip", priority=10, weight=5, status=1),
    channel(2, 14, "Claude", "claude-sonnet-4-20250514", group="vip", status=2),
    channel(
        3,
        24,
        "[vip] Gemini",
        "gemini-2.5-pro",
        group="vip",
        key="g-1\ng-2\ng-3",
        channel_info=json.dumps({"is_multi_key": True, "multi_key_status_list": {"1": 2}}),
    ),
    channel(
        4,
        3,
        "Azure",
        "gpt-4.1,gpt-4o",
        base_url="https://acme.openai.azure.com/",
        other="2024-06-01",
        created_time=1700000000,
        model_mapping='{"gpt-4o": "my-4o"}',
    ),
    channel(5, 43, "DeepSeek", "chat,deepseek-chat", model_mapping='{"chat":"a","a":"deepseek-chat"}'),
    channel(6, 25, "DeepSeek", "kimi-k2"),
    channel(
        7, 8, "Custom", "mine", base_url="https://llm.example.com/v2/chat/completions", param_override='{"top_p":1}'
    ),
    channel(8, 8, "Strange", "other", base_url="https://llm.example.com/{model}/generate"),
    channel(9, 39, "Cloudflare", "@cf/meta/llama-3", other="account-9"),
    channel(10, 2, "MJ", "mj_imagine"),
    channel(11, 33, "AWS", "claude-3-opus-20240229"),
    channel(12, 41, "Vertex", "gemini-2.5-pro"),
    channel(13, 26, "GLM plan", "glm-4.6", base_url="glm-coding-plan", setting='{"proxy":"","force_format":false}'),
    channel(14, 4, "Ollama", "llama3", key="", base_url="http://10.0.0.5:11434", tag="home"),
    channel(15, 1, "Relay", "expr,flat", base_url="https://relay.example.com", header_override='{"x-a":"b"}'),
]
USERS = [
    {"id": 1, "username": "root", "password": "h", "role": 100, "quota": 100_000_000},
    {
        "id": 2,
        "username": "alice",
        "password": "h",
        "quota": 1_234_567,
        "used_quota": 99,
        "group": "vip",
        "aff_quota": 500_000,
    },
    {"id": 3, "username": "bob", "password": "h", "quota": -250_000},
    {"id": 4, "username": "carol", "password": "h", "quota": 500_000, "status": 2},
    {"id": 5, "username": "dave", "password": "h", "quota": 0, "group": "empty"},
    {"id": 6, "username": "erin", "password": "h", "quota": 5, "deleted_at": GONE},
]


def token(id: int, user: int, letter: str, name: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "user_id": user, "key": secret(letter), "name": name, "expired_time": -1, **more}


TOKENS = [
    token(1, 1, "a", "all", unlimited_quota=True, model_limits_enabled=False),
    token(2, 2, "b", "app", remain_quota=750_000, unlimited_quota=False, used_quota=250_000, expired_time=DAY,
          model_limits_enabled=True, model_limits="gpt-4o,gpt-4o-mini", allow_ips="203.0.113.7\n10.0.0.0/8\n",
          group="default"),
    token(3, 2, "c", "app", unlimited_quota=True, model_limits_enabled=True, model_limits="", group="auto"),
    token(4, 2, "d", "off", status=2, unlimited_quota=True),
    token(5, 2, "e", "old", expired_time=1_600_000_000, unlimited_quota=True),
    token(6, 2, "f", "spent", remain_quota=0, unlimited_quota=False),
    token(7, 2, "g", "gone", unlimited_quota=True, deleted_at=GONE),
    token(8, 4, "h", "carol's", unlimited_quota=True),
    token(9, 3, "i", "odd", unlimited_quota=True, allow_ips="everywhere"),
]  # fmt: skip
OPTIONS = {
    "ModelRatio": '{"gpt-4o": 1.25, "gpt-4o-mini": 0.075, "claude-sonnet-4-20250514": 1.5, "gemini-2.5-pro": 0.625,'
    ' "kimi-k2": 0.3, "deepseek-chat": 0.135, "flat": 9, "gpt-2": 3, "expr": 1}',
    "CompletionRatio": '{"gpt-4o-mini": 5, "claude-sonnet-4-20250514": 2, "kimi-k2": 4.1666}',
    "CacheRatio": '{"gpt-4o": 0.5, "claude-sonnet-4-20250514": 0.1}',
    "AudioRatio": '{"gpt-4o-mini": 10}',
    "AudioCompletionRatio": '{"gpt-4o-mini": 2}',
    "ModelPrice": '{"flat": 0.03, "mj_imagine": 0.1}',
    "GroupRatio": '{"default": 1, "vip": 0.8, "svip": 0.5}',
    "GroupGroupRatio": '{"vip": {"default": 0.9}}',
    "AutoGroups": '["default", "vip"]',
    "billing_setting.billing_mode": '{"expr": "tiered_expr"}',
    "billing_setting.billing_expr": '{"expr": "tier(\\"base\\", p * 2)"}',
    "ModelRequestRateLimitEnabled": "true",
    "SMTPServer": "smtp.example.com",
    "Notice": "",
}
ROWS = {
    "channels": CHANNELS,
    "users": USERS,
    "tokens": TOKENS,
    "options": [{"key": key, "value": value} for key, value in OPTIONS.items()],
    "redemptions": [
        {"id": 1, "key": "r" * 32, "quota": 500_000, "expired_time": 0},
        {"id": 2, "key": "s" * 32, "quota": 250_000, "expired_time": DAY},
        {"id": 3, "key": "t" * 32, "quota": 250_000, "expired_time": 1_600_000_000},
        {"id": 4, "key": "u" * 32, "quota": 250_000, "status": 3, "expired_time": 0},
    ],
    "abilities": [{"group": "default", "model": "gpt-4o", "channel_id": 1, "enabled": True}],
    "logs": [{"id": id, "content": "it's used"} for id in range(1, 13)],
    "tasks": [{"id": 1, "task_id": "t", "data": "{}"}],
    "setups": [{"id": 1, "version": "v0.9.0", "initialized_at": 1}],
}
OWN = {"priority": 0, "weight": 1, "disabled": False}


def document(where: str) -> Document:
    def price(model: str, **given: Any) -> Price:
        return Price(model=model, source=f"new-api {where}", **given)

    return Document(
        channels=(
            Channel(name="OpenAI main", provider="openai", base_url="", credentials=("key-1",),
                    models=("gpt-4o", "gpt-4o-mini"), priority=10, weight=5, disabled=False),
            Channel(name="Claude", provider="anthropic", base_url="", credentials=("key-2",),
                    models=("claude-sonnet-4-20250514",), priority=0, weight=1, disabled=True),
            Channel(name="[vip] Gemini", provider="gemini", base_url="", credentials=("g-1", "g-3"),
                    models=("gemini-2.5-pro",), **OWN),
            Channel(name="Azure", provider="azure", base_url="https://acme.openai.azure.com/openai/v1",
                    credentials=("key-4",), models=("gpt-4.1=gpt-41", "gpt-4o=my-4o"), **OWN),
            Channel(name="DeepSeek", provider="deepseek", base_url="", credentials=("key-5",),
                    models=("chat=deepseek-chat", "deepseek-chat"), **OWN),
            Channel(name="DeepSeek #6", provider="moonshot", base_url="https://api.moonshot.cn/v1",
                    credentials=("key-6",), models=("kimi-k2",), **OWN),
            Channel(name="Custom", provider="compatible", base_url="https://llm.example.com/v2",
                    credentials=("key-7",), models=("mine",), **OWN),
            Channel(name="Cloudflare", provider="compatible", credentials=("key-9",), models=("@cf/meta/llama-3",),
                    base_url="https://api.cloudflare.com/client/v4/accounts/account-9/ai/v1", **OWN),
            Channel(name="GLM plan", provider="zhipu", base_url="https://open.bigmodel.cn/api/coding/paas/v4",
                    credentials=("key-13",), models=("glm-4.6",), **OWN),
            Channel(name="Ollama", provider="ollama", base_url="http://10.0.0.5:11434/v1", credentials=(),
                    models=("llama3",), **OWN),
            Channel(name="Relay", provider="openai", base_url="https://relay.example.com/v1", credentials=("key-15",),
                    models=("expr", "flat"), **OWN),
        ),
        prices=(
            # its completion ratio is one that no option changes
            price("claude-sonnet-4-20250514", input_mtok="3", cached_mtok="0.3", output_mtok="15", lines=(
                Line(unit="cache_write_token", usd="3.75", per=1_000_000),
            )),
            price("deepseek-chat", input_mtok="0.27", output_mtok="0.27"),
            price("flat", run="0.03"),
            price("gemini-2.5-pro", input_mtok="1.25", output_mtok="10"),
            price("gpt-4o", input_mtok="2.5", cached_mtok="1.25", output_mtok="10"),
            price("gpt-4o-mini", input_mtok="0.15", output_mtok="0.75", lines=(
                Line(unit="audio_input_token", usd="1.5", per=1_000_000),
                Line(unit="audio_output_token", usd="3", per=1_000_000),
            )),
            price("kimi-k2", input_mtok="0.6", output_mtok="2.49996"),
        ),
        groups=(
            Group(name="default", multiplier="1", channels=(
                "OpenAI main", "Azure", "DeepSeek", "DeepSeek #6", "Custom", "Cloudflare", "GLM plan", "Ollama",
                "Relay",
            )),
            Group(name="empty", multiplier="1", channels=("(none)",)),
            Group(name="vip", multiplier="0.8", channels=("OpenAI main", "Claude", "[[]vip] Gemini")),
        ),
        accounts=(
            Account(name="root", group="default", opening=Opening(id=f"new-api/{where}/users/1", usd="200")),
            Account(name="alice", group="vip", opening=Opening(id=f"new-api/{where}/users/2", usd="2.469134")),
            Account(name="bob", group="default"),
            Account(name="dave", group="empty"),
        ),
        keys=(
            Key(name="all", account="root", key=f"sk-{secret('a')}", group=None, expires="", models=None, networks=(),
                quota_usd=None),
            Key(name="app", account="alice", key=f"sk-{secret('b')}", group="default", expires="2096-10-02T07:06:40Z",
                models=("gpt-4o", "gpt-4o-mini"), networks=("203.0.113.7", "10.0.0.0/8"), quota_usd="1.5"),
            Key(name="app #3", account="alice", key=f"sk-{secret('c')}", group="default", expires="",
                models=("(none)",), networks=(), quota_usd=None),
        ),
    )  # fmt: skip


SKIPPED = (
    "channel [vip] Gemini: key number 2 is disabled, and left out",
    "channel Azure: the API version is left out: Azure's /openai/v1 has none",
    "channel Custom: param_override is left out; penstock has no such setting",
    "channel Strange: of type Custom, without an address that can be used",
    "channel MJ: of type Midjourney: penstock has no provider for this relay",
    "channel AWS: of type AWS: it wants signed requests, which penstock's providers do "
    "not make; many have an OpenAI-compatible address too",
    "channel Vertex: of type VertexAI: it wants signed requests, which penstock's "
    "providers do not make; many have an OpenAI-compatible address too",
    "channel Ollama: tag is left out; penstock has no such setting",
    "channel Relay: header_override is left out; penstock has no such setting",
    "user root: an administrator; make a key for running penstock: penstock keys create",
    "user alice (1 USD): rewards that were not claimed",
    "user bob (-0.5 USD): owes money; the account begins at nothing",
    "2 users (carol (1 USD), erin (0.00001 USD)): disabled or deleted: no account, and no keys",
    "password of every account (4): nobody logs in to penstock but its operators",
    "key alice/app #3: its list of models is empty, so it can call nothing",
    "key alice/app #3: its group was auto (default, vip), and is default now",
    "key alice/off: disabled; make a new one if it is wanted",
    "key alice/old: expired",
    "key alice/spent: its quota is spent; make a new one if it is wanted",
    "2 keys (gone, carol's): deleted, or its user has no account",
    "key bob/odd: bound to what are no addresses; make a new one",
    "5 models (@cf/meta/llama-3, chat, glm-4.6, llama3, mine): no option has a price for "
    "it; set one: penstock prices set",
    "model expr: priced by an expression; set a price: penstock prices set",
    "model gpt-4.1: no option has a price for it; penstock's list price holds, unless you set one",
    "2 prices (gpt-2, mj_imagine): no channel has this model",
    "group empty: no channel of it was carried over, so its keys can call nothing",
    "group svip: nobody is in it, and no channel",
    "group vip: pays 0.9 times the price when it uses default; a group of penstock has one multiplier",
    "redemption code (2 unused, worth 1.5 USD in all): make new ones: penstock codes create",
    "setting ModelRequestRateLimitEnabled, ModelRequestRateLimitGroup: limits of each user; set rpm for groups or keys",
    "setting SMTPServer: of the old gateway itself",
    "table logs (12 rows): what was used before stays in the old database",
    "table tasks (1 row): let unfinished ones end at the old gateway, and keep it until their results are fetched",
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


def test_everything_of_a_new_api_in_sqlite(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path / "one-api.db", NEW_API, ROWS)
    before = path.read_bytes()
    moved = read(str(path))
    assert moved.document == document("one-api.db")
    assert moved.skipped == SKIPPED
    assert read(f"sqlite:///{path}") == moved
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["one-api.db"]


def test_everything_of_a_new_api_in_postgres(postgres: Postgres) -> None:
    async def filled() -> str:
        await postgres.execute("CREATE DATABASE newapi")
        await postgres.execute(*statements(NEW_API, ROWS, "postgres"), database="newapi")
        return postgres.url("newapi")

    moved = read(asyncio.run(filled()))
    assert moved.document == document("localhost/newapi")
    assert moved.skipped == SKIPPED


ONE = {
    "channels": [
        channel(1, 26, "Baichuan", "Baichuan4"),
        channel(2, 3, "Azure", "gpt-3.5-turbo", base_url="https://acme.openai.azure.com"),
        channel(3, 50, "Any", "claude-2,mine", base_url="https://llm.example.com/v1", config='{"user_id":"7"}'),
        channel(5, 1, "No scheme", "gpt-4o", base_url="llm.example.com"),
        channel(4, 37, "Workers", "@cf/x", config='{"user_id":"account-4"}', system_prompt="be kind"),
    ],
    "users": [{"id": 1, "username": "root", "password": "h", "role": 100, "quota": 1_000}],
    "tokens": [
        token(1, 1, "a", "one", remain_quota=1_000, unlimited_quota=False, models="mine, claude-2",
              subnet="10.0.0.0/8,::1"),
        token(2, 1, "b", "", unlimited_quota=True, status=4),
        token(3, 1, "c", "", unlimited_quota=False, remain_quota=10**15),
    ],
    "options": [
        {"key": "ModelRatio", "value": '{"claude-2": 4, "gpt-3.5-turbo": 0.25, "mine": 1, "Baichuan4": 0}'},
        {"key": "CompletionRatio", "value": '{"mine": 0}'},
        {"key": "QuotaPerUnit", "value": "1000"},
    ],
}  # fmt: skip


def test_a_one_api_with_its_own_types_and_fewer_columns(tmp_path: Path) -> None:
    moved = read(str(sqlite_file(tmp_path / "old.db", ONE_API, ONE)))
    source = "one-api old.db"
    assert moved.document == Document(
        channels=(
            Channel(name="Baichuan", provider="compatible", base_url="https://api.baichuan-ai.com/v1",
                    credentials=("key-1",), models=("Baichuan4",), **OWN),
            Channel(name="Azure", provider="azure", base_url="https://acme.openai.azure.com/openai/v1",
                    credentials=("key-2",), models=("gpt-3.5-turbo=gpt-35-turbo",), **OWN),
            Channel(name="Any", provider="compatible", base_url="https://llm.example.com/v1", credentials=("key-3",),
                    models=("claude-2", "mine"), **OWN),
            Channel(name="Workers", provider="compatible", credentials=("key-4",), models=("@cf/x",),
                    base_url="https://api.cloudflare.com/client/v4/accounts/account-4/ai/v1", **OWN),
        ),
        prices=(
            Price(model="Baichuan4", source=source, input_mtok="0", output_mtok="0"),
            Price(model="claude-2", source=source, input_mtok="4000", output_mtok="12000"),
            Price(model="gpt-3.5-turbo", source=source, input_mtok="250", output_mtok="750"),
            Price(model="mine", source=source, input_mtok="1000", output_mtok="0"),
        ),
        groups=(Group(name="default", channels=None, multiplier="1"),),  # all channels, so those to come too
        accounts=(Account(name="root", group="default", opening=Opening(id="new-api/old.db/users/1", usd="1")),),
        keys=(
            Key(name="one", account="root", key=f"sk-{secret('a')}", group=None, expires="",
                models=("mine", "claude-2"), networks=("10.0.0.0/8", "::1"), quota_usd="1"),
            Key(name="#3", account="root", key=f"sk-{secret('c')}", group=None, expires="", models=None, networks=(),
                quota_usd=None),
        ),
    )  # fmt: skip
    assert moved.skipped == (
        "channel Azure: the API version is left out: Azure's /openai/v1 has none",
        "channel Workers: system_prompt is left out; penstock has no such setting",
        "channel No scheme: of type OpenAI, without an address that can be used",
        "user root: an administrator; make a key for running penstock: penstock keys create",
        "password of every account (1): nobody logs in to penstock but its operators",
        "key root/#2: its quota is spent; make a new one if it is wanted",
        "model @cf/x: no option has a price for it; set one: penstock prices set",
    )


def test_a_table_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    many = [token(id, 1, "a", "same", unlimited_quota=True) | {"key": f"{id:048}"} for id in range(1, 2502)]
    moved = read(str(sqlite_file(tmp_path / "big.db", NEW_API, ROWS | {"tokens": many})))
    assert len({key.name for key in moved.document.keys}) == len({key.key for key in moved.document.keys}) == 2501


def test_what_stays_for_one_reason_is_counted(tmp_path: Path) -> None:
    many = [token(id, 1, "a", f"k{id}", unlimited_quota=True, status=2) | {"key": f"{id:048}"} for id in range(1, 1202)]
    skipped = read(str(sqlite_file(tmp_path / "big.db", NEW_API, ROWS | {"tokens": many}))).skipped
    [line] = [line for line in skipped if "1,201" in line]
    assert line.startswith("1,201 keys (root/k1, root/k2, ")
    assert line.endswith("root/k25, and 1,176 more): disabled; make a new one if it is wanted")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.db", "there is no file nowhere.db"),
        ("oracle://db/x", "oracle can't be read: give a SQLite file, or a postgresql:// or mysql:// URL"),
        ("postgres://u:secret@127.0.0.1:1/db", "postgresql://u:***@127.0.0.1:1/db can't be read: "),
        ("postgresql://[", "the database's URL makes no sense; see docs/moving.md"),
    ],
)
def test_what_can_not_be_read_is_told_without_its_password(source: str, words: str) -> None:
    with pytest.raises(CallerError) as caught:
        read(source)
    assert str(caught.value).startswith(words) and "secret" not in str(caught.value)


def test_another_database_is_told_from_theirs(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE users (id integer)")
    with pytest.raises(
        CallerError, match="no database of new-api or one-api: it has no table channels, options, tokens"
    ):
        read(str(tmp_path / "other.db"))
    (tmp_path / "text.db").write_text("not a database at all, but long enough to look at" * 20)
    with pytest.raises(CallerError, match="can't be read: file is not a database"):
        read(str(tmp_path / "text.db"))


@pytest.mark.parametrize(
    "source", ["root:secret@tcp(127.0.0.1:1)/newapi?parseTime=true", "mysql://root:secret@127.0.0.1:1/newapi"]
)
def test_mysql_wants_its_driver(source: str) -> None:
    try:
        import pymysql  # noqa: F401
    except ModuleNotFoundError:
        words = r"reading MySQL needs a driver: pip install 'penstock\[mysql\]'"
    else:
        words = r"mysql(\+pymysql)?://root:\*\*\*@127.0.0.1:1/newapi can't be read"
    with pytest.raises(CallerError, match=words):
        read(source)


@pytest.mark.parametrize(
    ("model", "saved", "ratio"),
    [
        ("gpt-5-mini", "1", "8"),  # no option changes it
        ("gpt-5.4-nano", "1", "6.25"),
        ("gpt-5.5", "1", "1"),
        ("gpt-5.5", None, "6"),
        ("gpt-3.5-turbo", None, "2"),
        ("openai/o1", "3", "3"),  # but with a slash it does
        ("o1", "3", "4"),
        ("gemini-2.5-flash-lite", None, "4"),
        ("grok-9", None, "1"),
        ("grok-9", "0", "0"),
    ],
)
def test_completion_ratios_are_those_that_new_api_would_use(model: str, saved: str | None, ratio: str) -> None:
    assert completion(model, None if saved is None else Decimal(saved), new=True) == Decimal(ratio)
