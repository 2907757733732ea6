"""Where a session's money moves: each method is one transaction, and may be repeated.

A transaction reads the session, steps the table of `session`, posts what the step means, and writes
the next revision. What was changed is told to `told` after the commit, so that the gate's memory
follows. Transactions that wait at the same moment are committed together.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.settlement import ledger, rows, tables
from service.settlement.charges import AUTO, PAGE, Charge, new_charge
from service.settlement.hearing import ASK_AGAIN_S, PAGE_ORDER_S, hear
from service.settlement.model import Bill, Session
from service.settlement.passing import changed
from service.settlement.policy import Policy
from service.settlement.providers.protocol import Notice, Outcome
from service.settlement.session import Event, State, after
from service.settlement.store import bill_row, insert_into, session_of
from service.settlement.together import Together
from service.sql import reading

Told = Callable[[Session, Bill | None], None]
_PAYABLE = frozenset({State.HELD, State.PRICED, State.OWED, State.RETRY, State.ARREARS})


class Till:
    """The money's transactions, over one database."""

    def __init__(self, engine: AsyncEngine, policy: Policy, told: Told) -> None:
        self.engine = engine
        self._policy = policy
        self._told = told
        self._together = Together(engine)

    async def quiet(self) -> None:
        """Wait until no transaction is under way."""
        await self._together.quiet()

    # -- what is due

    async def due_sessions(self, at: datetime, limit: int) -> list[Session]:
        """Sessions that wait for us, the longest waiting first."""
        table = tables.sessions
        due = sa.select(table).where(table.c.next_at <= at).order_by(table.c.next_at)
        async with reading(self.engine) as sql:
            return [session_of(row) for row in (await sql.execute(due.limit(limit))).mappings()]

    async def due_charges(self, provider: str, at: datetime, limit: int) -> list[Charge]:
        """Charges at `provider` that wait for us."""
        table = tables.charges
        mine = (table.c.next_at <= at) & (table.c.provider == provider)
        due = sa.select(table).where(mine).order_by(table.c.next_at)
        async with reading(self.engine) as sql:
            return [rows.charge_of(row) for row in (await sql.execute(due.limit(limit))).mappings()]

    async def asked_for(self, name: str) -> tuple[Session, Bill | None]:
        """A session and its bill, as they stand."""
        query = sa.select(tables.sessions).where(tables.sessions.c.id == name)
        async with reading(self.engine) as sql:
            found = session_of((await sql.execute(query)).mappings().one())
            return found, await rows.bill(sql, name)

    # -- from exit to charge

    async def enrolled(self, name: str, word: bool) -> None:
        """Note the provider's word on a car that is inside."""
        table = tables.sessions
        inside = (table.c.id == name) & (table.c.state == State.ENTERED.value)
        note = table.update().where(inside).values(enrolled=word, next_at=None)
        await self._together.do(lambda sql: sql.execute(note))

    async def postpone(self, name: str, until: datetime | None) -> None:
        """Look at a session again later, or not by itself; nothing else about it changes."""
        table = tables.sessions
        note = table.update().where(table.c.id == name).values(next_at=until)
        await self._together.do(lambda sql: sql.execute(note))

    async def draw_up(self, bill: Bill, state: State, next_at: datetime | None) -> None:
        """Add the bill of a stay that could not be priced at the gate; `bill.rev` is the next."""

        async def work(sql: AsyncConnection) -> Session | None:
            session = await rows.session(sql, bill.session)
            if session.state is not State.EXITED or session.rev != bill.rev - 1:
                return None
            priced = changed(session, bill.drawn_at, state=state, next_at=next_at)
            await rows.save(sql, priced)
            insert = insert_into(sql, tables.bills).on_conflict_do_nothing()
            await sql.execute(insert, bill_row(bill))
            return priced

        self._tell(await self._together.do(work), bill)

    async def gone(self, name: str, at: datetime) -> None:
        """A car that was held, or had paid, never came back to the gate: it left by hand."""

        async def work(sql: AsyncConnection) -> tuple[Session | None, Bill | None]:
            session, bill = await rows.session(sql, name), await rows.bill(sql, name)
            if session.state is State.PREPAID:
                state = after(session.state, Event.EXIT)
            elif session.state is State.HELD and bill is not None:
                state = after(session.state, Event.EXIT, Event.PRICE)
            elif session.state is State.EXITED and bill is not None:
                state = after(session.state, Event.PRICE)
            else:
                return None, None
            next_at = at if state is State.PRICED else None
            left = changed(session, at, state=state, next_at=next_at)
            await rows.save(sql, left)
            return left, bill

        self._tell(*await self._together.do(work))

    async def charge(self, name: str, provider: str | None, at: datetime) -> Charge | None:
        """Owe what is priced; the charge that `provider` is to be asked for, marked as asked.

        None where nobody is to be asked now.
        """

        async def work(sql: AsyncConnection) -> tuple[Session | None, Bill | None, Charge | None]:
            session, bill = await rows.session(sql, name), await rows.bill(sql, name)
            if bill is None or session.state not in (State.PRICED, State.OWED, State.RETRY):
                return None, None, None
            state: State = session.state
            charge, next_at = None, None
            if state is State.PRICED:
                await rows.post(sql, ledger.owed(name, session.lot, bill.amount_fen, at))
                state = after(state, Event.OWE)
            if await rows.open_page_order(sql, name) is not None:
                next_at = at + timedelta(seconds=PAGE_ORDER_S)  # the driver may be paying
            elif provider is not None:
                state = after(state, Event.CHARGE)
                attempt = len(await rows.charges(sql, name)) + 1
                charge = new_charge(bill, attempt, AUTO, provider, at)
                await rows.add_charge(sql, _asked(charge, at))
            owing = changed(session, at, state=state, next_at=next_at)
            await rows.save(sql, owing)
            return owing, bill, charge

        owing, bill, charge = await self._together.do(work)
        self._tell(owing, bill)
        return charge

    async def page_order(self, name: str, provider: str, at: datetime) -> Charge | None:
        """The order that the driver pays on the bill page; None where there is nothing to pay."""

        async def work(sql: AsyncConnection) -> Charge | None:
            session, bill = await rows.session(sql, name), await rows.bill(sql, name)
            if bill is None or not bill.amount_fen or session.state not in _PAYABLE:
                return None
            known = await rows.open_page_order(sql, name)
            if known is not None and known.amount_fen == bill.amount_fen:
                return known
            attempt = len(await rows.charges(sql, name)) + 1
            new = new_charge(bill, attempt, PAGE, provider, at)
            first_look = at + timedelta(seconds=ASK_AGAIN_S[0])
            new = msgspec.structs.replace(new, next_at=first_look)
            await rows.add_charge(sql, new)
            return new

        return await self._together.do(work)

    # -- asking and hearing

    async def asking(self, charge: Charge, at: datetime) -> bool:
        """Write down that the provider is asked now; False where another process was first."""
        table, asked = tables.charges, _asked(charge, at)
        mine = (
            (table.c.order_no == charge.order_no)
            & (table.c.asked == charge.asked)
            & (table.c.state == charge.state)
        )
        note = table.update().where(mine)
        note = note.values(state=asked.state, asked=asked.asked, next_at=asked.next_at)

        async def work(sql: AsyncConnection) -> bool:
            return (await sql.execute(note)).rowcount == 1

        return await self._together.do(work)

    async def heard(self, outcome: Outcome, at: datetime, notice: Notice | None = None) -> bool:
        """Take the provider's word on an order; False where it changes nothing.

        Errors: `Refused` with `unknown_order` or `amount`.
        """
        moved, bill = await self._together.do(
            lambda sql: hear(sql, self._policy, outcome, at, notice)
        )
        self._tell(moved, bill)
        return moved is not None

    def _tell(self, moved: Session | None, bill: Bill | None) -> None:
        if moved is not None:
            self._told(moved, bill)


def _asked(charge: Charge, at: datetime) -> Charge:
    """The charge as it stands while the provider is asked, or was and nobody knows."""
    again_at = at + timedelta(seconds=ASK_AGAIN_S[min(charge.asked, len(ASK_AGAIN_S) - 1)])
    state = "sent" if charge.state == "queued" else charge.state
    return msgspec.structs.replace(charge, state=state, asked=charge.asked + 1, next_at=again_at)
