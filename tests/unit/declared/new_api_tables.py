"""The tables of new-api and one-api as GORM makes them, and how to fill them.

Source: the structs in model/{channel,ability,token,user,option,redemption,log}.go of QuantumNous/new-api as of the
autumn of 2026 and of songquanpeng/one-api at 8df4a26 (2025-02-21), read 2026-11-21. GORM quotes every name; where a
field names no type, an int is `integer` in SQLite and `bigint` in PostgreSQL, a string `text`, a bool `numeric` and
`boolean`, a float `real` and `decimal`, a time `datetime` and `timestamptz`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KINDS = {
    "sqlite": {"id": "integer PRIMARY KEY AUTOINCREMENT", "int": "integer", "string": "text", "bool": "numeric",
               "float": "real", "time": "datetime", "json": "JSON"},
    "postgres": {"id": "bigserial PRIMARY KEY", "int": "bigint", "string": "text", "bool": "boolean",
                 "float": "decimal", "time": "timestamptz", "json": "json"},
}  # fmt: skip
USERS = {
    "id": "id", "username": "string UNIQUE", "password": "string NOT NULL", "display_name": "string",
    "role": "int DEFAULT 1", "status": "int DEFAULT 1", "email": "string", "github_id": "string", "wechat_id": "string",
    "access_token": "char(32)", "quota": "int DEFAULT 0", "used_quota": "int DEFAULT 0",
    "request_count": "int DEFAULT 0", "group": "varchar(64) DEFAULT 'default'", "aff_code": "varchar(32)",
    "inviter_id": "int",
}  # fmt: skip
CHANNELS = {
    "id": "id", "type": "int DEFAULT 0", "key": "string NOT NULL", "status": "int DEFAULT 1", "name": "string",
    "weight": "int DEFAULT 0", "created_time": "int", "test_time": "int", "response_time": "int",
    "base_url": "string DEFAULT ''", "other": "string", "balance": "float", "balance_updated_time": "int",
    "models": "string", "group": "varchar(64) DEFAULT 'default'", "used_quota": "int DEFAULT 0",
    "model_mapping": "string", "priority": "int DEFAULT 0",
}  # fmt: skip
TOKENS = {
    "id": "id", "user_id": "int", "key": "char(48)", "status": "int DEFAULT 1", "name": "string",
    "created_time": "int", "accessed_time": "int", "expired_time": "int DEFAULT -1", "remain_quota": "int DEFAULT 0",
    "unlimited_quota": "bool", "used_quota": "int DEFAULT 0",
}  # fmt: skip
OPTIONS = {"key": "string PRIMARY KEY", "value": "string"}
REDEMPTIONS = {
    "id": "id", "user_id": "int", "key": "char(32)", "status": "int DEFAULT 1", "name": "string",
    "quota": "int DEFAULT 100", "created_time": "int", "redeemed_time": "int",
}  # fmt: skip
LOGS = {
    "id": "id", "user_id": "int", "created_at": "int", "type": "int", "content": "string", "username": "string",
    "token_name": "string", "model_name": "string", "quota": "int DEFAULT 0", "prompt_tokens": "int DEFAULT 0",
    "completion_tokens": "int DEFAULT 0",
}  # fmt: skip
ABILITIES = {
    "group": "varchar(64)", "model": "varchar(255)", "channel_id": "int", "enabled": "bool",
    "priority": "int DEFAULT 0",
}  # fmt: skip

Tables = Mapping[str, Mapping[str, str]]
NEW_API: Tables = {
    "channels": {
        **CHANNELS, "open_ai_organization": "string", "test_model": "string",
        "status_code_mapping": "varchar(1024) DEFAULT ''", "auto_ban": "int DEFAULT 1", "other_info": "string",
        "tag": "string", "setting": "string", "param_override": "string", "header_override": "string",
        "remark": "varchar(255)", "channel_info": "json", "settings": "string",
    },
    "tokens": {
        **TOKENS, "key": "varchar(128)", "model_limits_enabled": "bool", "model_limits": "string",
        "allow_ips": "string DEFAULT ''", "group": "string DEFAULT ''", "cross_group_retry": "bool",
        "deleted_at": "time",
    },
    "users": {
        **USERS, "discord_id": "string", "oidc_id": "string", "telegram_id": "string", "aff_count": "int DEFAULT 0",
        "aff_quota": "int DEFAULT 0", "aff_history": "int DEFAULT 0", "deleted_at": "time", "linux_do_id": "string",
        "setting": "string", "remark": "varchar(255)", "stripe_customer": "varchar(64)", "created_at": "int",
        "last_login_at": "int DEFAULT 0",
    },
    "options": OPTIONS,
    "redemptions": {**REDEMPTIONS, "used_user_id": "int", "deleted_at": "time", "expired_time": "int"},
    "abilities": {**ABILITIES, "weight": "int DEFAULT 0", "tag": "string"},
    "logs": {**LOGS, "use_time": "int", "is_stream": "bool", "channel_id": "int", "other": "string"},
    "tasks": {"id": "id", "task_id": "varchar(191)", "status": "varchar(20)", "data": "json"},
    "setups": {"id": "id", "version": "varchar(50) NOT NULL", "initialized_at": "int NOT NULL"},
}  # fmt: skip
ONE_API: Tables = {
    "channels": {**CHANNELS, "group": "varchar(32) DEFAULT 'default'", "config": "string", "system_prompt": "string"},
    "tokens": {**TOKENS, "models": "string", "subnet": "string DEFAULT ''"},
    "users": {**USERS, "lark_id": "string", "oidc_id": "string"},
    "options": OPTIONS,
    "redemptions": REDEMPTIONS,
    "abilities": ABILITIES,
    "logs": {**LOGS, "channel_id": "int", "request_id": "string DEFAULT ''", "elapsed_time": "int DEFAULT 0"},
}
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def statements(tables: Tables, rows: Rows, kind: str) -> list[str]:
    """SQL that makes and fills them."""
    quote = "`{}`" if kind == "sqlite" else '"{}"'
    made = []
    for name, columns in tables.items():
        typed = []
        for column, declared in columns.items():
            word, _, rest = declared.partition(" ")
            typed.append(f"{quote.format(column)} {KINDS[kind].get(word, word)} {rest}".rstrip())
        made.append(f"CREATE TABLE {quote.format(name)} ({','.join(typed)})")
    for name, filled in rows.items():
        for row in filled:
            fields = ",".join(quote.format(column) for column in row)
            values = ",".join(_literal(value, tables[name][column], kind) for column, value in row.items())
            made.append(f"INSERT INTO {quote.format(name)} ({fields}) VALUES ({values})")
    return made


def sqlite_file(path: Path, tables: Tables, rows: Rows) -> Path:
    database = sqlite3.connect(path)
    for statement in statements(tables, rows, "sqlite"):
        database.execute(statement)
    database.commit()
    database.close()
    return path


def _literal(value: Any, declared: str, kind: str) -> str:
    """GORM's drivers write a JSON value as bytes, which SQLite keeps as bytes."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower() if kind == "postgres" else str(int(value))
    if declared == "json" and kind == "sqlite":
        return f"X'{value.encode().hex()}'"
    return str(value) if isinstance(value, int | float) else "'" + value.replace("'", "''") + "'"
