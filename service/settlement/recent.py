"""What people watch of settlement: the newest sessions, and how many are in each state."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service.settlement import tables
from service.sql import reading


class Recent(msgspec.Struct, frozen=True):
    """One session for eyes: the plate masked, the amount in fen once a bill is drawn."""

    session: str
    lot: str
    plate: str
    state: str
    entered_at: datetime
    left_at: datetime | None
    changed_at: datetime
    amount_fen: int | None


async def recent(engine: AsyncEngine, limit: int = 60) -> list[Recent]:
    """The sessions that changed last, newest first."""
    one, bill = tables.sessions.c, tables.bills.c
    query = (
        sa.select(
            one.id,
            one.lot,
            one.plate_mask,
            one.state,
            one.entered_at,
            one.left_at,
            one.changed_at,
            bill.amount_fen,
        )
        .select_from(tables.sessions.outerjoin(tables.bills, bill.session == one.id))
        .order_by(one.changed_at.desc())
        .limit(limit)
    )
    async with reading(engine) as sql:
        return [Recent(*row) for row in await sql.execute(query)]


async def counted(engine: AsyncEngine) -> dict[str, int]:
    """How many sessions are in each state, over all time."""
    state = tables.sessions.c.state
    query = sa.select(state, sa.func.count()).group_by(state)
    async with reading(engine) as sql:
        return {str(name): int(many) for name, many in await sql.execute(query)}
