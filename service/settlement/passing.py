"""Pure: one passage at the gate, made ready for a decision, and the words a gate answers with."""

from datetime import datetime, timedelta, tzinfo
from typing import Final

import msgspec

from service.catalog import Lot
from service.settlement import plate as plates
from service.settlement.model import (
    Answer,
    Record,
    Seen,
    Session,
    Trouble,
    session_id,
    trouble_id,
)
from service.settlement.policy import Policy
from service.settlement.session import State
from service.tariff.money import shown

# reason: (opens, zh, en). `{amount}` is filled in where the answer has one.
_WORDS: Final[dict[str, tuple[bool, str, str]]] = {
    "welcome": (True, "欢迎光临", "Welcome"),
    "unread": (True, "请通行", "Please drive on"),
    "leave_first": (True, "一路平安，{amount} 稍后支付", "Goodbye, {amount} to be paid later"),
    "free": (True, "一路平安，本次免费", "Goodbye, no charge"),
    "paid": (True, "已支付，一路平安", "Paid, goodbye"),
    "on_duty": (True, "请通行", "Please drive on"),
    "missing_entry": (True, "一路平安", "Goodbye"),
    "unpriced": (True, "一路平安，费用稍后结算", "Goodbye, the fee follows"),
    "overlap": (True, "请通行", "Please drive on"),
    "pay_first": (False, "请扫码支付 {amount}", "Please scan and pay {amount}"),
    "operator": (False, "请稍候，工作人员马上到", "Please wait, staff are coming"),
    "turned_back": (False, "已取消", "Cancelled"),
    "recorded": (False, "已记录", "Recorded"),
    "unknown_lot": (False, "设备未登记", "This device is not known"),
}


class Passing(msgspec.Struct, frozen=True):
    """What is known of a passage before anything is decided.

    `at` is when it happened, as far as that can be believed; `live`: a gate is waiting.
    `outage`: what a hold would need (SQL, the provider) is away, so nobody is held. `nonce` and
    `token_hash` are for a bill, should one be drawn.
    """

    lot: Lot
    tz: tzinfo
    policy: Policy
    lane: str
    camera: str
    event_id: str
    direction: str
    at: datetime
    received_at: datetime
    live: bool
    skewed: bool
    vehicle: str
    tariff: str
    plate: plates.Plate | None = None
    plate_key: str = ""
    plate_sealed: bytes | None = None
    nonce: bytes = b""
    token_hash: str = ""
    fake_plate: bool = False
    outage: bool = False

    @property
    def leave_first(self) -> bool:
        return self.lot.payment == "leave_first"

    @property
    def on_duty(self) -> bool:
        return self.vehicle == "emergency" or (self.plate is not None and self.plate.on_duty)


def answer(
    reason: str,
    *,
    live: bool = True,
    session: str | None = None,
    amount_fen: int | None = None,
    currency: str = "CNY",
) -> Answer:
    """The answer for `reason`; a buffered passage has no gate waiting and is only recorded.

    It carries no link yet: links are not kept, the gate adds one when it speaks.
    """
    said = reason if live else "recorded"
    opens, zh, en = _WORDS[said]
    if amount_fen is not None:
        amount = shown(amount_fen, currency)
        zh, en = zh.format(amount=amount), en.format(amount=amount)
    return Answer(opens, said, zh, en, session, None, amount_fen)


def unknown_lot() -> Answer:
    return answer("unknown_lot")


def seen(passing: Passing, said: Answer) -> Seen:
    return Seen(
        camera=passing.camera,
        event_id=passing.event_id,
        lot=passing.lot.id,
        lane=passing.lane,
        direction=passing.direction,
        plate_key=passing.plate_key if passing.plate else None,
        plate_mask=plates.masked(passing.plate.text) if passing.plate else None,
        passed_at=passing.at,
        received_at=passing.received_at,
        buffered=not passing.live,
        skewed=passing.skewed,
        session=said.session,
        answer=said,
    )


def trouble(
    passing: Passing, kind: str, *, session: str | None = None, proposed: str | None = None
) -> Trouble:
    return Trouble(
        id=trouble_id(kind, passing.camera, passing.event_id),
        kind=kind,
        lot=passing.lot.id,
        raised_at=passing.received_at,
        lane=passing.lane,
        camera=passing.camera,
        event_id=passing.event_id,
        session=session,
        proposed=proposed,
    )


def missing_exit(passing: Passing, session: str) -> Trouble:
    """Named after the session, so that a late exit can settle it."""
    raised = trouble(passing, "missing_exit", session=session)
    return msgspec.structs.replace(raised, id=trouble_id("missing_exit", session))


def new_session(passing: Passing) -> Session:
    assert passing.plate is not None, "a session needs a plate"
    return Session(
        id=session_id(passing.camera, passing.event_id),
        lot=passing.lot.id,
        plate_key=passing.plate_key,
        plate_mask=plates.masked(passing.plate.text),
        plate_sealed=passing.plate_sealed,
        plate_color=passing.plate.color,
        vehicle=passing.vehicle,
        tariff=passing.tariff,
        state=State.ENTERED,
        rev=1,
        entered_at=passing.at,
        entry_lane=passing.lane,
        changed_at=passing.received_at,
        # Where one pays at exit the provider is asked, while the car is inside, whether it must.
        next_at=None if passing.leave_first else passing.received_at,
    )


def changed(session: Session, at: datetime, **fields: object) -> Session:
    """The next revision of a session."""
    return msgspec.structs.replace(session, rev=session.rev + 1, changed_at=at, **fields)


def only(passing: Passing, reason: str, *troubles: Trouble, session: str | None = None) -> Record:
    """A record of the passage itself, and of nothing else than `troubles`."""
    said = answer(reason, live=passing.live, session=session)
    return Record(seen(passing, said), troubles=troubles)


def within(earlier: datetime, later: datetime, limit_s: float) -> bool:
    return timedelta(0) <= later - earlier <= timedelta(seconds=limit_s)
