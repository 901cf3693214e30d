"""A turn pays once, also when its session was lost and is repeated under another intent."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Find a day's payments by their turn, of which each has one at most."""
    asked_for = sa.text("turn_key <> ''")
    op.create_index(
        "transfer_of_turn",
        "transfer",
        ["turn_key", "business_day"],
        unique=True,
        sqlite_where=asked_for,
        postgresql_where=asked_for,
    )


def downgrade() -> None:
    """Let a turn pay as often as it likes."""
    op.drop_index("transfer_of_turn", table_name="transfer")
