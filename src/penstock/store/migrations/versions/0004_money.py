"""money and limits: groups, aliases, what keys may, prices with a beginning, spending, codes, and the audit log"""

from typing import Any

import sqlalchemy as sa
from alembic import op

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UNITS_IN = (
    *("input_token", "cached_token", "cache_write_token", "cache_write_hour_token"),
    *("audio_input_token", "image_input_token"),
)
UNITS_OUT = ("output_token", "reasoning_token", "audio_output_token", "image_output_token")


def _text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, WORDS, nullable=null, server_default=default)


def _int(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=null, server_default=default)


ADDED: dict[str, list[sa.Column[Any]]] = {
    "accounts": [_text("group", default="default")],
    "keys": [
        *(_text("group", null=True), _int("tpm", null=True), _int("expires_at", null=True)),
        *(_text("models", null=True), _text("networks", null=True), _text("scopes", default="relay read")),
        *(_int("quota_total", null=True), _int("quota_month", null=True), _int("quota_day", null=True)),
        _text("root", null=True),
    ],
    "channels": [_int("rpm", null=True)],
    "prices": [_text("channel", default=""), _int("starts_at", default="0")],
    "tasks": [_text("group", default="default"), _text("asked", null=True)],
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.create_table(
        "groups",
        *(_text("name"), _text("models", null=True), _text("channels", null=True), _int("multiplier")),
        *(_text("policy"), _int("rpm", null=True), _int("tpm", null=True), _int("concurrency", null=True)),
        _int("created_at"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table("aliases", _text("name"), _text("targets"), _int("created_at"), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "codes",
        *(_text("id"), _text("prefix"), sa.Column("hash", sa.LargeBinary(), nullable=False)),
        *(_int("amount"), _text("reason"), _int("created_at"), _int("expires_at", null=True)),
        *(_int("revoked_at", null=True), _int("redeemed_at", null=True), _text("redeemed_by", null=True)),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "audit",
        *(_text("id"), _int("at"), _text("actor"), _text("act"), _text("given"), _text("outcome")),
        _text("of", null=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_of", "audit", ["of"], unique=True)
    _only_append("audit")
    op.create_table(
        "spending",
        *(_text("account"), _text("mode"), _text("day"), _text("key"), _text("model")),
        *(_int("runs"), _int("input_tokens"), _int("output_tokens"), _int("amount")),
        sa.PrimaryKeyConstraint("account", "mode", "day", "key", "model"),
    )
    op.create_index("calls_by_request", "calls", ["request"])
    _sum_up()


def _only_append(table: str) -> None:
    """The database refuses to change or remove its rows. (A batch on SQLite makes the table anew, without this.)"""
    words = f"{table} is append-only"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{words}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_only_append() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN RAISE EXCEPTION '{words}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_append BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_only_append()"
    )


def _sum_up() -> None:
    """What was spent before there was a table for it, from the books."""
    sqlite = op.get_bind().dialect.name == "sqlite"

    def day(column: str) -> str:
        seconds = f"{column} / 1000000000"
        if sqlite:
            return f"strftime('%Y-%m-%d', {seconds}, 'unixepoch')"
        return f"to_char(to_timestamp({seconds}) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"

    def tokens(units: tuple[str, ...]) -> str:
        one = "coalesce(json_extract(units, '$.{}'), 0)" if sqlite else "coalesce((units::json->>'{}')::numeric, 0)"
        return f"sum({' + '.join(one.format(unit) for unit in units)})"

    op.execute(
        f"INSERT INTO spending SELECT account, mode, {day('at')}, key, model, count(*), {tokens(UNITS_IN)},"
        f" {tokens(UNITS_OUT)}, sum(amount) FROM charges GROUP BY 1, 2, 3, 4, 5"
    )
    refunded = (
        "SELECT work, sum(amount) AS amount FROM entries WHERE kind = 'refund' AND work IS NOT NULL GROUP BY work"
    )
    op.execute(
        f"INSERT INTO spending SELECT account, mode, {day('created_at')}, key, model, count(*), 0, 0,"
        f" sum(charge - coalesce(refunds.amount, 0)) FROM tasks LEFT JOIN ({refunded}) AS refunds"
        " ON refunds.work = tasks.id WHERE charge IS NOT NULL AND charge > 0 GROUP BY 1, 2, 3, 4, 5"
        " ON CONFLICT (account, mode, day, key, model) DO UPDATE SET runs = spending.runs + excluded.runs,"
        " amount = spending.amount + excluded.amount"
    )
