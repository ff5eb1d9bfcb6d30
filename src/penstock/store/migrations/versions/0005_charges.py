"""a charge is one page to write: its number is the row's own on SQLite, and its sums follow later"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """SQLite finds a row by its number alone where that is declared INTEGER; for a BIGINT it keeps an index beside."""
    whole = str(2**63 - 1)  # until now sums were written with what they sum up
    op.add_column(
        "epochs", sa.Column("summed", sa.BigInteger(), autoincrement=False, nullable=False, server_default=whole)
    )
    if op.get_bind().dialect.name == "sqlite":
        for table in ("charges", "calls"):
            with op.batch_alter_table(table, recreate="always") as batch:
                batch.alter_column("id", type_=sa.Integer(), existing_nullable=False)
