"""SMS are repeated at most once, delivery reports keep, and old rows are found to be deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count unsure sends, give reports a table of their own, index what housekeeping looks for."""
    op.create_table(
        "delivery_report",
        sa.Column("carrier_id", sa.String(), nullable=False),
        sa.Column("delivery", sa.String(), nullable=False),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("carrier_id"),
    )
    op.create_index(op.f("ix_delivery_report_at"), "delivery_report", ["at"], unique=False)
    op.execute(
        "INSERT INTO delivery_report (carrier_id, delivery, at)"
        " SELECT carrier_id, 'delivered', MAX(next_try_at) FROM message"
        " WHERE state = 'delivered' GROUP BY carrier_id"
    )
    op.execute("UPDATE message SET state = 'sent' WHERE state = 'delivered'")
    op.add_column("message", sa.Column("unsure", sa.Integer(), server_default="0", nullable=False))
    op.drop_column("message", "sent_at")
    op.drop_column("heard", "msisdn")
    op.create_index(op.f("ix_attempt_at"), "attempt", ["at"], unique=False)
    op.create_index(op.f("ix_counter_period"), "counter", ["period"], unique=False)


def downgrade() -> None:
    """Back to the first release; what was reported of SMS is forgotten."""
    op.drop_index(op.f("ix_counter_period"), "counter")
    op.drop_index(op.f("ix_attempt_at"), "attempt")
    op.add_column("heard", sa.Column("msisdn", sa.String(), server_default="", nullable=False))
    op.add_column("message", sa.Column("sent_at", sa.BigInteger(), nullable=True))
    op.drop_column("message", "unsure")
    op.drop_table("delivery_report")
