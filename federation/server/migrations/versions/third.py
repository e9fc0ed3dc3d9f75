"""Rounds of several groups; what the poisoning defence remembers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns to rounds and devices, and a table. Rounds of before had one group."""
    whole = str(1 << 15)
    op.add_column("rounds", sa.Column("max_phones", sa.Integer(), nullable=False, server_default=whole))
    op.add_column("rounds", sa.Column("group_phones", sa.Integer(), nullable=False, server_default=whole))
    op.add_column("rounds", sa.Column("group_seed", sa.LargeBinary(length=32), nullable=False, server_default=""))
    op.add_column("devices", sa.Column("quarantined_until", sa.BigInteger(), nullable=True))
    op.create_table(
        "defence",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("memory", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("defence")
    op.drop_column("devices", "quarantined_until")
    for column in ("group_seed", "group_phones", "max_phones"):
        op.drop_column("rounds", column)
