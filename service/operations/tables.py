"""Operations' tables: what people changed, and why."""

import sqlalchemy as sa

from service.sql import METADATA, Moment

corrections = sa.Table(
    "corrections",
    METADATA,
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
    sa.Index("ix_corrections_lot_at", "lot", "at"),
    sqlite_strict=True,
)
