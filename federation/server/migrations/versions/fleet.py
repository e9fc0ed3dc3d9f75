"""What makes a phone's join, a scrape and a sweep cost the same in a large fleet: counters, and keys of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add them; a round that is filling ends, since nothing says which keys are in it."""
    op.add_column("rounds", sa.Column("selected", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("rounds", sa.Column("joined", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE rounds SET phase = 'abandoned', reason = 'the server was upgraded', ended = phase_since "
        "WHERE phase = 'advertise'"
    )
    op.create_table(
        "joined_keys",
        sa.Column("round_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("round_id", "key"),
    )
    op.create_table(
        "counters",
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.execute("INSERT INTO counters SELECT kind, count(*), sum(size_bytes) FROM events GROUP BY kind")
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_events_at"), table_name="events")
    op.drop_table("counters")
    op.drop_table("joined_keys")
    op.drop_column("rounds", "joined")
    op.drop_column("rounds", "selected")
