"""Settlement: passages, sessions, bills, the ledger, charges, exceptions."""

import sqlalchemy as sa
from alembic import op

from service.sql import Flag, Moment, Whole

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _gate()
    _money()
    _evidence()


def _gate() -> None:
    op.create_table(
        "tariffs",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("lot", sa.Text, nullable=False),
        sa.Column("plate_key", sa.Text, nullable=False),
        sa.Column("plate_mask", sa.Text, nullable=False),
        sa.Column("plate_sealed", sa.LargeBinary),
        sa.Column("plate_color", sa.Text, nullable=False),
        sa.Column("vehicle", sa.Text, nullable=False),
        sa.Column("tariff", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("rev", Whole, nullable=False),
        sa.Column("entered_at", Moment, nullable=False),
        sa.Column("entry_lane", sa.Text, nullable=False),
        sa.Column("left_at", Moment),
        sa.Column("exit_lane", sa.Text),
        sa.Column("enrolled", Flag),
        sa.Column("attempts", Whole, nullable=False),
        sa.Column("next_at", Moment),
        sa.Column("changed_at", Moment, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_sessions_next_at", "sessions", ["next_at"])
    op.create_index("ix_sessions_state", "sessions", ["state"])
    op.create_index("ix_sessions_plate_key_lot", "sessions", ["plate_key", "lot"])
    op.create_index("ix_sessions_changed_at", "sessions", ["changed_at"])
    op.create_table(
        "passages",
        sa.Column("camera", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("lot", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("plate_key", sa.Text),
        sa.Column("plate_mask", sa.Text),
        sa.Column("passed_at", Moment, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.Column("buffered", Flag, nullable=False),
        sa.Column("skewed", Flag, nullable=False),
        sa.Column("session", sa.Text),
        sa.Column("answer", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_passages_received_at", "passages", ["received_at"])


def _money() -> None:
    op.create_table(
        "bills",
        sa.Column("session", sa.Text, sa.ForeignKey("sessions.id"), primary_key=True),
        sa.Column("rev", Whole, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("amount_fen", Whole, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("minutes", Whole, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
        sa.Column("drawn_at", Moment, nullable=False),
        sa.CheckConstraint("amount_fen >= 0", name="amount"),
        sqlite_strict=True,
    )
    op.create_table(
        "postings",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("session", sa.Text, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("amount_fen", Whole, nullable=False),
        sa.Column("posted_at", Moment, nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sa.CheckConstraint("debit <> credit", name="two_sides"),
        sqlite_strict=True,
    )
    op.create_index("ix_postings_session", "postings", ["session"])
    op.create_index("ix_postings_posted_at", "postings", ["posted_at"])
    op.create_table(
        "charges",
        sa.Column("order_no", sa.Text, primary_key=True),
        sa.Column("session", sa.Text, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("attempt", Whole, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("amount_fen", Whole, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("provider_ref", sa.Text),
        sa.Column("asked", Whole, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("next_at", Moment),
        sa.UniqueConstraint("session", "attempt", name="uq_charges_session_attempt"),
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sqlite_strict=True,
    )
    op.create_index("ix_charges_next_at", "charges", ["next_at"])


def _evidence() -> None:
    op.create_table(
        "notices",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("notice_id", sa.Text, primary_key=True),
        sa.Column("order_no", sa.Text, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "exceptions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("lot", sa.Text, nullable=False),
        sa.Column("lane", sa.Text),
        sa.Column("camera", sa.Text),
        sa.Column("event_id", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("proposed", sa.Text),
        sa.Column("raised_at", Moment, nullable=False),
        sa.Column("closed_at", Moment),
        sa.Column("closed_how", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("ix_exceptions_closed_at_raised_at", "exceptions", ["closed_at", "raised_at"])
    op.create_table(
        "journals",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", Whole, nullable=False),
        sqlite_strict=True,
    )
