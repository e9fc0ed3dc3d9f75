"""When devices were told to come back; leases that no clock ends."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column to devices, and one in place of a lease's end."""
    op.add_column("devices", sa.Column("due", sa.Double(), nullable=True))
    op.create_index(op.f("ix_devices_due"), "devices", ["due", "waiting_since"], unique=False)
    op.drop_index(op.f("ix_devices_waiting_since"), table_name="devices")
    _replace_leases(sa.Column("renewals", sa.BigInteger(), nullable=False))


def downgrade() -> None:
    """Go back."""
    _replace_leases(sa.Column("until", sa.Double(), nullable=False))
    op.create_index(op.f("ix_devices_waiting_since"), "devices", ["waiting_since"], unique=False)
    op.drop_index(op.f("ix_devices_due"), table_name="devices")
    op.drop_column("devices", "due")


def _replace_leases(column: sa.Column[Any]) -> None:
    op.drop_table("leases")
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        column,
        sa.PrimaryKeyConstraint("name"),
    )
