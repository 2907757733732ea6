"""Operations: staff's corrections with what stood before and after; history of occupancy."""

import sqlalchemy as sa
from alembic import op

from service.sql import Moment, Whole

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at", Moment, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("lot", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until", Moment),
        sa.Column("laid", sa.Text, nullable=False),
        sa.Column("replaced", sa.Text),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text),
        sa.Column("undone_at", Moment),
        sa.Column("undone_by", sa.Text),
        sa.Column("undone_reason", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("ix_corrections_lot_at", "corrections", ["lot", "at"])
    op.create_table(
        "occupancy_history",
        sa.Column("lot", sa.Text, primary_key=True),
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("at", Moment, primary_key=True),
        sa.Column("free", Whole),
        sa.Column("capacity", Whole, nullable=False),
        sa.Column("openness", sa.Text, nullable=False),
        sa.Column("quality", sa.Text, nullable=False),
        sa.Column("as_of", Moment),
        sqlite_strict=True,
    )
    op.create_index("ix_occupancy_history_at", "occupancy_history", ["at"])
