"""Wrong PINs of the last minute are found without looking at right ones."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Index what PIN spraying is told by."""
    op.create_index(
        "attempt_wrong",
        "attempt",
        ["at", "account_id"],
        unique=False,
        sqlite_where=sa.text("state = 'wrong'"),
        postgresql_where=sa.text("state = 'wrong'"),
    )


def downgrade() -> None:
    """Nothing is lost."""
    op.drop_index("attempt_wrong", table_name="attempt")
