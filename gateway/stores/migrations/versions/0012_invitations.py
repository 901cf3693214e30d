"""An invitation that a day's budget holds back is sent later."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Say of money that waits whether its number was told; of what waited before nobody knows."""
    op.add_column(
        "unclaimed", sa.Column("told", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    untold = sa.text("state = 'waiting' AND NOT told")
    op.create_index(
        "unclaimed_untold",
        "unclaimed",
        ["account_id"],
        sqlite_where=untold,
        postgresql_where=untold,
    )


def downgrade() -> None:
    """Forget who is still to be told."""
    op.drop_index("unclaimed_untold", table_name="unclaimed")
    op.drop_column("unclaimed", "told")
