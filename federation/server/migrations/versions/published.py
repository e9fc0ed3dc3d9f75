"""The mean of each round, for anyone who recomputes models; the log begins anew with entries that say more."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add a column. The log is filled again at the next start, under another instance: no phone saw it before."""
    op.add_column("models", sa.Column("mean", sa.String(length=255), nullable=False, server_default=""))
    op.execute("DELETE FROM log")
    op.execute("DELETE FROM instance")


def downgrade() -> None:
    """Go back; entries that older versions cannot read go too."""
    op.execute("DELETE FROM log")
    op.execute("DELETE FROM instance")
    op.drop_column("models", "mean")
