"""responses that are kept"""

import sqlalchemy as sa
from alembic import op

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, WORDS, nullable=null)


def upgrade() -> None:
    op.create_table(
        "responses",
        *(_text("id"), _text("account"), _text("mode"), _text("key"), _text("model"), _text("status")),
        *(_text("task", null=True), _text("input"), _text("response")),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("responses", schema=None) as batch_op:
        batch_op.create_index("responses_to_expire", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("responses")
