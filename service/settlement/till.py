"""Where a session's money moves: each method is one transaction, and may be repeated.

A transaction reads the session, steps the table of `session`, posts what the step means, and writes
the next revision. What was changed is told to `told` after the commit, so that the gate's memory
follows.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices.reading import Refused
from service.settlement import ledger, rows, tables
from service.settlement.charges import AUTO, PAGE, Charge, new_charge
from service.settlement.model import Bill, Session, Trouble, trouble_id
from service.settlement.passing import changed
from service.settlement.policy import Policy
from service.settlement.providers.protocol import Notice, Outcome, Word
from service.settlement.session import Event, State, after, can
from service.settlement.store import insert_into, raise_trouble, session_of
from service.sql import reading

ASK_AGAIN_S: Final = (20.0, 40.0, 120.0, 600.0, 3600.0)  # clock; then every hour
PAGE_ORDER_S: Final = 900.0  # how long an order on the bill page keeps us from charging
_PAYABLE: Final = frozenset({State.HELD, State.PRICED, State.OWED, State.RETRY, State.ARREARS})
Told = Callable[[Session, Bill | None], None]


class Till:
    """The money's transactions, over one database."""

    def __init__(self, engine: AsyncEngine, policy: Policy, told: Told) -> None:
        self.engine = engine
        self._policy = policy
        self._told = told

    # -- what is due

    async def due_sessions(self, at: datetime, limit: int) -> list[Session]:
        """Sessions that wait for us, the longest waiting first."""
        table = tables.sessions
        query = sa.select(table).where(table.c.next_at <= at).order_by(table.c.next_at).limit(limit)
        async with reading(self.engine) as sql:
            return [session_of(row) for row in (await sql.execute(query)).mappings()]

    async def due_charges(self, at: datetime, limit: int) -> list[Charge]:
        table = tables.charges
        query = sa.select(table).where(table.c.next_at <= at).order_by(table.c.next_at).limit(limit)
        async with reading(self.engine) as sql:
            return [rows.charge_of(row) for row in (await sql.execute(query)).mappings()]

    async def asked_for(self, name: str) -> tuple[Session, Bill | None]:
        """A session and its bill, as they stand."""
        async with reading(self.engine) as sql:
            query = sa.select(tables.sessions).where(tables.sessions.c.id == name)
            found = session_of((await sql.execute(query)).mappings().one())
            return found, await rows.bill(sql, name)

    # -- from exit to charge

    async def enrolled(self, name: str, word: bool) -> None:
        """Note the provider's word on a car that is inside."""
        table = tables.sessions
        inside = (table.c.id == name) & (table.c.state == State.ENTERED.value)
        async with self.engine.begin() as sql:
            await sql.execute(table.update().where(inside).values(enrolled=word, next_at=None))

    async def postpone(self, name: str, until: datetime | None) -> None:
        """Look at a session again later, or not by itself; nothing else about it changes."""
        table = tables.sessions
        async with self.engine.begin() as sql:
            await sql.execute(table.update().where(table.c.id == name).values(next_at=until))

    async def draw_up(self, bill: Bill, state: State, next_at: datetime | None) -> None:
        """Add the bill of a stay that could not be priced at the gate; `bill.rev` is the next."""
        async with self.engine.begin() as sql:
            session = await rows.session(sql, bill.session)
            if session.state is not State.EXITED or session.rev != bill.rev - 1:
                return
            priced = changed(session, bill.drawn_at, state=state, next_at=next_at)
            await rows.save(sql, priced)
            row = {
                **msgspec.structs.asdict(bill),
                "lines": msgspec.json.encode(bill.lines).decode(),
            }
            await sql.execute(insert_into(sql, tables.bills).on_conflict_do_nothing(), row)
        self._told(priced, bill)

    async def gone(self, name: str, at: datetime) -> None:
        """A car that was held, or had paid, never came back to the gate: it left by hand."""
        async with self.engine.begin() as sql:
            session, bill = await rows.session(sql, name), await rows.bill(sql, name)
            if session.state is State.PREPAID:
                state = after(session.state, Event.EXIT)
            elif session.state is State.HELD and bill is not None:
                state = after(session.state, Event.EXIT, Event.PRICE)
            elif session.state is State.EXITED and bill is not None:
                state = after(session.state, Event.PRICE)
            else:
                return
            next_at = at if state is State.PRICED else None
            left = changed(session, at, state=state, next_at=next_at)
            await rows.save(sql, left)
        self._told(left, bill)

    async def charge(self, name: str, provider: str | None, at: datetime) -> Charge | None:
        """Owe what is priced, and ask `provider` for it; None where nobody is to be asked now."""
        charge = None
        async with self.engine.begin() as sql:
            session, bill = await rows.session(sql, name), await rows.bill(sql, name)
            if bill is None or session.state not in (State.PRICED, State.OWED, State.RETRY):
                return None
            state: State = session.state
            next_at = None
            if state is State.PRICED:
                await rows.post(sql, ledger.owed(name, session.lot, bill.amount_fen, at))
                state = after(state, Event.OWE)
            if await rows.open_page_order(sql, name) is not None:
                next_at = at + timedelta(seconds=PAGE_ORDER_S)  # the driver may be paying
            elif provider is not None:
                state = after(state, Event.CHARGE)
                attempt = len(await rows.charges(sql, name)) + 1
                charge = new_charge(bill, attempt, AUTO, provider, at)
                await rows.add_charge(sql, charge)
            owing = changed(session, at, state=state, next_at=next_at)
            await rows.save(sql, owing)
        self._told(owing, bill)
        return charge

    async def page_order(self, name: str, provider: str, at: datetime) -> Charge | None:
        """The order that the driver pays on the bill page; None where there is nothing to pay."""
        async with self.engine.begin() as sql:
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

    # -- asking and hearing

    async def asking(self, charge: Charge, at: datetime) -> bool:
        """Write down that the provider is asked now; False where another process was first."""
        table = tables.charges
        again_at = at + timedelta(seconds=ASK_AGAIN_S[min(charge.asked, len(ASK_AGAIN_S) - 1)])
        mine = (
            (table.c.order_no == charge.order_no)
            & (table.c.asked == charge.asked)
            & (table.c.state == charge.state)
        )
        state = "sent" if charge.state == "queued" else charge.state
        values = {"state": state, "asked": charge.asked + 1, "next_at": again_at}
        async with self.engine.begin() as sql:
            return (await sql.execute(table.update().where(mine).values(**values))).rowcount == 1

    async def heard(self, outcome: Outcome, at: datetime, notice: Notice | None = None) -> bool:
        """Take the provider's word on an order; False where it changes nothing.

        Errors: `Refused` with `unknown_order` or `amount`.
        """
        async with self.engine.begin() as sql:
            charge = await rows.charge(sql, outcome.order_no)
            if charge is None:
                raise Refused("unknown_order", "an order of ours")
            if outcome.word is Word.PAID and outcome.amount_fen != charge.amount_fen:
                raise Refused("amount", "the amount that was asked for")
            if notice is not None and not await _first_notice(sql, charge, notice, at):
                return False
            session, bill = (
                await rows.session(sql, charge.session),
                await rows.bill(sql, charge.session),
            )
            assert bill is not None, "a charge has a bill"
            moved = await self._moved(sql, charge, session, bill, outcome, at)
        if moved is not None:
            self._told(moved, bill)
        return moved is not None

    async def _moved(
        self,
        sql: AsyncConnection,
        charge: Charge,
        session: Session,
        bill: Bill,
        outcome: Outcome,
        at: datetime,
    ) -> Session | None:
        if outcome.word is Word.PAID:
            return await self._paid(sql, charge, session, bill, outcome, at)
        if charge.state not in ("queued", "sent", "open"):
            return None
        if outcome.word is Word.ABSENT:
            await self._absent(sql, charge, at)
            return None
        if charge.kind == PAGE:
            given_up = at - charge.created_at > timedelta(seconds=PAGE_ORDER_S)
            if outcome.word is not Word.PENDING or given_up:
                await rows.change_charge(
                    sql, charge.order_no, state="closed", reason=outcome.reason, next_at=None
                )
            return None
        if outcome.word is Word.PENDING:
            return None
        return await self._failed(sql, charge, session, outcome, at)

    async def _paid(
        self,
        sql: AsyncConnection,
        charge: Charge,
        session: Session,
        bill: Bill,
        outcome: Outcome,
        at: datetime,
    ) -> Session | None:
        if charge.state == "paid":
            return None
        await rows.change_charge(
            sql, charge.order_no, state="paid", provider_ref=outcome.provider_ref, next_at=None
        )
        if not can(session.state, Event.PAY) or charge.amount_fen < bill.amount_fen:
            await self._not_for_the_bill(sql, charge, session, at)
            return None
        if session.state in (State.HELD, State.PRICED):
            await rows.post(sql, ledger.owed(session.id, session.lot, bill.amount_fen, at))
        await rows.post(sql, ledger.paid(session.id, charge.provider, bill.amount_fen, at))
        beyond_fen = charge.amount_fen - bill.amount_fen
        if beyond_fen:
            more = ledger.overpaid(session.id, charge.order_no, charge.provider, beyond_fen, at)
            await rows.post(sql, more)
        waits = session.state is State.HELD
        gone_at = at + timedelta(seconds=self._policy.held_gives_up_after_s)
        state = after(session.state, Event.PAY)
        moved = changed(session, at, state=state, next_at=gone_at if waits else None)
        await rows.save(sql, moved)
        return moved

    async def _not_for_the_bill(
        self, sql: AsyncConnection, charge: Charge, session: Session, at: datetime
    ) -> None:
        """Money came that the bill does not take: it is owed back, and a person looks."""
        owed_back = ledger.overpaid(
            session.id, charge.order_no, charge.provider, charge.amount_fen, at
        )
        await rows.post(sql, owed_back)
        kind = "overpaid" if not can(session.state, Event.PAY) else "underpaid"
        listed = Trouble(
            trouble_id(kind, charge.order_no), kind, session.lot, at, session=session.id
        )
        await raise_trouble(sql, listed)

    async def _failed(
        self,
        sql: AsyncConnection,
        charge: Charge,
        session: Session,
        outcome: Outcome,
        at: datetime,
    ) -> Session | None:
        await rows.change_charge(
            sql, charge.order_no, state="failed", reason=outcome.reason, next_at=None
        )
        if session.state is not State.CHARGING:
            return None
        retries = self._policy.retry_after_s
        if outcome.word is Word.DECLINED and session.attempts < len(retries):
            next_at = at + timedelta(seconds=retries[session.attempts])
            event, attempts = Event.DECLINE, session.attempts + 1
        else:
            next_at, event, attempts = None, Event.GIVE_UP, session.attempts
        moved = changed(
            session, at, state=after(session.state, event), attempts=attempts, next_at=next_at
        )
        await rows.save(sql, moved)
        return moved

    async def _absent(self, sql: AsyncConnection, charge: Charge, at: datetime) -> None:
        """The provider has no such order: the same order may be sent, it can only count once."""
        if charge.kind == AUTO:
            await rows.change_charge(sql, charge.order_no, state="queued", next_at=at)
        elif at - charge.created_at > timedelta(seconds=PAGE_ORDER_S):
            await rows.change_charge(sql, charge.order_no, state="closed", next_at=None)


async def _first_notice(sql: AsyncConnection, charge: Charge, notice: Notice, at: datetime) -> bool:
    row = {
        "provider": charge.provider,
        "notice_id": notice.notice_id,
        "order_no": charge.order_no,
        "received_at": at,
    }
    insert = insert_into(sql, tables.notices).on_conflict_do_nothing()
    return (await sql.execute(insert, row)).rowcount == 1
