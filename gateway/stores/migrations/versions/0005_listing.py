"""Numbers whose wallets other banks keep."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make room for what other banks' openers publish."""
    op.create_table(
        "listing",
        sa.Column("msisdn", sa.String(), nullable=False),
        sa.Column("bank", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("msisdn", "bank"),
    )
    op.create_index(op.f("ix_listing_account_id"), "listing", ["account_id"], unique=False)


def downgrade() -> None:
    """Forget them; they are in the ledger's blocks."""
    op.drop_table("listing")
