"""Streams of the server's noise, and which round was noised by which of them, as its how-manieth."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a table, and columns to rounds."""
    op.create_table(
        "noise_streams",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("buffers", sa.JSON(), nullable=False),
        sa.Column("secret", sa.LargeBinary(length=32), nullable=False),
        sa.Column("rounds", sa.BigInteger(), nullable=False),
        sa.Column("dimension", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.LargeBinary(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("rounds", sa.Column("noise_stream", sa.Integer(), nullable=True))
    op.add_column("rounds", sa.Column("noise_time", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("rounds", "noise_time")
    op.drop_column("rounds", "noise_stream")
    op.drop_table("noise_streams")
