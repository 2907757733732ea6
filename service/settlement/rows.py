"""Rows of settlement's tables, read and changed one at a time inside a transaction."""

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.settlement import ledger, tables
from service.settlement.charges import WAITING, Charge
from service.settlement.ledger import Conflict, Posting
from service.settlement.model import Bill, Session
from service.settlement.store import bill_of, insert_into, session_of


class Overtaken(Exception):  # noqa: N818 - it names an outcome, not a fault
    """Someone else changed the session first; read it again."""


async def session(sql: AsyncConnection, name: str) -> Session:
    """The session, locked until the transaction ends."""
    query = sa.select(tables.sessions).where(tables.sessions.c.id == name).with_for_update()
    return session_of((await sql.execute(query)).mappings().one())


async def bill(sql: AsyncConnection, name: str) -> Bill | None:
    query = sa.select(tables.bills).where(tables.bills.c.session == name)
    row = (await sql.execute(query)).mappings().one_or_none()
    return None if row is None else bill_of(row)


async def save(sql: AsyncConnection, changed: Session) -> None:
    """Write the next revision; raises `Overtaken` where it is not the next."""
    table = tables.sessions
    fields = {**msgspec.structs.asdict(changed), "state": changed.state.value}
    one = (table.c.id == changed.id) & (table.c.rev == changed.rev - 1)
    done = await sql.execute(table.update().where(one).values(**fields))
    if done.rowcount != 1:
        raise Overtaken(changed.id)


async def charge(sql: AsyncConnection, order_no: str) -> Charge | None:
    """The charge, locked until the transaction ends."""
    table = tables.charges
    query = sa.select(table).where(table.c.order_no == order_no).with_for_update()
    row = (await sql.execute(query)).mappings().one_or_none()
    return None if row is None else charge_of(row)


async def charges(sql: AsyncConnection, name: str) -> list[Charge]:
    """A session's charges, by attempt."""
    table = tables.charges
    query = sa.select(table).where(table.c.session == name).order_by(table.c.attempt)
    return [charge_of(row) for row in (await sql.execute(query)).mappings()]


async def open_page_order(sql: AsyncConnection, name: str) -> Charge | None:
    """What the driver may be paying this moment."""
    mine = await charges(sql, name)
    return next((one for one in mine if one.kind == "page" and one.state in WAITING), None)


async def add_charge(sql: AsyncConnection, new: Charge) -> None:
    await sql.execute(tables.charges.insert(), msgspec.structs.asdict(new))


async def change_charge(sql: AsyncConnection, order_no: str, **fields: Any) -> None:
    table = tables.charges
    await sql.execute(table.update().where(table.c.order_no == order_no).values(**fields))


async def post(sql: AsyncConnection, posting: Posting) -> None:
    """Post once; raises `Conflict` where the id exists with other contents."""
    insert = insert_into(sql, tables.postings).on_conflict_do_nothing()
    row = msgspec.structs.asdict(posting)
    if (await sql.execute(insert, row)).rowcount == 1:
        return
    query = sa.select(tables.postings).where(tables.postings.c.id == posting.id)
    known = Posting(**(await sql.execute(query)).mappings().one())
    if not ledger.same(known, posting):
        raise Conflict(posting.id)


def charge_of(row: sa.RowMapping) -> Charge:
    return Charge(**{name: row[name] for name in Charge.__struct_fields__})
