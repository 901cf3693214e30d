"""When the last blocks were made: by them, and by nothing else, transactions expire."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Remember the times of the last blocks (JSON)."""
    op.add_column("cursor", sa.Column("times", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("cursor", "times")
