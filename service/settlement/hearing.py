"""The provider's word on an order, taken inside a transaction: what it does to bill and ledger."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from devices.reading import Refused
from service.settlement import ledger, rows, tables
from service.settlement.charges import AUTO, PAGE, WAITING, Charge
from service.settlement.model import Bill, Session, Trouble, trouble_id
from service.settlement.passing import changed
from service.settlement.policy import Policy
from service.settlement.providers.protocol import Notice, Outcome, Word
from service.settlement.session import Event, State, after, can
from service.settlement.store import insert_into, raise_trouble

ASK_AGAIN_S: Final = (20.0, 40.0, 120.0, 600.0, 3600.0)  # clock; then every hour
PAGE_ORDER_S: Final = 900.0  # how long an order on the bill page keeps us from charging


async def hear(
    sql: AsyncConnection, policy: Policy, outcome: Outcome, at: datetime, notice: Notice | None
) -> tuple[Session | None, Bill | None]:
    """The session as the word leaves it, and its bill; (None, None) where nothing changed.

    Errors: `Refused` with `unknown_order` or `amount`.
    """
    charge = await rows.charge(sql, outcome.order_no)
    if charge is None:
        raise Refused("unknown_order", "an order of ours")
    if outcome.word is Word.PAID and outcome.amount_fen != charge.amount_fen:
        raise Refused("amount", "the amount that was asked for")
    if notice is not None and not await _first(sql, charge, notice, at):
        return None, None
    if outcome.word is Word.PAID:
        return await _paid(sql, policy, charge, outcome, at)
    if charge.state not in WAITING:
        return None, None
    if outcome.word is Word.ABSENT:
        await _absent(sql, charge, at)
    elif charge.kind == PAGE:
        given_up = at - charge.created_at > timedelta(seconds=PAGE_ORDER_S)
        if outcome.word is not Word.PENDING or given_up:
            await rows.change_charge(
                sql, charge.order_no, state="closed", reason=outcome.reason, next_at=None
            )
    elif outcome.word is not Word.PENDING:
        return await _failed(sql, policy, charge, outcome, at), await rows.bill(sql, charge.session)
    return None, None


async def _first(sql: AsyncConnection, charge: Charge, notice: Notice, at: datetime) -> bool:
    """Whether this notice is heard for the first time; what follows is undone with it or not."""
    row = {
        "provider": charge.provider,
        "notice_id": notice.notice_id,
        "order_no": charge.order_no,
        "received_at": at,
    }
    insert = insert_into(sql, tables.notices).on_conflict_do_nothing()
    return (await sql.execute(insert, row)).rowcount == 1


async def _paid(
    sql: AsyncConnection, policy: Policy, charge: Charge, outcome: Outcome, at: datetime
) -> tuple[Session | None, Bill | None]:
    if charge.state == "paid":
        return None, None
    session = await rows.session(sql, charge.session)
    bill = await rows.bill(sql, charge.session)
    assert bill is not None, "a charge has a bill"
    await rows.change_charge(
        sql, charge.order_no, state="paid", provider_ref=outcome.provider_ref, next_at=None
    )
    if not can(session.state, Event.PAY) or charge.amount_fen < bill.amount_fen:
        await _not_for_the_bill(sql, charge, session, at)
        return None, None
    if session.state in (State.HELD, State.PRICED):
        await rows.post(sql, ledger.owed(session.id, session.lot, bill.amount_fen, at))
    await rows.post(sql, ledger.paid(session.id, charge.provider, bill.amount_fen, at))
    beyond_fen = charge.amount_fen - bill.amount_fen
    if beyond_fen:
        more = ledger.overpaid(session.id, charge.order_no, charge.provider, beyond_fen, at)
        await rows.post(sql, more)
    waits = session.state is State.HELD
    gone_at = at + timedelta(seconds=policy.held_gives_up_after_s) if waits else None
    state = after(session.state, Event.PAY)
    moved = changed(session, at, state=state, next_at=gone_at)
    await rows.save(sql, moved)
    return moved, bill


async def _not_for_the_bill(
    sql: AsyncConnection, charge: Charge, session: Session, at: datetime
) -> None:
    """Money came that the bill does not take: it is owed back, and a person looks."""
    back = ledger.overpaid(session.id, charge.order_no, charge.provider, charge.amount_fen, at)
    await rows.post(sql, back)
    kind = "underpaid" if can(session.state, Event.PAY) else "overpaid"
    name = trouble_id(kind, charge.order_no)
    await raise_trouble(sql, Trouble(name, kind, session.lot, at, session=session.id))


async def _failed(
    sql: AsyncConnection, policy: Policy, charge: Charge, outcome: Outcome, at: datetime
) -> Session | None:
    """Not this time (`declined`) or not by this way (`refused`)."""
    session = await rows.session(sql, charge.session)
    await rows.change_charge(
        sql, charge.order_no, state="failed", reason=outcome.reason, next_at=None
    )
    if session.state is not State.CHARGING:
        return None
    retries, attempts = policy.retry_after_s, session.attempts
    if outcome.word is Word.DECLINED and attempts < len(retries):
        next_at = at + timedelta(seconds=retries[attempts])
        state = after(session.state, Event.DECLINE)
        moved = changed(session, at, state=state, attempts=attempts + 1, next_at=next_at)
    else:
        moved = changed(session, at, state=after(session.state, Event.GIVE_UP), next_at=None)
    await rows.save(sql, moved)
    return moved


async def _absent(sql: AsyncConnection, charge: Charge, at: datetime) -> None:
    """The provider has no such order: the same order may be sent, it can only count once."""
    if charge.kind == AUTO:
        await rows.change_charge(sql, charge.order_no, state="queued", next_at=at)
    elif at - charge.created_at > timedelta(seconds=PAGE_ORDER_S):
        await rows.change_charge(sql, charge.order_no, state="closed", next_at=None)
