"""Wallets are made by receiving, and what nobody claims goes back."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Say of each wallet whether it waits for its owner, and of its money until when."""
    op.add_column("wallet", sa.Column("claim", sa.String(), nullable=False, server_default=""))
    op.add_column("receipt", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "unclaimed",
        sa.Column("tx_hash", sa.String(), nullable=False),
        sa.Column("command_index", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("ref", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("tx_hash", "command_index"),
    )
    op.create_index(op.f("ix_unclaimed_account_id"), "unclaimed", ["account_id"], unique=False)
    op.create_index(op.f("ix_unclaimed_ref"), "unclaimed", ["ref"], unique=False)
    op.create_index("unclaimed_due", "unclaimed", ["state", "due_at"], unique=False)


def downgrade() -> None:
    """Forget it: do it only while no wallet waits for its owner."""
    op.drop_table("unclaimed")
    op.drop_column("receipt", "due_at")
    op.drop_column("wallet", "claim")
