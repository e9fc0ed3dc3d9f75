"""Versions of counts beside those of weights."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a column: all models of before were weights."""
    op.add_column("models", sa.Column("kind", sa.String(length=16), nullable=False, server_default="weights"))


def downgrade() -> None:
    """Go back, without the counts."""
    op.execute("DELETE FROM current WHERE id = 2")
    op.execute("DELETE FROM models WHERE kind <> 'weights'")
    op.drop_column("models", "kind")
