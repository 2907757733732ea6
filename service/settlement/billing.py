"""Pure: from a stay to its bill."""

from datetime import datetime, timedelta, tzinfo

import msgspec

from service.settlement.model import Bill, Session
from service.settlement.session import Event, State, after
from service.tariff.model import Line, Quote, Tariff
from service.tariff.pricing import price


def quote(
    session: Session, tariff: Tariff, tz: tzinfo, left_at: datetime, *, new_energy: bool
) -> Quote:
    """What the stay costs when it ends at `left_at`; ValueError where it cannot be priced."""
    large = session.vehicle == "large"
    return price(tariff, session.entered_at, left_at, tz, new_energy=new_energy, large=large)


def waived(quoted: Quote) -> Quote:
    """The quote of a vehicle on duty: the same stay, for nothing."""
    line = Line("执行任务车辆免费", "Vehicle on duty, free", quoted.minutes, -quoted.total_fen)
    return msgspec.structs.replace(quoted, total_fen=0, lines=(*quoted.lines, line))


def bill_of(session: Session, quoted: Quote, nonce: bytes, token_hash: str, at: datetime) -> Bill:
    """The bill that goes with this revision of the session."""
    return Bill(
        session=session.id,
        rev=session.rev,
        token_hash=token_hash,
        nonce=nonce,
        amount_fen=quoted.total_fen,
        currency=quoted.currency,
        minutes=quoted.minutes,
        lines=quoted.lines,
        drawn_at=at,
    )


def priced(
    session: Session, amount_fen: int, at: datetime, settle_after_s: float
) -> tuple[State, datetime | None]:
    """The state of an exited session with its price, and when the collector looks at it next."""
    if amount_fen == 0:
        return after(session.state, Event.WAIVE), None
    return after(session.state, Event.PRICE), at + timedelta(seconds=settle_after_s)
