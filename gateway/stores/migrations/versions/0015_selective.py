"""Reads about one wallet touch its own rows only, however much the whole bank has."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_OPEN, _WAITING = sa.text("state IN ('asked', 'held')"), sa.text("state = 'waiting'")
_PAID = sa.text("state = 'committed'")


def upgrade() -> None:
    """Find payments by whom they went to, receipts by their ref; let no index begin with a state.

    SQLite knows nothing of how many rows are in a state: it took those two for the narrowest.
    """
    op.drop_index("dispute_due", table_name="dispute")
    op.create_index(
        "dispute_due", "dispute", ["due_at"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.drop_index("unclaimed_due", table_name="unclaimed")
    op.create_index(
        "unclaimed_due", "unclaimed", ["due_at"], sqlite_where=_WAITING, postgresql_where=_WAITING
    )
    op.create_index(
        "transfer_of_sender_to",
        "transfer",
        ["src_account", "dest_msisdn"],
        sqlite_where=_PAID,
        postgresql_where=_PAID,
    )
    op.create_index("receipt_named", "receipt", ["account_id", "ref", "at"])


def downgrade() -> None:
    """Read more rows again."""
    op.drop_index("receipt_named", table_name="receipt")
    op.drop_index("transfer_of_sender_to", table_name="transfer")
    op.drop_index("unclaimed_due", table_name="unclaimed")
    op.create_index("unclaimed_due", "unclaimed", ["state", "due_at"])
    op.drop_index("dispute_due", table_name="dispute")
    op.create_index("dispute_due", "dispute", ["state", "due_at"])
