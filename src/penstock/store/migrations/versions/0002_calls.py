"""calls: epochs, allowances, rules, charges, and the request log"""

import sqlalchemy as sa
from alembic import op

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, WORDS, nullable=null)


def _int(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=null)


def upgrade() -> None:
    op.create_table(
        "epochs", _int("id"), _int("opened_at"), _int("closed_at", null=True), sa.PrimaryKeyConstraint("id")
    )
    op.create_table(
        "allowances",
        *(_int("epoch"), _text("account"), _text("mode"), _int("drawn"), _int("settled"), _int("through")),
        sa.PrimaryKeyConstraint("epoch", "account", "mode"),
    )
    op.create_table("rules", _text("id"), _text("rule"), sa.PrimaryKeyConstraint("id"))
    op.create_table(
        "charges",
        *(_int("id"), _text("account"), _text("mode"), _text("key"), _text("model"), _text("rule"), _text("units")),
        *(_int("amount"), _int("uncovered"), sa.Column("estimated", sa.Boolean(), nullable=False), _int("at")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "calls",
        *(_int("id"), _text("request"), _text("account"), _text("key"), _text("mode"), _text("dialect")),
        *(_text("model"), _text("channel", null=True), _text("upstream_model", null=True)),
        *(sa.Column("streamed", sa.Boolean(), nullable=False), _text("outcome"), _text("units"), _int("charge")),
        *(sa.Column("estimated", sa.Boolean(), nullable=False), _text("dropped")),
        *(sa.Column("attempts", sa.Integer(), nullable=False), _int("first_us", null=True), _int("took_us")),
        *(_int("at"), _text("bodies", null=True)),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.create_index("calls_by_account", ["account", "mode", "id"], unique=False)
        batch_op.create_index("calls_by_age", ["at"], unique=False)


def downgrade() -> None:
    for table in ("calls", "charges", "rules", "allowances", "epochs"):
        op.drop_table(table)
