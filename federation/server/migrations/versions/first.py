"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "devices",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.Column("waiting_since", sa.Double(), nullable=True),
        sa.Column("joined", sa.Double(), nullable=True),
        sa.Column("last_round", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_index(op.f("ix_devices_last_round"), "devices", ["last_round"], unique=False)
    op.create_index(op.f("ix_devices_last_seen"), "devices", ["last_seen"], unique=False)
    op.create_index(op.f("ix_devices_waiting_since"), "devices", ["waiting_since"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.BigInteger(), nullable=True),
        sa.Column("device", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_events_kind"), "events", ["kind"], unique=False)
    op.create_index(op.f("ix_events_round_id"), "events", ["round_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "models",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("round_id", sa.BigInteger(), nullable=True),
        sa.Column("weights", sa.String(length=255), nullable=False),
        sa.Column("optimizer", sa.String(length=255), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"],
            ["models.version"],
        ),
        sa.PrimaryKeyConstraint("version"),
        sa.UniqueConstraint("round_id"),
    )
    op.create_index(op.f("ix_models_sha256"), "models", ["sha256"], unique=False)
    op.create_table(
        "current",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version"],
            ["models.version"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "rounds",
        sa.Column("round_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("task", sa.LargeBinary(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("goal", sa.Integer(), nullable=False),
        sa.Column("opened", sa.Double(), nullable=False),
        sa.Column("phase_since", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_version"],
            ["models.version"],
        ),
        sa.PrimaryKeyConstraint("round_id"),
    )
    op.create_index(op.f("ix_rounds_phase"), "rounds", ["phase"], unique=False)
    op.create_table(
        "messages",
        sa.Column("round_id", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("blob", sa.String(length=255), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("received", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["round_id"],
            ["rounds.round_id"],
        ),
        sa.PrimaryKeyConstraint("round_id", "step", "device_id"),
    )


def downgrade() -> None:
    """Drop all tables."""
    op.drop_table("messages")
    op.drop_index(op.f("ix_rounds_phase"), table_name="rounds")
    op.drop_table("rounds")
    op.drop_table("current")
    op.drop_index(op.f("ix_models_sha256"), table_name="models")
    op.drop_table("models")
    op.drop_table("leases")
    op.drop_index(op.f("ix_events_round_id"), table_name="events")
    op.drop_index(op.f("ix_events_kind"), table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_devices_waiting_since"), table_name="devices")
    op.drop_index(op.f("ix_devices_last_seen"), table_name="devices")
    op.drop_index(op.f("ix_devices_last_round"), table_name="devices")
    op.drop_table("devices")
