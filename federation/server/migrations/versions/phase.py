"""Without the time at which a round's phase began, which nothing reads."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Drop a column."""
    op.drop_column("rounds", "phase_since")


def downgrade() -> None:
    """Go back; the phase is taken to have begun with the round."""
    op.add_column("rounds", sa.Column("phase_since", sa.Double(), nullable=False, server_default="0"))
    op.execute("UPDATE rounds SET phase_since = opened")
