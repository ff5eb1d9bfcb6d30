"""All tables. Times are nanoseconds since 1970, money is micro-dollars, JSON is text; ids sort by time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text, text

metadata = MetaData()


WORDS = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte on every database, so that ids sort by time whatever the locale."""


def _text(name: str, *, null: bool = False, key: bool = False, default: str | None = None) -> Column[str]:
    """`default` is for the rows of before the column was."""
    return Column(name, WORDS, primary_key=key, nullable=null, server_default=default)


def _int(name: str, *, null: bool = False, key: bool = False, default: str | None = None) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, nullable=null, autoincrement=False, server_default=default)


def _number(name: str) -> Column[int]:
    """The key of rows that are appended in its order. An `INTEGER` is on SQLite the row's own number; any other type
    has an index beside the table, one page more to write for each."""
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def _partial(where: str) -> dict[str, Any]:
    return {"sqlite_where": text(where), "postgresql_where": text(where)}


accounts = Table(
    "accounts",
    metadata,
    _text("id", key=True),
    Column("name", Text, nullable=False, unique=True),
    _text("webhook_secret"),  # sealed
    _int("created_at"),
    _text("group", default="default"),
)

balances = Table(  # a live and a test one per account: the sum of its entries, kept ready for the conditional hold
    "balances",
    metadata,
    _text("account", key=True),
    _text("mode", key=True),
    _int("amount"),
)

entries = Table(  # append-only; the books
    "entries",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("mode"),
    _text("kind"),  # topup, adjust, hold, settle, release, refund
    _text("work", null=True),
    _int("amount"),
    _text("detail"),  # how it came about: rule, units, arithmetic
    _int("uncovered"),
    _int("at"),
    Index("entries_by_account", "account", "mode", "id"),
    Index("one_hold_per_work", "work", unique=True, **_partial("kind = 'hold'")),
    Index("one_close_per_work", "work", unique=True, **_partial("kind IN ('settle', 'release')")),
    Index("entries_by_work", "work"),
    sqlite_with_rowid=False,  # small rows in the order of their key: one tree less
)

keys = Table(
    "keys",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("name"),
    _text("mode"),
    _text("prefix"),
    Column("hash", LargeBinary, nullable=False, unique=True),
    _int("rpm", null=True),
    _int("concurrency", null=True),
    _int("created_at"),
    _int("revoked_at", null=True),
    _text("group", null=True),  # its account's, where it has none
    _int("tpm", null=True),
    _int("expires_at", null=True),
    _text("models", null=True),  # JSON: patterns; null is all
    _text("networks", null=True),  # JSON
    _text("scopes", default="relay read"),
    _int("quota_total", null=True),
    _int("quota_month", null=True),
    _int("quota_day", null=True),
    _text("root", null=True),  # the first of the keys that it was rotated from: they share quotas
)

groups = Table(  # callers who share models, channels, and prices
    "groups",
    metadata,
    _text("name", key=True),
    _text("models", null=True),  # JSON: patterns; null is all
    _text("channels", null=True),
    _int("multiplier"),  # millionths
    _text("policy"),
    _int("rpm", null=True),
    _int("tpm", null=True),
    _int("concurrency", null=True),
    _int("created_at"),
)

aliases = Table(  # names of the operator's for models: the ones to try, in order
    "aliases",
    metadata,
    _text("name", key=True),
    _text("targets"),  # JSON
    _int("created_at"),
)

codes = Table(  # each puts money into the account that redeems it, once
    "codes",
    metadata,
    _text("id", key=True),
    _text("prefix"),
    Column("hash", LargeBinary, nullable=False, unique=True),
    _int("amount"),
    _text("reason"),
    _int("created_at"),
    _int("expires_at", null=True),
    _int("revoked_at", null=True),
    _int("redeemed_at", null=True),
    _text("redeemed_by", null=True),
)

audit = Table(  # operators' acts, append-only: one row before the act, one with its outcome
    "audit",
    metadata,
    _text("id", key=True),
    _int("at"),
    _text("actor"),
    _text("act"),
    _text("given"),  # JSON, without secrets
    _text("outcome"),  # begun, ok, or the code of an error
    _text("of", null=True),  # the row of its beginning
    Index("audit_of", "of", unique=True),
)

channels = Table(
    "channels",
    metadata,
    _text("id", key=True),
    Column("name", Text, nullable=False, unique=True),
    _text("provider"),
    _text("base_url"),
    _text("credential"),  # sealed
    _text("secret"),  # sealed
    _text("models"),
    _int("priority"),
    _int("weight"),
    _int("concurrency", null=True),
    _text("options"),
    Column("disabled", Boolean, nullable=False),
    _int("created_at"),
    _int("rpm", null=True),
)

prices = Table(  # a model's rules over time, everywhere or on one channel; what holds is frozen in each work
    "prices",
    metadata,
    _text("id", key=True),
    _text("model"),
    _text("rule"),  # JSON: lines, or null where the list price shall hold again
    _text("source"),
    _int("created_at"),
    _text("channel", default=""),  # by name; "" is every other
    _int("starts_at", default="0"),
    Index("prices_by_model", "model", "created_at"),
)

deployments = Table(
    "deployments",
    metadata,
    _text("account", key=True),
    _text("name", key=True),
    _text("model"),
    _text("version"),
    _text("configuration"),
    _int("release"),
    _int("created_at"),
    _int("released_at"),
)

TO_CLEAR = "completed_at IS NOT NULL AND data_removed IS NOT TRUE"
"""Whose data retention has still to remove; in a query word for word, for else SQLite does not use the index."""

