"""Payments to bank accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Give payments a place for the number of a bank account."""
    op.add_column("transfer", sa.Column("beneficiary", sa.String(), nullable=True))


def downgrade() -> None:
    """Forget the numbers: do it only while there is none."""
    op.drop_column("transfer", "beneficiary")
