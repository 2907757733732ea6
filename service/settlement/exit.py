"""Pure: a vehicle drives out. Whether the gate opens is decided here, from memory alone.

no plate          leave_first lots open, others call the operator
no entry          the same, and a person is shown the likeliest entry
free, or on duty  opens
may leave first   opens, and the stay is owed
else              asked to pay by a code at the gate; when SQL or the provider is away, opens
"""

from datetime import datetime, timedelta

import msgspec

from service.settlement.billing import bill_of, priced, quote, waived
from service.settlement.book import Book, Orphan
from service.settlement.model import Bill, Record, Seen, Session, Trouble, trouble_id
from service.settlement.passing import (
    Passing,
    answer,
    changed,
    only,
    seen,
    trouble,
    within,
)
from service.settlement.plate import proposal
from service.settlement.session import INSIDE, Event, State, after
from service.tariff.model import Quote


class Out(msgspec.Struct, frozen=True):
    """A session that has ended, its bill where it could be priced, and what went wrong."""

    session: Session
    bill: Bill | None
    troubles: tuple[Trouble, ...] = ()


def leave(book: Book, passing: Passing) -> Record:
    """End a session, or hold it, or say why neither."""
    stays = book.stays(passing.lot.id, passing.plate_key)
    again = next((one for one in stays if _same_car(one, passing)), None)
    if again is not None:
        return _out_already(book, passing, again)
    if any(_covers(one, passing) for one in stays):
        return only(passing, "overlap", trouble(passing, "overlap"))
    stay = _ending(stays, passing)
    if stay is None:
        return _without_entry(book, passing)
    if stay.state is State.PREPAID:
        return _prepaid(book, passing, stay)
    quoted = _quoted(book, passing, stay, passing.at)
    if quoted is not None and _must_pay(book, passing, stay, quoted):
        return _hold(book, passing, stay, quoted)
    return _go(book, passing, stay)


def pair(book: Book, passing: Passing, orphan: Orphan) -> Record | None:
    """End the stay that an exit without an entry belonged to, now that its entry is known."""
    stays = book.stays(passing.lot.id, passing.plate_key)
    stay = _ending(stays, passing)
    if stay is None:
        return None
    went = _go(book, passing, stay)
    settled = (*went.settled, (orphan.trouble, "entry was known after all"))
    return msgspec.structs.replace(went, settled=settled)


def let_out(book: Book, passing: Passing, stay: Session, left_at: datetime, exit_lane: str) -> Out:
    """The stay, exited at `left_at` and priced if it can be."""
    exited = changed(
        stay,
        passing.received_at,
        state=after(stay.state, Event.EXIT),
        left_at=left_at,
        exit_lane=exit_lane,
        next_at=passing.received_at,
    )
    quoted = _quoted(book, passing, stay, left_at)
    if quoted is None:
        # The collector prices it once its tariff can be read; nobody waits for that at a gate.
        return Out(exited, None, (trouble(passing, "unpriced", session=stay.id),))
    settle_after_s = passing.policy.settle_after_s
    state, next_at = priced(exited, quoted.total_fen, passing.received_at, settle_after_s)
    out = msgspec.structs.replace(exited, state=state, next_at=next_at)
    return Out(out, _bill(book, passing, out, quoted))


def _bill(book: Book, passing: Passing, session: Session, quoted: Quote) -> Bill:
    """A new bill, or the one that was drawn before with its link kept."""
    earlier = book.bills.get(session.id)
    nonce, token_hash = (
        (passing.nonce, passing.token_hash)
        if earlier is None
        else (earlier.nonce, earlier.token_hash)
    )
    return bill_of(session, quoted, nonce, token_hash, passing.received_at)


def _quoted(book: Book, passing: Passing, stay: Session, left_at: datetime) -> Quote | None:
    tariff = book.tariffs.get(stay.tariff)
    if tariff is None:
        return None
    assert passing.plate is not None
    quoted = quote(stay, tariff, passing.tz, left_at, new_energy=passing.plate.new_energy)
    return waived(quoted) if passing.on_duty else quoted


def _same_car(stay: Session, passing: Passing) -> bool:
    """A second reading of a car that was let out a moment ago."""
    return (
        stay.left_at is not None
        and stay.state not in INSIDE
        and within(stay.left_at, passing.at, passing.policy.same_car_within_s)
    )


