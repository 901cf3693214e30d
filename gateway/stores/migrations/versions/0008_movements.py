"""Movements: what changed each holding and counter, in a chain for each wallet."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_POINTING = ("holding", "counter", "transfer", "receipt")
_FIGURES = ("by_a", "by_b", "by_c", "a", "b", "c")


def upgrade() -> None:
    """Make room. What the rows hold already is brought into the chains by the first gateway."""
    for table in _POINTING:
        column = sa.Column("movement", sa.BigInteger(), server_default="0", nullable=False)
        op.add_column(table, column)
    op.create_table(
        "movement",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _FIGURES),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("tx_hash", sa.String(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("bound", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "movement_of_block",
        "movement",
        ["height"],
        sqlite_where=sa.text("height IS NOT NULL"),
        postgresql_where=sa.text("height IS NOT NULL"),
    )
    op.create_table(
        "chain_key",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("kek_version", sa.Integer(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )


def downgrade() -> None:
    """Forget them: holdings, counters and payments say nothing else without."""
    op.drop_table("chain_key")
    op.drop_table("movement")
    for table in _POINTING:
        op.drop_column(table, "movement")
