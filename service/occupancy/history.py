"""Occupancy every few minutes into SQL, kept as long as configured: for reports, for learning."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from service.clock import Clock
from service.occupancy.mirror import Mirror
from service.occupancy.model import ZoneState
from service.sql import METADATA, TROUBLE, Moment, Whole, writing

INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
ROWS_AT_ONCE = 500
FORGET_EVERY = 12  # writes

log = structlog.get_logger()

occupancy_history = sa.Table(
    "occupancy_history",
    METADATA,
    sa.Column("lot", sa.Text, primary_key=True),
    sa.Column("zone", sa.Text, primary_key=True),
    sa.Column("at", Moment, primary_key=True),
    sa.Column("free", Whole),
    sa.Column("capacity", Whole, nullable=False),
    sa.Column("openness", sa.Text, nullable=False),
    sa.Column("quality", sa.Text, nullable=False),
    sa.Column("as_of", Moment),
    sa.Index("ix_occupancy_history_at", "at"),
    sqlite_strict=True,
)


class History:
    """Writes what the mirror shows at every multiple of `every_s`; forgets after `keep_s`."""

    def __init__(
        self, mirror: Mirror, engine: AsyncEngine, clock: Clock, *, every_s: float, keep_s: float
    ) -> None:
        self._mirror = mirror
        self._engine = engine
        self._clock = clock
        self._every_s = every_s
        self._keep = timedelta(seconds=keep_s)
        self._writes = 0

    async def run(self) -> None:
        """Write until cancelled; a time at which SQL is away is left out, and said."""
        while True:
            now_s = self._clock.now_s()
            due_s = (now_s // self._every_s + 1) * self._every_s
            await self._clock.sleep(due_s - now_s)
            try:
                await self.write(datetime.fromtimestamp(due_s, UTC))
            except TROUBLE as error:
                log.warning("history left out", error=type(error).__name__)

    async def write(self, at: datetime) -> int:
        """Keep every zone as it stands; writing a time again changes nothing. Returns the rows."""
        rows = [
            _row(zone, at)
            for state in self._mirror.states.values()
            for zone in state.zones
            if zone.as_of is not None
        ]
        insert = INSERTS[self._engine.dialect.name](occupancy_history).on_conflict_do_nothing()
        for start in range(0, len(rows), ROWS_AT_ONCE):
            # One short transaction a piece: a gate's commit must never wait for thousands of lots.
            async with writing(self._engine) as sql:
                await sql.execute(insert, rows[start : start + ROWS_AT_ONCE])
        self._writes += 1
        if self._writes % FORGET_EVERY == 1:
            await self.forget(at - self._keep)
        return len(rows)

    async def forget(self, before: datetime) -> None:
        """Drop what is older."""
        async with writing(self._engine) as sql:
            await sql.execute(occupancy_history.delete().where(occupancy_history.c.at < before))


def _row(zone: ZoneState, at: datetime) -> dict[str, object]:
    return {
        "lot": zone.lot,
        "zone": zone.zone,
        "at": at,
        "free": zone.free,
        "capacity": zone.capacity,
        "openness": zone.openness.value,
        "quality": zone.quality.value,
        "as_of": zone.as_of,
    }