def _covers(stay: Session, passing: Passing) -> bool:
    return (
        stay.left_at is not None
        and stay.state not in INSIDE
        and stay.entered_at < passing.at < stay.left_at
    )


def _ending(stays: list[Session], passing: Passing) -> Session | None:
    """The stay that this exit ends: the last that had begun by then, if its end is still open."""
    stay = next((one for one in reversed(stays) if one.entered_at <= passing.at), None)
    if stay is None or stay.state in INSIDE or stay.state is State.MISSING_EXIT:
        return stay
    return None


def _without_entry(book: Book, passing: Passing) -> Record:
    assert passing.plate is not None
    likely = proposal(passing.plate.text, book.inside(passing.lot.id))
    missing = trouble(passing, "missing_entry", proposed=likely)
    if passing.leave_first or passing.outage or passing.on_duty:
        return only(passing, "missing_entry", missing)
    return only(passing, "operator", missing)


def _said(passing: Passing, reason: str, session: str, bill: Bill | None) -> Seen:
    said = answer(
        reason,
        live=passing.live,
        session=session,
        amount_fen=bill.amount_fen if bill else None,
        currency=bill.currency if bill else "CNY",
    )
    return seen(passing, said)


def _out_already(book: Book, passing: Passing, stay: Session) -> Record:
    bill = book.bills.get(stay.id)
    return Record(_said(passing, _reason(stay, bill), stay.id, bill))


def _reason(stay: Session, bill: Bill | None) -> str:
    if stay.state is State.FREE:
        return "free"
    if stay.state in (State.PAID, State.RECOVERED):
        return "paid"
    return "unpriced" if bill is None else "leave_first"


def _go(book: Book, passing: Passing, stay: Session) -> Record:
    out = let_out(book, passing, stay, passing.at, passing.lane)
    reason = "on_duty" if passing.on_duty else _reason(out.session, out.bill)
    found = (trouble_id("missing_exit", stay.id), "exit came late")
    settled = (found,) if stay.state is State.MISSING_EXIT else ()
    return Record(
        _said(passing, reason, stay.id, out.bill),
        (out.session,),
        (out.bill,) if out.bill else (),
        out.troubles,
        settled,
    )


def _prepaid(book: Book, passing: Passing, stay: Session) -> Record:
    asked_at = stay.left_at or passing.at
    left = changed(
        stay,
        passing.received_at,
        state=after(stay.state, Event.EXIT),
        left_at=passing.at,
        exit_lane=passing.lane,
        next_at=None,
    )
    in_time = within(asked_at, passing.at, passing.policy.paid_leaves_within_s)
    late = () if in_time else (trouble(passing, "overstayed", session=stay.id),)
    said = _said(passing, "paid", stay.id, book.bills.get(stay.id))
    return Record(said, (left,), troubles=late)


def _must_pay(book: Book, passing: Passing, stay: Session, quoted: Quote) -> bool:
    if not passing.live or passing.outage or quoted.total_fen == 0:
        return False
    if stay.state is State.MISSING_EXIT:
        return False
    limit_fen = passing.policy.limits_fen.get(passing.plate_key)
    if limit_fen is not None:
        return quoted.total_fen > limit_fen
    if not passing.leave_first:
        return not stay.enrolled or quoted.total_fen > passing.policy.enrolled_limit_fen
    owed_fen = book.arrears_fen.get(passing.plate_key, 0)
    return owed_fen > 0 and owed_fen + quoted.total_fen > passing.policy.arrears_limit_fen


def _hold(book: Book, passing: Passing, stay: Session, quoted: Quote) -> Record:
    earlier = book.bills.get(stay.id)
    if stay.state is State.HELD and earlier is not None:
        asked_at = stay.left_at or passing.at
        if within(asked_at, passing.at, passing.policy.paid_leaves_within_s):
            # Still at the gate: the amount it was asked for stands while it pays.
            return Record(_said(passing, "pay_first", stay.id, earlier))
    held = changed(
        stay,
        passing.received_at,
        state=after(stay.state, Event.HOLD),
        left_at=passing.at,
        exit_lane=passing.lane,
        next_at=passing.received_at + timedelta(seconds=passing.policy.held_gives_up_after_s),
    )
    bill = _bill(book, passing, held, quoted)
    return Record(_said(passing, "pay_first", stay.id, bill), (held,), (bill,))