tasks = Table(
    "tasks",
    metadata,
    _text("id", key=True),
    _text("name", null=True),
    _text("dialect"),
    _text("account"),
    _text("key"),
    _text("mode"),
    _text("source"),
    _text("model"),
    _text("version"),
    _text("deployment", null=True),
    _text("input"),
    _text("files", null=True),
    _text("state"),
    Column("attempt", Integer, nullable=False),
    _text("channel", null=True),
    _text("upstream_model", null=True),
    _text("ref", null=True),
    _text("refused_by"),
    _text("report", null=True),
    _text("output", null=True),
    _text("logs"),
    _text("metrics"),
    _text("error", null=True),
    _text("error_code", null=True),
    _text("price"),
    _int("hold"),
    _int("charge", null=True),
    _text("webhook", null=True),
    _text("webhook_events"),
    _int("created_at"),
    _int("moved_at"),
    _int("submitted_at", null=True),
    _int("started_at", null=True),
    _int("completed_at", null=True),
    _int("due_at"),
    _int("deadline", null=True),
    Column("longest_s", Float, nullable=False),
    _int("canceled_at", null=True),
    Column("data_removed", Boolean, nullable=False),
    Column("seq", Integer, nullable=False),
    _text("group", default="default"),
    _text("asked", null=True),
    Index("tasks_by_account", "account", "mode", "id"),
    Index("tasks_by_name", "name", unique=True, **_partial("name IS NOT NULL")),
    Index("tasks_unfinished", "id", **_partial("charge IS NULL")),  # of columns that no move on the way changes
    Index("tasks_to_clear", "completed_at", **_partial(TO_CLEAR)),
)

events = Table(
    "events",
    metadata,
    _text("task", key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _int("at"),
    _text("kind"),
    _text("data"),
)

outbox = Table(  # webhooks to deliver; `state`: pending, delivered, dead
    "outbox",
    metadata,
    _text("id", key=True),
    _text("task"),
    _text("event"),
    _text("url"),
    _text("state"),
    Column("attempts", Integer, nullable=False),
    _int("created_at"),
    _int("due_at"),
    Column("last_status", Integer, nullable=True),
    Index("outbox_pending", "due_at", **_partial("state = 'pending'")),
    Index("outbox_by_task", "task"),
)

files = Table(
    "files",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("mode"),
    _text("task", null=True),
    _text("role"),
    _text("name"),
    _text("content_type"),
    _int("size"),
    _text("sha256"),
    _text("md5"),
    _text("metadata"),
    _int("created_at"),
    _int("expires_at", null=True),
    Index("files_by_account", "account", "mode", "id"),
    Index("files_by_task", "task"),
    Index("files_by_hash", "sha256"),
    Index("files_to_expire", "expires_at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    _text("account", key=True),
    _text("route", key=True),
    _text("key", key=True),
    _text("body", null=False),  # SHA-256 of it
    _text("task"),
    _int("created_at"),
    Index("idempotency_by_age", "created_at"),
)

epochs = Table(  # one life of a node that answers calls; its number is the upper part of the ids that it gives
    "epochs",
    metadata,
    _int("id", key=True),
    _int("opened_at"),
    _int("closed_at", null=True),
    _int("summed", default=str(2**63 - 1)),  # its charges up to this one are in `spending`
)

allowances = Table(  # what an epoch drew from a balance, to hold and settle calls from without asking again
    "allowances",
    metadata,
    _int("epoch", key=True),
    _text("account", key=True),
    _text("mode", key=True),
    _int("drawn"),  # less what it gave back
    _int("settled"),  # the charges up to and with the one of id `through`
    _int("through"),
)

rules = Table(  # every price rule that a call was charged by, by its hash
    "rules",
    metadata,
    _text("id", key=True),
    _text("rule"),
)

charges = Table(  # the books of calls: a settle each; append-only
    "charges",
    metadata,
    _number("id"),
    _text("account"),
    _text("mode"),
    _text("key"),
    _text("model"),
    _text("rule"),
    _text("units"),
    _int("amount"),
    _int("uncovered"),
    Column("estimated", Boolean, nullable=False),
    _int("at"),
)

spending = Table(  # what each key spent on each model on each day, by UTC; soon after what it sums up
    "spending",
    metadata,
    _text("account", key=True),
    _text("mode", key=True),
    _text("day", key=True),  # 2026-03-04, on which the work began
    _text("key", key=True),
    _text("model", key=True),
    _int("runs"),
    _int("input_tokens"),
    _int("output_tokens"),
    _int("amount"),  # less what was refunded
)

calls = Table(  # the request log: a lean row each, for a while
    "calls",
    metadata,
    _number("id"),
    _text("request"),
    _text("account"),
    _text("key"),
    _text("mode"),
    _text("dialect"),
    _text("model"),
    _text("channel", null=True),
    _text("upstream_model", null=True),
    Column("streamed", Boolean, nullable=False),
    _text("outcome"),  # ok, left, or the code of an error
    _text("units"),
    _int("charge"),
    Column("estimated", Boolean, nullable=False),
    _text("dropped"),
    Column("attempts", Integer, nullable=False),
    _int("first_us", null=True),  # microseconds until the first byte of the answer
    _int("took_us"),
    _int("at"),
    _text("bodies", null=True),
    Index("calls_by_account", "account", "mode", "id"),
    Index("calls_by_age", "at"),
    Index("calls_by_request", "request"),
)

responses = Table(  # what clients may fetch again, and go on from
    "responses",
    metadata,
    _text("id", key=True),
    _text("account"),
    _text("mode"),
    _text("key"),
    _text("model"),
    _text("status"),
    _text("task", null=True),
    _text("input"),
    _text("response"),
    _int("created_at"),
    _int("expires_at"),
    Index("responses_to_expire", "expires_at"),
)
