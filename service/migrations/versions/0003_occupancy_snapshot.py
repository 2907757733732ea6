"""Occupancy: the last minute's snapshot of every shard, for a Redis that comes back empty."""

import sqlalchemy as sa
from alembic import op

from service.sql import Moment, Whole

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "occupancy_snapshot",
        sa.Column("shard", Whole, primary_key=True, autoincrement=False),
        sa.Column("taken_at", Moment, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("occupancy_snapshot")
