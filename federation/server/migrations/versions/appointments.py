"""When devices were told to come back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column, and count those who wait by it."""
    op.add_column("devices", sa.Column("due", sa.Double(), nullable=True))
    op.create_index(op.f("ix_devices_due"), "devices", ["due", "waiting_since"], unique=False)
    op.drop_index(op.f("ix_devices_waiting_since"), table_name="devices")


def downgrade() -> None:
    """Drop the column."""
    op.create_index(op.f("ix_devices_waiting_since"), "devices", ["waiting_since"], unique=False)
    op.drop_index(op.f("ix_devices_due"), table_name="devices")
    op.drop_column("devices", "due")
