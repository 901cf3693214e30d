"""Each dispute's code waits beside those of the others, until its own time is over."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Codes sent before are void: payments are asked for again, disputes answered by dialling."""
    _make_challenges_anew("msisdn", "form", "dispute")


def downgrade() -> None:
    """Forget the codes that wait."""
    _make_challenges_anew("msisdn", "form")


def _make_challenges_anew(*key: str) -> None:
    """SQLite cannot change a primary key."""
    op.drop_table("challenge")
    op.create_table(
        "challenge",
        *(sa.Column(name, sa.String(), nullable=False) for name in key),
        sa.Column("intent_id", sa.String(), nullable=False),
        sa.Column("code_mac", sa.LargeBinary(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("wrong_codes", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key),
    )
