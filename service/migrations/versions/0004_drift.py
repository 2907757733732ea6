"""Drift: corrections of counters, each with its reason, and what is known of each counter."""

import sqlalchemy as sa
from alembic import op

from service.sql import Moment, Whole

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_corrections",
        sa.Column("lot", sa.Text, primary_key=True),
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("at", Moment, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("before", Whole, nullable=False),
        sa.Column("after", Whole, nullable=False),
        sa.Column("band", Whole, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_drift_corrections_at", "drift_corrections", ["at"])
    op.create_table(
        "drift_memory",
        sa.Column("lot", sa.Text, primary_key=True),
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("at", Moment, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("drift_memory")
    op.drop_table("drift_corrections")
