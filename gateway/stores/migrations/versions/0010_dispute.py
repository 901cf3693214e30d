"""Money paid to the wrong person is asked back; challenges of several forms wait side by side."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_OPEN = sa.text("state IN ('asked', 'held')")


def upgrade() -> None:
    """Give disputes a table. What waits for its code by SMS must be asked for again."""
    op.create_table(
        "dispute",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("tx_hash", sa.String(), nullable=False),
        sa.Column("src_account", sa.String(), nullable=False),
        sa.Column("dest_account", sa.String(), nullable=False),
        sa.Column("dest_msisdn", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("business_day", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("answer_by", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("movement", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ref"),
        sa.UniqueConstraint("tx_hash"),
    )
    op.create_index("dispute_of_payer", "dispute", ["src_account", "business_day"])
    op.create_index(
        "dispute_open",
        "dispute",
        ["dest_account"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_index("dispute_due", "dispute", ["state", "due_at"])
    _make_challenges_anew("msisdn", "form")


def downgrade() -> None:
    """Forget them: do it only while none is open."""
    op.drop_table("dispute")
    _make_challenges_anew("msisdn")


def _make_challenges_anew(*key: str) -> None:
    """SQLite cannot change a primary key, and what stands there is good for five minutes."""
    op.drop_table("challenge")
    op.create_table(
        "challenge",
        sa.Column("msisdn", sa.String(), nullable=False),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("intent_id", sa.String(), nullable=False),
        sa.Column("code_mac", sa.LargeBinary(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("wrong_codes", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key),
    )
