"""An SMS that may pay is acted upon by one at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """What was heard before was acted upon."""
    op.add_column(
        "heard", sa.Column("leased_until", sa.BigInteger(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    """What nobody has finished may be acted upon again."""
    op.execute("DELETE FROM heard WHERE leased_until > 0")
    op.drop_column("heard", "leased_until")
