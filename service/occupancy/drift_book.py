"""Drift corrections in SQL, each with its reason, and what a restart must not forget."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from service.occupancy.counter_filter import Memory
from service.sql import METADATA, Moment, Whole, reading, writing

log = structlog.get_logger()

UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

drift_corrections = sa.Table(
    "drift_corrections",
    METADATA,
    sa.Column("lot", sa.Text, primary_key=True),
    sa.Column("zone", sa.Text, primary_key=True),
    sa.Column("at", Moment, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("before", Whole, nullable=False),
    sa.Column("after", Whole, nullable=False),
    sa.Column("band", Whole, nullable=False),
    sa.Index("ix_drift_corrections_at", "at"),
    sqlite_strict=True,
)

drift_memory = sa.Table(
    "drift_memory",
    METADATA,
    sa.Column("lot", sa.Text, primary_key=True),
    sa.Column("zone", sa.Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_strict=True,
)


class DriftCorrection(msgspec.Struct, frozen=True):
    """Spaces added to what a zone's sensors count, before and after, and the band with it.

    reason: plates | full | empty | quiet_hour | busy_hour | recount | traffic (the known bias went
    on growing).
    """

    lot: str
    zone: str
    at: datetime
    reason: str
    before: int
    after: int
    band: int


class DriftBook:
    """Raises what SQL raises (`service.sql.TROUBLE`)."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record(self, made: Iterable[DriftCorrection]) -> None:
        """Keep corrections; one of the same zone and time is kept once."""
        rows = [msgspec.structs.asdict(one) for one in made]
        if not rows:
            return
        insert = UPSERTS[self._engine.dialect.name](drift_corrections).on_conflict_do_nothing()
        async with writing(self._engine) as sql:
            await sql.execute(insert, rows)

    async def corrections(self, lot: str | None = None) -> list[DriftCorrection]:
        """Oldest first."""
        query = sa.select(drift_corrections).order_by(drift_corrections.c.at)
        if lot is not None:
            query = query.where(drift_corrections.c.lot == lot)
        async with reading(self._engine) as sql:
            rows = (await sql.execute(query)).mappings()
            return [DriftCorrection(**row) for row in rows]

    async def remember(self, memories: dict[tuple[str, str], Memory], at: datetime) -> None:
        rows = [
            {"lot": lot, "zone": zone, "at": at, "body": msgspec.msgpack.encode(memory)}
            for (lot, zone), memory in memories.items()
        ]
        if not rows:
            return
        insert = UPSERTS[self._engine.dialect.name](drift_memory)
        change = {"at": insert.excluded.at, "body": insert.excluded.body}
        upsert = insert.on_conflict_do_update(index_elements=["lot", "zone"], set_=change)
        async with writing(self._engine) as sql:
            await sql.execute(upsert, rows)

    async def recall(self) -> dict[tuple[str, str], Memory]:
        async with reading(self._engine) as sql:
            rows = (await sql.execute(sa.select(drift_memory))).mappings().all()
        decode = msgspec.msgpack.Decoder(Memory).decode
        known = {}
        for row in rows:
            try:
                known[row["lot"], row["zone"]] = decode(row["body"])
            except msgspec.DecodeError:  # kept by an older version
                log.warning("drift is learned anew", lot=row["lot"], zone=row["zone"])
        return known

    async def forget(self, before: datetime) -> None:
        """Drop older corrections."""
        async with writing(self._engine) as sql:
            await sql.execute(drift_corrections.delete().where(drift_corrections.c.at < before))
