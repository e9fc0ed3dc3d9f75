"""How many phones took each step of a round, from which the next rounds learn how many to let in."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add two columns; nothing is known of the rounds before."""
    op.add_column("rounds", sa.Column("finish", sa.Double(), nullable=False, server_default="1"))
    op.add_column("rounds", sa.Column("attendance", sa.JSON(), nullable=False, server_default="{}"))
    op.drop_index(op.f("ix_events_round_id"), table_name="events")
    op.create_index("ix_events_round", "events", ["round_id", "kind"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_events_round", table_name="events")
    op.create_index(op.f("ix_events_round_id"), "events", ["round_id"], unique=False)
    op.drop_column("rounds", "attendance")
    op.drop_column("rounds", "finish")
