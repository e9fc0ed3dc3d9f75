"""Places that expire, nonces of requests, complaints about shares, and evidence."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add a column and three tables. A list of revoked devices needs none: it is a blob."""
    op.add_column("devices", sa.Column("selected", sa.Double(), nullable=True))
    op.create_table(
        "nonces",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=16), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "nonce"),
    )
    op.create_index("ix_nonces_at", "nonces", ["at"])
    op.create_table(
        "complaints",
        sa.Column("round_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("dealer", sa.LargeBinary(length=16), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.round_id"]),
        sa.PrimaryKeyConstraint("round_id", "device_id", "dealer"),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("devices", sa.JSON(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_evidence_round_id", "evidence", ["round_id"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("evidence")
    op.drop_table("complaints")
    op.drop_table("nonces")
    op.drop_column("devices", "selected")
