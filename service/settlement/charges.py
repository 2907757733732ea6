"""Pure: one asking for money at a provider, and what it may become.

    auto   queued ─ sent ─ paid | failed      what we charge an enrolled plate
    page   open ─ paid | closed               what the driver pays on the bill page

`queued` is written with the session, before anybody is asked: the outbox. `sent` is written before
the provider is called, so that after a crash he is asked what became of it, never charged blindly.
"""

from datetime import datetime

import msgspec

from service.settlement.model import Bill, Session
from service.settlement.providers.protocol import Order

AUTO, PAGE = "auto", "page"
WAITING = ("queued", "sent", "open")


class Charge(msgspec.Struct, frozen=True):
    """`attempt` counts a session's charges, `asked` how often the provider was asked about one.

    `next_at` is when to look at it again.
    """

    order_no: str
    session: str
    attempt: int
    kind: str
    provider: str
    amount_fen: int
    state: str
    created_at: datetime
    asked: int = 0
    reason: str | None = None
    provider_ref: str | None = None
    next_at: datetime | None = None


def order_no(session: str, attempt: int) -> str:
    """At most 32 characters, the same for the same attempt."""
    return f"{session}-{attempt}"


def new_charge(bill: Bill, attempt: int, kind: str, provider: str, at: datetime) -> Charge:
    return Charge(
        order_no=order_no(bill.session, attempt),
        session=bill.session,
        attempt=attempt,
        kind=kind,
        provider=provider,
        amount_fen=bill.amount_fen,
        state="queued" if kind == AUTO else "open",
        created_at=at,
        next_at=at,
    )


def order_of(charge: Charge, session: Session, plate: str | None, currency: str) -> Order:
    """What the provider is asked."""
    return Order(
        order_no=charge.order_no,
        amount_fen=charge.amount_fen,
        currency=currency,
        lot=session.lot,
        plate=plate,
        plate_color=session.plate_color,
        entered_at=session.entered_at,
        left_at=session.left_at or session.changed_at,
    )
