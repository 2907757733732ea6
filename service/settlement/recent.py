"""What people watch of settlement: the newest sessions, and what is owed, paid and unexplained."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service.settlement import tables
from service.settlement.session import State
from service.sql import reading

OWING = (State.OWED, State.CHARGING, State.RETRY)


class Recent(msgspec.Struct, frozen=True):
    """One session for eyes: the plate masked, the amount in fen once a bill is drawn.

    `bill` is the bill's path, for those who may see it.
    """

    session: str
    lot: str
    plate: str
    state: str
    entered_at: datetime
    left_at: datetime | None
    changed_at: datetime
    amount_fen: int | None
    bill: str | None = None


class Totals(msgspec.Struct, frozen=True):
    """`owed`: in the ledger and being collected; `arrears`: given up on for now; `paid` since then.

    `exceptions` are those that nobody has explained yet, by kind.
    """

    owed: int
    owed_fen: int
    arrears: int
    arrears_fen: int
    paid: int
    paid_fen: int
    exceptions: dict[str, int]


async def recent(
    engine: AsyncEngine, limit: int = 60, link: Callable[[bytes], str] | None = None
) -> list[Recent]:
    """The sessions that changed last, newest first; `link` makes a bill's path (`Desk.path`)."""
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
            bill.nonce,
        )
        .select_from(tables.sessions.outerjoin(tables.bills, bill.session == one.id))
        .order_by(one.changed_at.desc())
        .limit(limit)
    )
    async with reading(engine) as sql:
        return [
            Recent(*row[:-1], bill=link(row.nonce) if link and row.nonce else None)
            for row in await sql.execute(query)
        ]


async def counted(engine: AsyncEngine) -> dict[str, int]:
    """How many sessions are in each state, over all time."""
    state = tables.sessions.c.state
    query = sa.select(state, sa.func.count()).group_by(state)
    async with reading(engine) as sql:
        return {str(name): int(many) for name, many in await sql.execute(query)}


async def totals(engine: AsyncEngine, since: datetime) -> Totals:
    """What is owed and unexplained now, and what was paid since `since`."""
    one, bill = tables.sessions.c, tables.bills.c
    count, summed = sa.func.count(), sa.func.coalesce(sa.func.sum(bill.amount_fen), 0)
    unpaid = sa.select(count, summed).select_from(tables.sessions.join(tables.bills))
    posting, trouble = tables.postings.c, tables.exceptions.c
    paid = sa.select(count, sa.func.coalesce(sa.func.sum(posting.amount_fen), 0)).where(
        posting.posted_at >= since, posting.kind == "paid"
    )
    unexplained = (
        sa.select(trouble.kind, count).where(trouble.closed_at.is_(None)).group_by(trouble.kind)
    )
    async with reading(engine) as sql:
        owed = (await sql.execute(unpaid.where(one.state.in_(OWING)))).one()
        arrears = (await sql.execute(unpaid.where(one.state == State.ARREARS))).one()
        got = (await sql.execute(paid)).one()
        kinds = {kind: int(many) for kind, many in await sql.execute(unexplained)}
    return Totals(
        owed=int(owed[0]),
        owed_fen=int(owed[1]),
        arrears=int(arrears[0]),
        arrears_fen=int(arrears[1]),
        paid=int(got[0]),
        paid_fen=int(got[1]),
        exceptions=kinds,
    )
